"""The numbers of the overview, added up by the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, DateTimeField, ExpressionWrapper, F, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from payments.admin.overview.periods import Period, hour_shift, hour_zone
from payments.admin.words import localized
from payments.models import Capture, Payment, PaymentOperation, Refund
from payments.money import ZERO
from payments.states import (
    OPEN_OPERATION_STATUSES,
    MovementStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
)

EXPIRES_WITHIN: Final = timedelta(days=7)
MOST: Final = 10


@dataclass(frozen=True, kw_only=True)
class Series:
    """Hold amounts per provider and day, in one currency."""

    amounts: dict[str, dict[date, Decimal]]

    @property
    def providers(self) -> list[str]:
        """The providers that had anything."""
        return sorted(self.amounts)

    @property
    def total(self) -> Decimal:
        """Everything."""
        return sum((self.of_provider(each) for each in self.amounts), ZERO)

    def of_provider(self, provider: str) -> Decimal:
        """Return what one provider had on all days."""
        return sum(self.amounts.get(provider, {}).values(), ZERO)

    def on(self, day: date) -> Decimal:
        """Return what all providers had on a day."""
        return sum((days.get(day, ZERO) for days in self.amounts.values()), ZERO)


@dataclass(frozen=True, kw_only=True)
class SuccessRate:
    """Count how many authorizations of a provider succeeded, and how many it refused."""

    provider: str
    succeeded: int
    declined: int

    @property
    def percent(self) -> int:
        """The rate in whole per cent."""
        return round(100 * self.succeeded / (self.succeeded + self.declined))


@dataclass(frozen=True, kw_only=True)
class Decline:
    """Count refusals with one code."""

    code: str
    count: int


def currencies(period: Period) -> list[str]:
    """Return the currencies that were authorized in the period, the most frequent first."""
    rows = Payment.objects.filter(created_at__gte=period.start).order_by()
    counted = rows.values_list("collection__currency_code").annotate(count=Count("pk"))
    return [code for code, _count in sorted(counted, key=lambda row: (-row[1], row[0]))]


def authorized(period: Period, currency: str) -> Series:
    """Return what was authorized."""
    rows = Payment.objects.filter(created_at__gte=period.start, collection__currency_code=currency)
    return _series(rows, moment="created_at", provider="provider_id")


def captured(period: Period, currency: str) -> Series:
    """Return what was captured."""
    return _series(
        _movements(Capture, period, currency), moment="succeeded_at", provider="payment__provider_id"
    )


def refunded(period: Period, currency: str) -> Series:
    """Return what was refunded."""
    return _series(
        _movements(Refund, period, currency), moment="succeeded_at", provider="payment__provider_id"
    )


def success_rates(period: Period) -> list[SuccessRate]:
    """Return how many authorizations succeeded per provider, of those that were answered for certain."""
    ended = [OperationStatus.SUCCEEDED, OperationStatus.DECLINED]
    rows = _operations(period).filter(kind=OperationKind.AUTHORIZE, status__in=ended)
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for provider, status, count in rows.values_list("provider_id", "status").annotate(count=Count("pk")):
        counts[provider][status] = count
    return [
        SuccessRate(
            provider=provider,
            succeeded=found.get(OperationStatus.SUCCEEDED, 0),
            declined=found.get(OperationStatus.DECLINED, 0),
        )
        for provider, found in sorted(counts.items())
    ]


def declines(period: Period) -> list[Decline]:
    """Return the most frequent codes of refusals, whatever was refused."""
    rows = _operations(period).filter(status=OperationStatus.DECLINED)
    counted = rows.values_list("error_code").annotate(count=Count("pk")).order_by("-count", "error_code")
    return [Decline(code=code, count=count) for code, count in counted[:MOST]]


def unresolved() -> dict[str, int]:
    """Return how many operations aren't over, by status, whenever they began."""
    rows = PaymentOperation.objects.filter(status__in=sorted(OPEN_OPERATION_STATUSES)).order_by()
    return dict(rows.values_list("status").annotate(count=Count("pk")))


def expiring() -> QuerySet[Payment]:
    """Return the payments whose held money is lost soon, the most urgent first."""
    now = timezone.now()
    return (
        Payment.objects.filter(
            status__in=[PaymentStatus.AUTHORIZED, PaymentStatus.PARTIALLY_CAPTURED],
            expires_at__gt=now,
            expires_at__lte=now + EXPIRES_WITHIN,
        )
        .select_related("collection")
        .defer("provider_data", "metadata", "collection__metadata")
        .order_by("expires_at", "id")
    )


def _movements(model: Any, period: Period, currency: str) -> QuerySet[Any]:
    rows: QuerySet[Any] = model.objects.filter(
        status=MovementStatus.SUCCEEDED,
        succeeded_at__gte=period.start,
        payment__collection__currency_code=currency,
    )
    return rows


def _operations(period: Period) -> QuerySet[PaymentOperation]:
    return PaymentOperation.objects.filter(created_at__gte=period.start).order_by()


def _series(rows: QuerySet[Any], *, moment: str, provider: str) -> Series:
    """Add up by provider and hour in the database, and by day here, where the time zone is known."""
    shift = hour_shift()
    shifted = ExpressionWrapper(F(moment) + shift, output_field=DateTimeField()) if shift else F(moment)
    hours = rows.order_by().annotate(hour=TruncHour(shifted, tzinfo=hour_zone()))
    sums: Iterable[tuple[str, Any, Decimal]] = hours.values_list(provider, "hour").annotate(
        total=Sum("amount")
    )
    amounts: defaultdict[str, defaultdict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for alias, hour, total in sums:
        amounts[alias][localized(hour - shift).date()] += total
    return Series(amounts={alias: dict(days) for alias, days in amounts.items()})
