"""The days that the overview is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from django.utils import timezone as django_timezone

from payments.admin.words import localized

CHOICES: Final = (7, 30, 90)
_USUAL: Final = 30


@dataclass(frozen=True, kw_only=True)
class Period:
    """Be the last so many days, today included, in the active time zone."""

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
