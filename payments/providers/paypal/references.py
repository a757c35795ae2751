"""What we write on PayPal's objects, so that they can be told from others' and found again.

An order's `custom_id` is our session's id, which its authorizations and captures have too; behind a slash it says that
the session was canceled. A capture's `invoice_id` is our operation's id: PayPal refuses a second one with the same. A
refund's `custom_id` names session, operation, and, if it is one of several that make up one refund of ours, the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

CANCELED: Final = "canceled"

_SESSION: Final = "payses_"
_OPERATION: Final = "payop_"


@dataclass(frozen=True, kw_only=True)
class RefundMark:
    """Say which operation of ours a refund belongs to; `total` (major units) where it is only a part of it."""

    operation_id: str
    total: Decimal | None = None


def session_of(custom_id: Any) -> str | None:
    """Return the session that an object of PayPal's was made for, if it is one of ours."""
    session_id = str(custom_id or "").partition("/")[0]
    return session_id if session_id.startswith(_SESSION) else None


def canceled_mark(session_id: str) -> str:
    """Return what is written on the order of a canceled session."""
    return f"{session_id}/{CANCELED}"


def is_canceled(custom_id: Any) -> bool:
    """Return whether an order's session was canceled."""
    return str(custom_id or "").endswith(f"/{CANCELED}")


def operation_of(invoice_id: Any) -> str | None:
    """Return the operation that a capture belongs to, if it is one of ours."""
    text = str(invoice_id or "")
    return text if text.startswith(_OPERATION) else None


def refund_mark(session_id: str, operation_id: str, *, total: Decimal | None) -> str:
    """Return what is written on a refund."""
    mark = f"{session_id}/{operation_id}"
    return mark if total is None else f"{mark}/{total:f}"


def read_refund_mark(custom_id: Any) -> RefundMark | None:
    """Return what we have written on a refund, if we have; one made in PayPal's dashboard has its capture's."""
    _session, *rest = str(custom_id or "").split("/")
    if not rest or not rest[0].startswith(_OPERATION):
        return None
    try:
        total = Decimal(rest[1]) if rest[1:] else None
    except InvalidOperation:
        return None
    return RefundMark(operation_id=rest[0], total=total) if total is None or total.is_finite() else None
