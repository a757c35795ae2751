"""Moments, days and messages as rows store them, and their conversion back.

Datetimes in rows are naive if `USE_TZ` is off. Messages are stored untranslated, and translated later for each reader;
a third party's own messages aren't in a catalog, so every reader gets them unchanged.
"""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, override

from payments.exceptions import PaymentError


def stored_moment(moment: datetime) -> datetime:
    """Return a datetime as rows store it; raise OverflowError if it is out of range.

    A datetime in the year 1 or 9999 is moved to the year 2 or 9998.
    """
    moment = aware_moment(moment).astimezone(UTC)
    # In the first and last year of the calendar, it could be out of range in another time zone or in a database.
    near = moment.replace(year=min(max(moment.year, MINYEAR + 1), MAXYEAR - 1))
    if timezone.is_aware(timezone.now()):
        return near
    return timezone.make_naive(near, timezone.get_default_timezone())


def aware_moment(moment: datetime) -> datetime:
    """Return a row's datetime with its time zone."""
    if timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment, timezone.get_default_timezone())


def day_of(moment: datetime) -> date:
    """Return the day of a row's datetime in the shop's time zone."""
    return aware_moment(moment).astimezone(timezone.get_default_timezone()).date()


def beginning(day: date) -> datetime:
    """Return the moment at which a day begins in the shop's time zone, as rows store it."""
    return stored_moment(
        timezone.make_aware(datetime.combine(day, time.min), timezone.get_default_timezone())
    )


def kept_words(words: str | Promise | PaymentError) -> str:
    """Return a text, or an error's message, untranslated."""
    with override(None):
        return str(words)


def told_words(words: str) -> str:
    """Return a stored text in the active language."""
    message = gettext(words) if words else ""
    # Without a translation, gettext still normalizes line endings; then the original is returned.
    return words if message == words.replace("\r\n", "\n").replace("\r", "\n") else message
