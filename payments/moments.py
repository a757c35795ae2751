"""Times as requests and providers name them, and as rows hold them: without a time zone where `USE_TZ` is off."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime

from django.utils import timezone


def stored_moment(moment: datetime) -> datetime:
    """Return a moment with a time zone as rows hold it, or one nearby; raise OverflowError for one out of range."""
    moment = aware_moment(moment).astimezone(UTC)
    # In the first and the last year of all, it could be out of range in another time zone, or in a database.
    near = moment.replace(year=min(max(moment.year, MINYEAR + 1), MAXYEAR - 1))
    if timezone.is_aware(timezone.now()):
        return near
    return timezone.make_naive(near, timezone.get_default_timezone())


def aware_moment(moment: datetime) -> datetime:
    """Return a row's moment with its time zone."""
    if timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment, timezone.get_default_timezone())
