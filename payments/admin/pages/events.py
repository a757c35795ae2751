"""The list of all events: the history across collections."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin import timelines
from payments.admin.base import InspectionAdminMixin
from payments.admin.changelist import EventTypeFilter
from payments.admin.formatting import amount_html, lines, moment, quiet
from payments.admin.links import links_of
from payments.admin.panels import Panel, Summary, document_panel, known_facts
from payments.models import PaymentEvent
from payments.services.search import Search


class PaymentEventAdminMixin(InspectionAdminMixin):
    """The pages of events: what changed, from where and by whom."""

    list_display = (
        "when_column",
        "what_column",
        "amount_column",
        "subject_column",
    )
    list_filter = (EventTypeFilter, "source", "created_at")
    list_select_related = ("collection", "session", "actor")
    row_relations = ("collection", "session", "actor")
    row_deferred = ("session__data", "session__provider_data", "session__context", "collection__metadata")
    linked_by = ("collection", "session", "payment", "capture", "refund", "operation")
    ordering = ("-id",)
    sortable_by = ("when_column",)
    search_fields = ("id",)
    search_help_text = _(
        "The id of a collection, session, payment, capture, refund or operation, or a piece of the customer's name or "
        "e-mail address."
    )
    search = Search(
        ids={
            "pay_col": "collection__id",
            "payses": "session__id",
            "pay": "payment__id",
            "capt": "capture__id",
            "ref": "refund__id",
            "payop": "operation__id",
        },
        customer="collection__customer",
    )
    fields = ("id", "type", "created_at", "published_at")
    readonly_fields = fields

    @admin.display(description=_("when"), ordering="id")
    def when_column(self, obj: PaymentEvent) -> SafeString:
        """Show when it happened, and below it from where it came and who caused it."""
        return lines(moment(obj.created_at), quiet(timelines.origin(obj)))

    @admin.display(description=_("what happened"))
    def what_column(self, obj: PaymentEvent) -> SafeString:
        """Show what happened in words, and below it the statuses before and after."""
        return lines(timelines.sentence(obj), quiet(timelines.remark(obj)), timelines.change(obj))

    @admin.display(description=_("amount"))
    def amount_column(self, obj: PaymentEvent) -> SafeString | None:
        """Show the amount."""
        return amount_html(obj.amount, obj.collection.currency_code) or None

    @admin.display(description=_("about"))
    def subject_column(self, obj: PaymentEvent) -> SafeString:
        """Show the row that it happened to, and its collection."""
        return lines(timelines.subject(obj, links_of(obj)), self.collection_column(obj))

    def get_summary(self, request: HttpRequest, obj: PaymentEvent) -> Summary:
        """Say what happened."""
        change = timelines.change(obj)
        facts = known_facts(
            (gettext("Remarks"), timelines.remark(obj)),
            (gettext("Amount"), self.amount_column(obj)),
            (gettext("About"), timelines.subject(obj, links_of(obj))),
            (gettext("Collection"), self.collection_column(obj)),
            (gettext("From"), timelines.origin(obj)),
            (gettext("When"), moment(obj.created_at)),
        )
        return Summary(
            headline=timelines.sentence(obj),
            badges=(change,) if change else (),
            facts=facts,
        )

    def get_panels(self, request: HttpRequest, obj: PaymentEvent) -> Iterable[Panel | None]:
        """Return what was noted along with it."""
        yield document_panel(title=gettext("Data"), slug="data", value=obj.data)
