"""Why an operation needs a person, in words and amounts; what else is noted about one is shown as it is."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.admin.words import amount_text, failure, lines, quiet
from payments.models import PaymentOperation
from payments.money import is_known
from payments.services.operations import Discrepancy
from payments.states import AttentionReason, OperationStatus, SessionStatus

_WITHOUT_EXPECTATION: Final = frozenset(
    {
        AttentionReason.CHARGED_BACK,
        AttentionReason.IMPOSSIBLE_AMOUNT,
        AttentionReason.CAPTURE_FAILED_LATE,
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
        AttentionReason.CAPTURE_FAILED_LATE,
        AttentionReason.POSSIBLY_BOOKED,
        AttentionReason.REFERENCE_REUSED,
        AttentionReason.REFERENCE_MISMATCH,
    }
)
"""These aren't about amounts, whatever their values look like."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,10})?")


def is_settled(operation: PaymentOperation) -> bool:
    """Return whether nothing is amiss with an operation any more: it has succeeded, or a person has decided."""
    is_decided = not operation.is_open and bool(operation.resolution_reason)
    return operation.status == OperationStatus.SUCCEEDED or is_decided


def trouble_html(operation: PaymentOperation, currency_code: str) -> SafeString:
    """Return what is amiss with an operation; where that is over, as a quiet remark on what was."""
    if is_settled(operation):
        return quiet(detail_text(operation.detail, currency_code))
    reasons = detail_lines(operation.detail, currency_code)
    return lines(failure(operation.error_code, operation.error_text), *reasons)


def detail_text(detail: str, currency_code: str) -> str:
    """Return an operation's `detail` for people, in one line."""
    return " ".join(detail_lines(detail, currency_code))


def detail_lines(detail: str, currency_code: str) -> list[str]:
    """Return an operation's reasons for attention for people, one a line; what is none as it is."""
    return [_reason(line, currency_code) for line in detail.splitlines()]


def _reason(detail: str, currency_code: str) -> str:
    if detail in AttentionReason.values:
        return f"{AttentionReason(detail).label}."
    discrepancy = Discrepancy.read(detail)
    return detail if discrepancy is None else discrepancy_text(discrepancy, currency_code)


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
    if code == AttentionReason.CAPTURE_FAILED_LATE:
        return value.partition(" ")[0]
    return value if code in _WORDS else _amount(value, currency_code)


def _amount(value: str, currency_code: str) -> str:
    """Return an amount as people write it, with its own currency, or with the name behind it, where it has one."""
    number, _separator, name = value.partition(" ")
    if not _NUMBER.fullmatch(number):
        return value
    if is_known(name):
        return amount_text(Decimal(number), name)
    shown = amount_text(Decimal(number), currency_code)
    return f"{shown} ({name})" if name else shown
