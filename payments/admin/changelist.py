"""What the lists share: searching, filtering, paging, and the count of what needs attention.

None of them reads or counts a whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.paginator import Paginator
from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from payments.admin.links import Links
from payments.admin.timelines import SENTENCES
from payments.models import PaymentCollection, PaymentOperation, PaymentProvider, PaymentSession
from payments.models.payables import namesakes_of
from payments.services.search import is_own_id
from payments.states import OPEN_OPERATION_STATUSES, CollectionStatus, OperationStatus

LIMIT: Final = 100
"""How many rows of each kind are looked up, the newest first: whoever finds more searches for too little."""


def collections_for(links: Links, text: str) -> Iterator[QuerySet[Any]]:
    """Return the keys of collections that pay for what its own list on this site finds by a text.

    There is nothing by an id that `payments` gave, and nothing of a model that the user may not view.
    """
    term = text.strip()
    if not term or is_own_id(term):
        return
    for content_type in _paid_types(links):
        keys = _found(links, content_type, term)
        if keys:
            yield (
                PaymentCollection._base_manager.filter(payable_type=content_type, payable_id__in=keys)
                .order_by()
                .values("pk")
            )


def _paid_types(links: Links) -> list[ContentType]:
    """Return the kinds of rows that collections pay for, as far as they can be searched here."""
    searched = {
        ContentType.objects.get_for_model(each)
        for model, model_admin in links.site._registry.items()
        if model._meta.app_label != PaymentCollection._meta.app_label and model_admin.search_fields
        for each in namesakes_of(model)
    }
    # One at a time: a database that is asked for all at once reads all collections if no row is of one kind.
    return [each for each in searched if PaymentCollection._base_manager.filter(payable_type=each).exists()]


def _found(links: Links, content_type: ContentType, term: str) -> list[str]:
    paid = content_type.model_class()
    registered = links.site._registry
    names = () if paid is None else namesakes_of(paid)
    found = (registered[each] for each in names if each in registered and links.may_view(each))
    model_admin = next((each for each in found if each.search_fields), None)
    if model_admin is None:
        return []
    rows, has_doubles = model_admin.get_search_results(
        links.request, model_admin.get_queryset(links.request), term
    )
    keys = (rows.distinct() if has_doubles else rows).order_by("-pk").values_list("pk", flat=True)
    return [str(key) for key in keys[:LIMIT]]


if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator


class LimitedPaginator(_Paginator):
    """A paginator that counts up to `limit` rows and pages through those; `is_limited` says that there are more.

    Counting a table of millions takes a database seconds on every page, for a number that nobody needs: older rows are
    found by searching or filtering.
    """

    limit: ClassVar[int] = 2_000

    @cached_property
    def count(self) -> int:
        """The number of rows, at most `limit`."""
        return min(self._counted, self.limit)

    @property
    def is_limited(self) -> bool:
        """Whether there are more rows than can be paged through."""
        return self._counted > self.limit

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[: self.limit + 1].count()
        return len(rows)


_MOST: Final = 99


@dataclass(frozen=True, kw_only=True)
class Queue:
    """How many operations wait for a person; `count` is at most 99, `is_more` says that there are more."""

    count: int
    is_more: bool
    url: str | None
    overview_url: str | None


def queue_of(links: Links) -> Queue | None:
    """Return what waits, or None where the user may not view operations."""
    if not links.may_view(PaymentOperation):
        return None
    waiting = PaymentOperation.objects.open().filter(status=OperationStatus.ATTENTION).order_by()
    count = len(waiting.values_list("pk", flat=True)[: _MOST + 1])
    return Queue(
        count=min(count, _MOST),
        is_more=count > _MOST,
        url=links.listing(PaymentOperation, status__exact=OperationStatus.ATTENTION.value, o="8"),
        overview_url=_overview_url(links),
    )


def _overview_url(links: Links) -> str | None:
    try:
        return reverse(f"{links.site.name}:payments_overview")
    except NoReverseMatch:
        return None


_RECENT: Final = 1_000


class CurrencyFilter(admin.SimpleListFilter):
    """The currencies of the newest collections, and the one that is chosen."""

    title = _("currency")
    parameter_name = "currency"
    path = "currency_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the currencies."""
        newest = PaymentCollection.objects.order_by("-created_at", "-id")[:_RECENT]
        codes = {*newest.values_list("currency_code", flat=True), self.value() or ""} - {""}
        return [(code, code.upper()) for code in sorted(codes)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down to a currency."""
        return queryset.filter(**{self.path: self.value()}) if self.value() else queryset


class CollectionCurrencyFilter(CurrencyFilter):
    """The currencies of rows below a collection."""

    path = "collection__currency_code"


class MovementCurrencyFilter(CurrencyFilter):
    """The currencies of rows below a payment."""

    path = "payment__collection__currency_code"


class CollectionProviderFilter(admin.SimpleListFilter):
    """Collections that have a session with a provider."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the providers."""
        return [(alias, alias) for alias in PaymentProvider.objects.values_list("pk", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down to a provider."""
        if not self.value():
            return queryset
        return queryset.filter(
            Exists(PaymentSession.objects.filter(collection=OuterRef("pk"), provider=self.value()))
        )


class OpenOperationsFilter(admin.SimpleListFilter):
    """Collections with operations that need a person, or that are open."""

    title = _("open operations")
    parameter_name = "operations"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the two questions."""
        return [("attention", _("Needs attention")), ("open", _("All open"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down."""
        statuses = {"attention": [OperationStatus.ATTENTION], "open": sorted(OPEN_OPERATION_STATUSES)}
        wanted = statuses.get(self.value() or "")
        if wanted is None:
            return queryset
        # Such operations are few, so the collections are found by them and not the other way round.
        return queryset.filter(
            pk__in=PaymentOperation.objects.open().filter(status__in=wanted).order_by().values("collection")
        )


class RefundedFilter(admin.SimpleListFilter):
    """Collections that were fully refunded; they share their status with those that were never paid."""

    title = _("refunds")
    parameter_name = "refunded"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the one question."""
        return [("fully", _("Refunded"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down, along the index on the status."""
        if self.value() != "fully":
            return queryset
        return queryset.filter(
            status=CollectionStatus.CANCELED, captured_amount__gt=0, refunded_amount=F("captured_amount")
        )


class ChargedBackFilter(admin.SimpleListFilter):
    """What payers' banks have taken back and not returned, acknowledged or not."""

    title = _("charge-backs")
    parameter_name = "charged_back"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the one question."""
        return [("yes", _("Charged back"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down, along the index of what was charged back."""
        return queryset.filter(charged_back_amount__gt=0) if self.value() == "yes" else queryset


class EventTypeFilter(admin.SimpleListFilter):
    """The types of events, in words."""

    title = _("what happened")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the kinds."""
        return list(SENTENCES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down to a kind."""
        return queryset.filter(type=self.value()) if self.value() else queryset
