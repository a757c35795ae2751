"""The base of every page that only shows: no adding, no changing, no deleting, and no way around that.

A mixin, so that a project can put it in front of another admin skin's ModelAdmin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.changelist import LimitedPaginator, queue_of
from payments.admin.formatting import age, amount_html
from payments.admin.links import Links, attach_links, links_of
from payments.admin.panels import PRIVATE_COLUMNS, Panel, Summary, TimelinePanel, may_see_private_data
from payments.admin.payables import collection_of
from payments.admin.unclear import attach_unclear
from payments.models import PaymentCollection
from payments.models.base import reading_lists
from payments.services.search import Search

_SUFFIXES: Final = frozenset(
    {"", "exact", "in", "gt", "gte", "lt", "lte", "isnull", "id__exact", "id__in", "pk__exact", "pk__in"}
)


View = Callable[..., HttpResponseBase]

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object


class PlainInputMixin(_ModelAdmin):
    """A guard in front of all pages: a request with a NUL character, on which PostgreSQL fails, gets a 400.

    It also guards the addresses that a project's own ModelAdmin adds.
    """

    @property
    def urls(self) -> Any:
        """The addresses of the pages."""
        patterns: list[Any] = self.get_urls()
        for pattern in (each for each in patterns if isinstance(each, URLPattern)):
            pattern.callback = _guarded(pattern.callback)
        return patterns


class PaymentsAdminMixin(PlainInputMixin):
    """A list that stays fast when the table is big, and a page of a summary and panels.

    `row_relations` are joined and `row_deferred` left unread wherever rows are selected. `linked_by` are the paths by
    which other pages may filter this list, besides `list_filter`. No other lookup is accepted from the address: one on
    a private column would tell its content letter by letter.
    """

    change_form_template: ClassVar[Any] = "admin/payments/inspection.html"
    actions = None
    paginator = LimitedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    sortable_by: ClassVar[Any] = (
        "id_column",
        "when_column",
        "age_column",
    )  # the others have no index to read along

    search: ClassVar[Search] = Search()
    row_relations: ClassVar[Sequence[str]] = ()
    row_deferred: ClassVar[Sequence[str]] = ()
    linked_by: ClassVar[Sequence[str]] = ()

    class Media:
        css = {"all": ["payments/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Select the rows with what every page shows of them, and without what few pages show."""
        rows = super().get_queryset(request).defer(*self.row_deferred)
        # Without a name, select_related() would follow every relation.
        return rows.select_related(*self.row_relations) if self.row_relations else rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by `search`, and by other rows as far as the user may view them."""
        return self.search.find(queryset, search_term, may_view=self.links(request).may_view), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow the lookups that filters and links use, and no other."""
        return any(_is_lookup_of(path, lookup) for path in self._filter_paths(request))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list, its rows prepared for showing; raise IncorrectLookupParameters as Django does."""
        try:
            # What an action is for is read from where it will be written.
            with reading_lists() if request.method == "GET" else nullcontext():
                changelist = super().get_changelist_instance(request)
                rows = list(changelist.result_list)
                self.prepare_rows(request, rows)
                changelist.payments_queue = queue_of(self.links(request))  # type: ignore[attr-defined]
        except OverflowError as error:  # SQLite takes no number that is longer than 64 bits.
            raise IncorrectLookupParameters(error) from error
        changelist.result_list = rows
        return changelist

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Attach to rows what their columns need and couldn't read without a query each."""
        links = self.links(request)
        for row in rows:
            attach_links(row, links)
        attach_unclear(rows)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the summary and the panels to the page."""
        row = context.get("original")
        if row is not None:
            _read_deferred(request, row)
            self.prepare_rows(request, [row])
            context["payments_summary"] = self.get_summary(request, row)
            context["payments_panels"] = [
                panel for panel in self.get_panels(request, row) if panel is not None
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def get_summary(self, request: HttpRequest, obj: Any) -> Summary | None:
        """Return what stands on top of a row's page."""
        return None

    def get_panels(self, request: HttpRequest, obj: Any) -> Iterable[Panel | None]:
        """Return the panels of a row's page in their order; None where this user may not see one."""
        return ()

    @admin.display(description=_("amount"))
    def amount_column(self, obj: Any) -> SafeString | None:
        """Show the row's amount."""
        return amount_html(obj.amount, obj.currency_code) or None

    @admin.display(description=_("collection"))
    def collection_column(self, obj: Any) -> SafeString:
        """Show the collection that the row is below of."""
        return links_of(obj).to_id(PaymentCollection, collection_of(obj))

    @admin.display(description=_("age"), ordering="-created_at")
    def age_column(self, obj: Any) -> SafeString:
        """Show how long ago the row was created."""
        return age(obj.created_at)

    def links(self, request: HttpRequest) -> Links:
        """Return the links that this request's user may follow on this site."""
        return Links(site=self.admin_site, request=request)

    def _filter_paths(self, request: HttpRequest | None) -> Iterable[str]:
        filters = self.list_filter if request is None else self.get_list_filter(request)
        yield from self.linked_by
        for each in filters:
            if isinstance(each, list | tuple):
                yield str(each[0])
            elif isinstance(each, type) and issubclass(each, admin.SimpleListFilter):
                yield str(each.parameter_name)
            else:
                yield str(each)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Gather the fields under a heading of their own, below the panels."""
        return [(gettext("Details"), {"fields": self.get_fields(request, obj)})]


class InspectionAdminMixin(PaymentsAdminMixin):
    """A page that only shows: whatever permissions a user has, it neither adds, changes nor deletes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: services create rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Refuse: services change rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Refuse: rows that may stand for money stay."""
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out the times of what hasn't happened."""
        names = super().get_fields(request, obj)
        return [
            name
            for name in names
            if obj is None or not str(name).endswith("_at") or getattr(obj, str(name), "") is not None
        ]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Redirect to the history on the row's page, which includes what services changed, or show the admin's log."""
        row = self.get_object(request, unquote(object_id))
        panels: Iterable[Panel | None] = ()
        if row is not None and self.has_view_permission(request, row):
            self.prepare_rows(request, [row])
            panels = self.get_panels(request, row)
        anchor = next((panel.slug for panel in panels if isinstance(panel, TimelinePanel)), "")
        if not anchor:
            return super().history_view(request, object_id, extra_context)
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(f"{reverse(name, args=[object_id])}#{anchor}")


def _read_deferred(request: HttpRequest, row: models.Model) -> None:
    """Read at once what lists leave unread; what is private isn't even read without the permission."""
    private = frozenset() if may_see_private_data(request) else PRIVATE_COLUMNS
    names = row.get_deferred_fields() - private
    if names:
        row.refresh_from_db(fields=names)


def _is_lookup_of(path: str, lookup: str) -> bool:
    if lookup == path:
        return True
    return lookup.startswith(f"{path}__") and lookup[len(path) + 2 :] in _SUFFIXES


def _guarded(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if _has_nul(request):
            raise BadRequest("The request holds a NUL character.")
        return view(request, *args, **kwargs)

    return guarded


def _has_nul(request: HttpRequest) -> bool:
    sent = (
        text
        for values in (request.GET, request.POST)
        for name, texts in values.lists()
        for text in (name, *texts)
    )
    return any("\0" in str(text) for text in (request.path, *sent))
