"""What we write on PayPal's objects to find them again, and where its merchants see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from payments.providers.paypal.options import PayPalOptions

CANCELED: Final = "canceled"

LIVE_SITE: Final = "https://www.paypal.com"
SANDBOX_SITE: Final = "https://www.sandbox.paypal.com"

_SESSION: Final = "payses_"
_OPERATION: Final = "payop_"
_TRANSACTION: Final = re.compile(r"[0-9A-Z]{1,64}")


@dataclass(frozen=True, kw_only=True)
class RefundMark:
    """The operation of ours that a refund belongs to; `total` (major units) where it is only a part of one of ours."""

    operation_id: str
    total: Decimal | None = None


def session_of(custom_id: Any) -> str | None:
    """Return the session that an object of PayPal's was made for, if it is one of ours.

    An order's `custom_id` is our session's id, which its authorizations and captures have too.
    """
    session_id = str(custom_id or "").partition("/")[0]
    return session_id if session_id.startswith(_SESSION) else None


def canceled_mark(session_id: str) -> str:
    """Return what is written on the order of a canceled session, as its `custom_id`."""
    return f"{session_id}/{CANCELED}"


def is_canceled(custom_id: Any) -> bool:
    """Return whether an order's session was canceled."""
    return str(custom_id or "").endswith(f"/{CANCELED}")


def operation_of(invoice_id: Any) -> str | None:
    """Return the operation that a capture belongs to, if it is one of ours.

    It is the capture's `invoice_id`: PayPal refuses a second capture with the same.
    """
    text = str(invoice_id or "")
    return text if text.startswith(_OPERATION) else None


def refund_mark(session_id: str, operation_id: str, *, total: Decimal | None) -> str:
    """Return what is written on a refund, as its `custom_id`; with the total where one refund of ours takes several."""
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


def transaction_url(transaction_id: str, options: PayPalOptions) -> str:
    """Return PayPal's page of a capture or refund; nothing for what has none, or where the API isn't PayPal's own.

    PayPal documents no such address. This one, with the id of a capture or refund, is where WooCommerce's plug-in for
    PayPal leads merchants (`modules/ppcp-wc-gateway/services.php` in woocommerce/woocommerce-paypal-payments, read in
    November 2026). PayPal lists transactions: the id of an order isn't one.
    """
    if options.is_elsewhere or not _TRANSACTION.fullmatch(transaction_id):
        return ""
    site = LIVE_SITE if options.livemode else SANDBOX_SITE
    return f"{site}/cgi-bin/webscr?cmd=_view-a-trans&id={transaction_id}"
