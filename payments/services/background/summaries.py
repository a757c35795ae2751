"""What each day's movements and answers add up to: kept by a worker once the day is over, added up anew until then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Case, Count, Min, QuerySet, Sum, Value, When
from django.utils import timezone

from payments.models import Capture, DaySummary, Payment, PaymentOperation, Refund
from payments.services.ledger.history import SUMMED_AFTER
from payments.services.ledger.locks import get_or_insert, lock_free, repeated
from payments.states import MovementStatus, OperationStatus
from payments.stored import beginning, day_of

_DAY: Final = timedelta(days=1)
_ANSWERS: Final = (OperationStatus.SUCCEEDED, OperationStatus.DECLINED)
_MOVES: Final[Sequence[tuple[str, type[Any], str, str]]] = (
    ("authorized", Payment, "created_at", ""),
    ("captured", Capture, "succeeded_at", "payment__"),
    ("refunded", Refund, "succeeded_at", "payment__"),
)
"""What is added up: its kind, its model, the moment that decides on its day, and the way to its payment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """The `count` payments, captures or refunds of a day at one provider, and their amount in major units.

    `kind` is `authorized`, `captured` or `refunded`.
    """

    kind: str
    provider_id: str
    currency_code: str
    count: int
    amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """The `count` operations that began on a day and that a provider has answered alike.

    `kind` is the operation's; `error_code` is empty unless the `status` is `declined`.
    """

    kind: str
    provider_id: str
    status: str
    error_code: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Day:
    """The sums of one day in the shop's time zone."""

    day: date
    moved: Sequence[Moved] = ()
    answered: Sequence[Answered] = ()


def days_between(first: date, last: date) -> list[Day]:
    """Return the sums of all days from `first` to `last`, both included, oldest first."""
    found = {row.day: _read(row) for row in _kept().filter(day__range=(first, last))}
    wanted = [first + number * _DAY for number in range((last - first).days + 1)]
    for missing in _runs([day for day in wanted if day not in found]):
        found.update((each.day, each) for each in add_up(missing))
    return [found[day] for day in wanted]


def sum_ended_days(*, limit: int, progress: Callable[[Day], None] | None = None) -> int:
    """Keep the sums of up to `limit` days that are over, the newest first; return how many were kept."""
    oldest = PaymentOperation.objects.aggregate(at=Min("created_at"))["at"]
    last = day_of(timezone.now() - SUMMED_AFTER) - _DAY
    total = 0 if oldest is None else (last - day_of(oldest)).days + 1
    kept = _kept().filter(day__gt=last - total * _DAY, day__lte=last)
    if total <= 0 or kept.count() == total:
        return 0
    known = set(kept.values_list("day", flat=True))
    missing = (day for day in (last - number * _DAY for number in range(total)) if day not in known)
    done = 0
    while done < limit and (day := next(missing, None)):
        if summed := _keep(day):
            done += 1
            if progress is not None:
                progress(summed)
    return done


def forget_all() -> None:
    """Delete all summaries, so that the days are added up anew."""
    DaySummary.objects.all().delete()


def _keep(day: date) -> Day | None:
    """Add up a day that is over, and keep it; return None if another worker does that or the day has just changed.

    The empty row is committed before anything is read, so that a transaction that changes the day waits for this one.
    """
    zone = timezone.get_default_timezone_name()
    get_or_insert(DaySummary.objects.all(), pk=day, defaults={"time_zone": zone})
    mine = DaySummary.objects.filter(pk=day)

    def step() -> Day | None:
        if not lock_free(mine) or _kept().filter(pk=day).exists():
            return None
        (summed,) = add_up([day])
        return summed if mine.update(time_zone=zone, sums=_written(summed)) else None

    return repeated(step)


def _kept() -> QuerySet[DaySummary]:
    return DaySummary.objects.filter(time_zone=timezone.get_default_timezone_name(), sums__isnull=False)


def _written(day: Day) -> dict[str, Any]:
    return {
        "moved": [asdict(each) for each in day.moved],
        "answered": [asdict(each) for each in day.answered],
    }


def _read(row: DaySummary) -> Day:
    sums: Any = row.sums
    return Day(
        day=row.day,
        moved=[Moved(**each | {"amount": Decimal(each["amount"])}) for each in sums["moved"]],
        answered=[Answered(**each) for each in sums["answered"]],
    )


def _runs(days: Sequence[date]) -> list[list[date]]:
    """Return days in runs of consecutive ones."""
    runs: list[list[date]] = []
    for day in days:
        if runs and runs[-1][-1] + _DAY == day:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def add_up(days: Sequence[date]) -> list[Day]:
    """Add up consecutive days, whatever is kept of them."""
    moved: defaultdict[date, list[Moved]] = defaultdict(list)
    for kind, model, moment, payment in _MOVES:
        rows = (
            model.objects.all() if model is Payment else model.objects.filter(status=MovementStatus.SUCCEEDED)
        )
        names = (f"{payment}provider_id", f"{payment}collection__currency_code")
        for day, (provider, currency, count, amount) in _grouped(rows, moment, days, names, Sum("amount")):
            moved[day].append(
                Moved(kind=kind, provider_id=provider, currency_code=currency, count=count, amount=amount)
            )
    answered: defaultdict[date, list[Answered]] = defaultdict(list)
    operations = PaymentOperation.objects.filter(status__in=_ANSWERS)
    answer = ("kind", "provider_id", "status", "error_code")
    for day, (kind, provider, status, code, count) in _grouped(operations, "created_at", days, answer):
        answered[day].append(
            Answered(kind=kind, provider_id=provider, status=status, error_code=code, count=count)
        )
    return [Day(day=day, moved=moved[day], answered=answered[day]) for day in days]


def _grouped(
    rows: QuerySet[Any], moment: str, days: Sequence[date], names: Sequence[str], *sums: Sum
) -> Iterator[tuple[date, tuple[Any, ...]]]:
    """Yield each day's rows in groups with the same values of `names`: those values, the number of rows, the sums.

    Days aren't cut by the database, which may not know the shop's time zone.
    """
    ends = [beginning(day + _DAY) for day in days]
    place = Case(
        *(When(**{f"{moment}__lt": end}, then=Value(number)) for number, end in enumerate(ends[:-1])),
        default=Value(len(days) - 1),
    )
    within = rows.filter(**{f"{moment}__gte": beginning(days[0]), f"{moment}__lt": ends[-1]})
    grouped = within.annotate(place=place).values_list("place", *names).order_by("place", *names)
    for number, *values in grouped.annotate(Count("pk"), *sums):
        yield days[number], tuple(values)
