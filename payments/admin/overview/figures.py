"""The numbers of the overview, put together from the sums of its days."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, QuerySet
from django.utils import timezone

from payments.models import Payment, PaymentOperation
from payments.money import ZERO
from payments.services.background.summaries import Answered, Moved, days_between
from payments.states import OperationKind, OperationStatus, PaymentStatus
from payments.stored import beginning, day_of

CHOICES: Final = (7, 30, 90)
_USUAL: Final = 30
EXPIRES_WITHIN: Final = timedelta(days=7)
MOST: Final = 10


@dataclass(frozen=True, kw_only=True)
class Period:
    """The last `days` days, today included, in the shop's time zone."""

    days: int
    last: date

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Period:
        """Return the period that an address asks for; the usual one where it asks for none that is offered."""
        days = next((each for each in CHOICES if str(each) == query.get("days")), _USUAL)
        return cls(days=days, last=day_of(timezone.now()))

    @property
    def dates(self) -> list[date]:
        """All days, oldest first."""
        return [self.last - timedelta(days=back) for back in range(self.days - 1, -1, -1)]

    @property
    def start(self) -> datetime:
        """The moment at which the period begins."""
        return beginning(self.dates[0])


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


class Sums:
    """What moved and what was answered in a period."""

    def __init__(self, period: Period) -> None:
        self._days = days_between(period.dates[0], period.last)

    def currencies(self) -> list[str]:
        """Return the currencies that were authorized in the period, the most frequent first."""
        counts: Counter[str] = Counter()
        for _day, each in self._moved("authorized"):
            counts[each.currency_code] += each.count
        return sorted(counts, key=lambda code: (-counts[code], code))

    def series(self, kind: str, currency: str) -> Series:
        """Return what was authorized, captured or refunded in a currency."""
        amounts: defaultdict[str, dict[date, Decimal]] = defaultdict(dict)
        for day, each in self._moved(kind):
            if each.currency_code == currency:
                amounts[each.provider_id][day] = each.amount
        return Series(amounts=dict(amounts))

    def success_rates(self) -> list[SuccessRate]:
        """Return how many authorizations succeeded per provider, of those that were answered for certain."""
        counts: Counter[tuple[str, str]] = Counter()
        for each in self._answered():
            if each.kind == OperationKind.AUTHORIZE:
                counts[each.provider_id, each.status] += each.count
        return [
            SuccessRate(
                provider=provider,
                succeeded=counts[provider, OperationStatus.SUCCEEDED],
                declined=counts[provider, OperationStatus.DECLINED],
            )
            for provider in sorted({provider for provider, _status in counts})
        ]

    def declines(self) -> list[Decline]:
        """Return the most frequent codes of refusals, whatever was refused."""
        counts: Counter[str] = Counter()
        for each in self._answered():
            if each.status == OperationStatus.DECLINED:
                counts[each.error_code] += each.count
        found = sorted(counts, key=lambda code: (-counts[code], code))
        return [Decline(code=code, count=counts[code]) for code in found[:MOST]]

    def _moved(self, kind: str) -> Iterator[tuple[date, Moved]]:
        return ((day.day, each) for day in self._days for each in day.moved if each.kind == kind)

    def _answered(self) -> Iterator[Answered]:
        return (each for day in self._days for each in day.answered)


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
