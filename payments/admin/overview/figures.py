"""The numbers of the overview, added up by the database, and the days that they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, DateTimeField, ExpressionWrapper, F, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone
from django.utils import timezone as django_timezone

from payments.admin.formatting import localized
from payments.models import Capture, Payment, PaymentOperation, Refund
from payments.money import ZERO
from payments.states import (
    MovementStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
)

CHOICES: Final = (7, 30, 90)
_USUAL: Final = 30


@dataclass(frozen=True, kw_only=True)
class Period:
    """The last `days` days, today included, in the active time zone."""

    days: int
    last: date

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Period:
        """Return the period that an address asks for; the usual one where it asks for none that is offered."""
        days = next((each for each in CHOICES if str(each) == query.get("days")), _USUAL)
        return cls(days=days, last=localized(django_timezone.now()).date())

    @property
    def dates(self) -> list[date]:
        """All days, oldest first."""
        return [self.last - timedelta(days=back) for back in range(self.days - 1, -1, -1)]

    @property
    def start(self) -> datetime:
        """The moment at which the period begins."""
        return beginning(self.dates[0])


def beginning(day: date) -> datetime:
    """Return the moment at which a day begins in the active time zone."""
    moment = datetime.combine(day, time.min)
    return django_timezone.make_aware(moment) if _has_zones() else moment


def hour_zone() -> tzinfo | None:
    """Return the one time zone in which every database can cut hours, or None where the project uses none.

    Databases without time zone tables, as MariaDB often is, can't convert to any other.
    """
    return UTC if _has_zones() else None


def hour_shift() -> timedelta:
    """Return by how much the full hours of the active time zone are off those of `hour_zone`: mostly by nothing."""
    offset = localized(django_timezone.now()).utcoffset() or timedelta() if _has_zones() else timedelta()
    return offset % timedelta(hours=1)


def _has_zones() -> bool:
    return django_timezone.is_aware(django_timezone.now())


EXPIRES_WITHIN: Final = timedelta(days=7)
MOST: Final = 10


@dataclass(frozen=True, kw_only=True)
class Series:
    """Amounts per provider and day, in one currency."""

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
    """How many authorizations of a provider succeeded, and how many it declined."""

    provider: str
    succeeded: int
    declined: int

    @property
    def percent(self) -> int:
        """The rate in whole per cent."""
        return round(100 * self.succeeded / (self.succeeded + self.declined))


@dataclass(frozen=True, kw_only=True)
class Decline:
    """How often providers declined with one code."""

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
    rows = PaymentOperation.objects.open().order_by()
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
