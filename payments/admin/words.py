"""Amounts and times as the pages show them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import get_language_bidi

from payments.exceptions import PaymentError
from payments.money import display_amount


def localized(value: datetime) -> datetime:
    """Return a time in the active time zone; without time zones in the project, as it is."""
    return timezone.localtime(value) if timezone.is_aware(value) else value


def amount_text(value: Decimal, currency_code: str) -> str:
    """Return an amount for people, to be put into a sentence."""
    return isolated(_amount(value, currency_code))


def amount_html(value: Decimal | None, currency_code: str) -> SafeString:
    """Return an amount that never breaks in two lines, or nothing; the style sheet isolates it."""
    if value is None:
        return SafeString()
    return format_html('<span class="payments-amount">{}</span>', _amount(value, currency_code))


def isolated(text: str) -> str:
    """Return a text that no neighbour pulls apart where the language runs from right to left.

    The amount stays before its currency in the direction of reading, as CLDR writes it.
    """
    if not get_language_bidi():
        return text
    return f"\N{RIGHT-TO-LEFT ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def moment(value: datetime | None) -> SafeString:
    """Return a date and time in the active language and time zone, or nothing."""
    if value is None:
        return SafeString()
    local = localized(value)
    return format_html(
        '<time datetime="{}"><span class="payments-nowrap">{}</span> <span class="payments-nowrap">{}</span></time>',
        value.isoformat(),
        formats.date_format(local, "DATE_FORMAT"),
        formats.time_format(local, "TIME_FORMAT"),
    )


def moment_text(value: datetime) -> str:
    """Return a date and time in the active language and time zone, to be put into a sentence."""
    local = localized(value)
    return isolated(
        f"{formats.date_format(local, 'DATE_FORMAT')} {formats.time_format(local, 'TIME_FORMAT')}"
    )


def age(value: datetime) -> SafeString:
    """Return how long ago something was, with the date and time in the title."""
    local = localized(value)
    return format_html(
        '<time class="payments-nowrap" datetime="{}" title="{}">{}</time>',
        value.isoformat(),
        formats.date_format(local, "DATETIME_FORMAT"),
        timesince(value, depth=1),
    )


def amount_remark(label: str, value: Decimal, currency_code: str) -> SafeString:
    """Return a labelled amount that stands back behind another one; nothing where it is zero."""
    if not value:
        return SafeString()
    shown = amount_html(value, currency_code)
    return format_html('<span class="payments-remark payments-nowrap">{} {}</span>', label, shown)


def lines(*parts: object) -> SafeString:
    """Return the parts that aren't empty, each on a line of its own; nothing where all are."""
    shown = format_html_join("", '<span class="payments-line">{}</span>', ((part,) for part in parts if part))
    # Without a common parent they would stand side by side where a skin makes a row out of a cell.
    return format_html('<span class="payments-lines">{}</span>', shown) if shown else shown


def quiet(text: object) -> SafeString:
    """Return a remark that stands back behind what it belongs to; nothing where there is none."""
    return format_html('<span class="payments-remark">{}</span>', text) if text else SafeString()


def failure(code: str, message: str) -> SafeString:
    """Return an error's message and code, or nothing."""
    if not code and not message:
        return SafeString()
    return lines(
        format_html('<span class="payments-error">{}</span>', message) if message else "",
        format_html('<code class="payments-code">{}</code>', code) if code else "",
    )


def _amount(value: Decimal, currency_code: str) -> str:
    """Return an amount for people; one in a currency that isn't known any more with the digits it has."""
    try:
        return display_amount(value, currency_code)
    except PaymentError:
        return f"{value} {currency_code.upper()}"
