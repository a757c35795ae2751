"""The filters beside the lists. None of them reads a whole table to find out what it can offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import admin
from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from payments.admin.timelines import SENTENCES
from payments.models import PaymentCollection, PaymentOperation, PaymentProvider, PaymentSession
from payments.states import OPEN_OPERATION_STATUSES, CollectionStatus, OperationStatus

_RECENT: Final = 1_000


class CurrencyFilter(admin.SimpleListFilter):
    """Offer the currencies of the newest collections, and the one that is chosen."""

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
    """Offer currencies for rows below a collection."""

    path = "collection__currency_code"


class MovementCurrencyFilter(CurrencyFilter):
    """Offer currencies for rows below a payment."""

    path = "payment__collection__currency_code"


class CollectionProviderFilter(admin.SimpleListFilter):
    """Find the collections that have a session with a provider."""

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
    """Find the collections with operations that need a person, or that aren't over."""

    title = _("open operations")
    parameter_name = "operations"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the two questions."""
        return [("attention", _("Needs attention")), ("open", _("Not over yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down."""
        statuses = {"attention": [OperationStatus.ATTENTION], "open": sorted(OPEN_OPERATION_STATUSES)}
        wanted = statuses.get(self.value() or "")
        if wanted is None:
            return queryset
        # Such operations are few, so the collections are found by them and not the other way round.
        return queryset.filter(
            pk__in=PaymentOperation.objects.filter(status__in=wanted).order_by().values("collection")
        )


class RefundedFilter(admin.SimpleListFilter):
    """Find the collections whose money all went back, which share their status with those that were never paid."""

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
    """Find what payers' banks have taken back and not returned, whoever has acknowledged it."""

    title = _("charge-backs")
    parameter_name = "charged_back"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the one question."""
        return [("yes", _("Charged back"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down, along the index of what was charged back."""
        return queryset.filter(charged_back_amount__gt=0) if self.value() == "yes" else queryset


class EventTypeFilter(admin.SimpleListFilter):
    """Offer the kinds of change that the history knows, in words."""

    title = _("what happened")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the kinds."""
        return list(SENTENCES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list down to a kind."""
        return queryset.filter(type=self.value()) if self.value() else queryset
