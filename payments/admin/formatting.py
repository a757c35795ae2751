"""Amounts, times, errors and reasons for attention as the pages show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import get_language_bidi
from django.utils.translation import gettext as _

from payments.exceptions import PaymentError
from payments.models import PaymentOperation
from payments.money import display_amount, is_known
from payments.services.operations import Discrepancy, reasons_in
from payments.states import AttentionReason, OperationStatus, SessionStatus


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
    """Return a labelled amount in a quieter colour; nothing where it is zero."""
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
    """Return a text as a remark in a quieter colour, or nothing."""
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
    """Return an amount for people; an unknown currency leaves the digits as they are stored."""
    try:
        return display_amount(value, currency_code)
    except PaymentError:
        return f"{value} {currency_code.upper()}"


_FAILED_LATE: Final = (AttentionReason.CAPTURE_FAILED_LATE, AttentionReason.REFUND_FAILED_LATE)

_WITHOUT_EXPECTATION: Final = frozenset(
    {
        AttentionReason.CHARGED_BACK,
        AttentionReason.REINSTATED,
        AttentionReason.IMPOSSIBLE_AMOUNT,
        *_FAILED_LATE,
        AttentionReason.CAPTURE_WITHOUT_REFERENCE,
        AttentionReason.REFUND_WITHOUT_REFERENCE,
    }
)
"""Nothing in particular was expected, so only what was reported is told."""

_WORDS: Final = frozenset(
    {
        AttentionReason.CURRENCY_MISMATCH,
        AttentionReason.IMPOSSIBLE_AMOUNT,
        AttentionReason.LATE_AUTHORIZATION,
        AttentionReason.AUTHORIZATION_NOT_CONFIRMED,
        *_FAILED_LATE,
        AttentionReason.POSSIBLY_BOOKED,
        AttentionReason.REFERENCE_REUSED,
        AttentionReason.REFERENCE_MISMATCH,
    }
)
"""These aren't about amounts, whatever their values look like."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,10})?")


def is_resolved(operation: PaymentOperation) -> bool:
    """Return whether an operation needs no attention: it has succeeded, or a person has decided."""
    is_decided = not operation.is_open and bool(operation.resolution_reason)
    return operation.status == OperationStatus.SUCCEEDED or is_decided


def trouble_html(operation: PaymentOperation, currency_code: str) -> SafeString:
    """Return what is wrong with an operation; of a resolved one, a remark on what was wrong."""
    if is_resolved(operation):
        return quiet(detail_text(operation, currency_code))
    reasons = detail_lines(operation, currency_code)
    return lines(failure(operation.error_code, operation.error_text), *reasons)


def detail_text(operation: PaymentOperation, currency_code: str) -> str:
    """Return an operation's reasons for attention in words, in one line."""
    return " ".join(detail_lines(operation, currency_code))


def detail_lines(operation: PaymentOperation, currency_code: str) -> list[str]:
    """Return an operation's reasons for attention in words, one per line, and other lines unchanged."""
    return reasons_text(operation.detail, operation.discrepancies, currency_code)


def reasons_text(detail: str, discrepancies: Sequence[Mapping[str, str]], currency_code: str) -> list[str]:
    """Return in words what an operation, or an event about one, keeps of why it needs attention."""
    return [_reason(each, currency_code) for each in reasons_in(detail, discrepancies)]


def _reason(reason: Discrepancy | str, currency_code: str) -> str:
    if isinstance(reason, Discrepancy):
        return discrepancy_text(reason, currency_code)
    return f"{AttentionReason(reason).label}." if reason in AttentionReason.values else reason


def resolution_text(reason: str, evidence: str) -> str:
    """Return how a person knows what became of an operation."""
    return f"{reason} · {_('Evidence: %(evidence)s') % {'evidence': evidence}}" if evidence else reason


def discrepancy_text(discrepancy: Discrepancy, currency_code: str) -> str:
    """Return in which way a report differs from what was expected."""
    code = discrepancy.code
    parts = {
        "reason": AttentionReason(code).label,
        "expected": _value(code, discrepancy.expected, currency_code),
        "reported": _value(code, discrepancy.reported, currency_code),
    }
    if code in _WITHOUT_EXPECTATION:
        return _("%(reason)s: %(reported)s.") % parts
    return _("%(reason)s: expected %(expected)s, reported %(reported)s.") % parts


def _value(code: AttentionReason, value: str, currency_code: str) -> str:
    if code == AttentionReason.CURRENCY_MISMATCH:
        return value.upper()
    if code == AttentionReason.LATE_AUTHORIZATION and value in SessionStatus.values:
        return str(SessionStatus(value).label)
    if code in _FAILED_LATE:
        return value.partition(" ")[0]
    return value if code in _WORDS else _named_amount(value, currency_code)


def _named_amount(value: str, currency_code: str) -> str:
    """Return an amount as people write it, with its own currency, or with the name behind it, where it has one."""
    number, _separator, name = value.partition(" ")
    if not _NUMBER.fullmatch(number):
        return value
    if is_known(name):
        return amount_text(Decimal(number), name)
    shown = amount_text(Decimal(number), currency_code)
    return f"{shown} ({name})" if name else shown
