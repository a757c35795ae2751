"""PayPal's orders as they are read here: typed, with exact amounts, and nothing that isn't needed.

What doesn't have the form that PayPal documents raises PayPalAnswerError: it can't be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from payments.exceptions import AmountError, CurrencyError
from payments.money import ZERO
from payments.providers.facts import is_web_address
from payments.providers.paypal.errors import PayPalAnswerError
from payments.providers.paypal.parameters import from_value
from payments.providers.paypal.references import RefundMark, is_canceled, operation_of, read_refund_mark

Object = Mapping[str, Any]

_APPROVAL_LINKS: Final = ("payer-action", "approve")
_RELEASED: Final = frozenset({"VOIDED", "EXPIRED"})
_TAKEN: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_NOT_TAKEN: Final = frozenset({"DECLINED", "FAILED"})
_NOT_GIVEN: Final = frozenset({"CANCELLED", "FAILED"})
_UNAPPROVED: Final = frozenset({"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"})
_UNREADABLE: Final = (LookupError, TypeError, AttributeError, ValueError, AmountError, CurrencyError)


@dataclass(frozen=True, kw_only=True)
class Authorization:
    """An authorization; `amount` is in major units, in the order's currency."""

    id: str
    status: str
    amount: Decimal
    reason: str | None
    expires_at: datetime | None

    @property
    def holds(self) -> bool:
        """Whether money is held, or was until it was taken or released."""
        return self.status not in ("DENIED", "PENDING")

    @property
    def is_released(self) -> bool:
        """Whether PayPal has let go of what it held."""
        return self.status in _RELEASED

    @property
    def is_over(self) -> bool:
        """Whether nothing is held any more, be it captured or released."""
        return self.is_released or self.status == "CAPTURED"


@dataclass(frozen=True, kw_only=True)
class Capture:
    """A capture; `amount` is in major units, in the order's currency."""

    id: str
    status: str
    amount: Decimal
    reason: str | None
    operation_id: str | None
    is_final: bool

    @property
    def is_taken(self) -> bool:
        """Whether the merchant has the money, or had it until it was refunded."""
        return self.status in _TAKEN

    @property
    def has_failed(self) -> bool:
        """Whether no money was or will be taken."""
        return self.status in _NOT_TAKEN


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A refund; `amount` is in major units, in the order's currency."""

    id: str
    status: str
    amount: Decimal
    reason: str | None
    capture_id: str | None
    mark: RefundMark | None
    created_at: datetime | None

    @property
    def is_given(self) -> bool:
        """Whether the payer has the money back."""
        return self.status == "COMPLETED"

    @property
    def has_failed(self) -> bool:
        """Whether no money was or will be given back."""
        return self.status in _NOT_GIVEN


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order with its money's movements; `currency_code` is in lower case, amounts are in major units.

    `takes_at_once` tells that the money is captured without being held first: so it was asked for when it was made.
    """

    id: str
    status: str
    takes_at_once: bool
    currency_code: str
    amount: Decimal
    is_canceled: bool
    approve_url: str | None
    authorizations: tuple[Authorization, ...]
    captures: tuple[Capture, ...]
    refunds: tuple[Refund, ...]

    @property
    def authorization(self) -> Authorization | None:
        """The authorization that counts: the newest, unless it was denied while an older one stands.

        A second one is made where the first was denied, or to renew it.
        """
        standing = [row for row in self.authorizations if row.status != "DENIED"] or self.authorizations
        return standing[-1] if standing else None

    @property
    def waits_for_payer(self) -> bool:
        """Whether the payer has to approve it first."""
        return self.status in _UNAPPROVED

    @property
    def is_paid(self) -> bool:
        """Whether the payer's money was asked for, successfully or not."""
        return self.authorization is not None or bool(self.captures)

    @property
    def captured(self) -> Decimal:
        """How much was taken."""
        return sum((row.amount for row in self.captures if row.is_taken), ZERO)

    @property
    def reserved(self) -> Decimal:
        """How much was taken, or will be as far as is known."""
        return sum((row.amount for row in self.captures if not row.has_failed), ZERO)

    @property
    def released(self) -> Decimal | None:
        """How much of what was held will never be taken; None as long as it is still held, or nothing was."""
        if self.authorization is None or not self.authorization.holds:
            return None
        is_closed = any(row.is_final and not row.has_failed for row in self.captures)
        if not (is_closed or self.authorization.is_over):
            return None
        return max(self.authorization.amount - self.reserved, ZERO)

    def capture_of(self, operation_id: str) -> Capture | None:
        """Return the capture that an operation of ours has made, if it has."""
        return next((row for row in self.captures if row.operation_id == operation_id), None)

    def refunds_of(self, operation_id: str) -> tuple[Refund, ...]:
        """Return the refunds that an operation of ours has made."""
        return tuple(row for row in self.refunds if row.mark and row.mark.operation_id == operation_id)

    def left_of(self, capture: Capture) -> Decimal:
        """Return how much of a capture can still be refunded."""
        if not capture.is_taken:
            return ZERO
        gone = (row.amount for row in self.refunds if row.capture_id == capture.id and not row.has_failed)
        return max(capture.amount - sum(gone, ZERO), ZERO)


def read_order(answer: Object) -> Order:
    """Return an order of PayPal's."""
    try:
        return _order(answer)
    except _UNREADABLE as error:
        raise PayPalAnswerError("PayPal's order can't be read.") from error


def read_capture(answer: Object, currency_code: str) -> Capture:
    """Return a capture of PayPal's, which has to be in this currency."""
    try:
        return _capture(answer, currency_code)
    except _UNREADABLE as error:
        raise PayPalAnswerError("PayPal's capture can't be read.") from error


def read_refund(answer: Object, currency_code: str) -> Refund:
    """Return a refund of PayPal's, which has to be in this currency."""
    try:
        return _refund(answer, currency_code)
    except _UNREADABLE as error:
        raise PayPalAnswerError("PayPal's refund can't be read.") from error


def _order(answer: Object) -> Order:
    [unit] = answer["purchase_units"]
    currency = str(unit["amount"]["currency_code"]).lower()
    paid: Object = unit.get("payments") or {}
    return Order(
        id=_text(answer["id"]),
        status=_text(answer["status"]),
        takes_at_once=answer["intent"] == "CAPTURE",
        currency_code=currency,
        amount=_amount(unit, currency),
        is_canceled=is_canceled(unit.get("custom_id")),
        approve_url=_approve_url(answer),
        authorizations=tuple(_authorization(row, currency) for row in paid.get("authorizations") or ()),
        captures=tuple(_capture(row, currency) for row in paid.get("captures") or ()),
        refunds=tuple(_refund(row, currency) for row in paid.get("refunds") or ()),
    )


def _authorization(row: Object, currency_code: str) -> Authorization:
    expires = row.get("expiration_time")
    return Authorization(
        id=_text(row["id"]),
        status=_text(row["status"]),
        amount=_amount(row, currency_code),
        reason=_reason(row),
        expires_at=None if expires is None else time_of(expires),
    )


def _capture(row: Object, currency_code: str) -> Capture:
    return Capture(
        id=_text(row["id"]),
        status=_text(row["status"]),
        amount=_amount(row, currency_code),
        reason=_reason(row),
        operation_id=operation_of(row.get("invoice_id")),
        is_final=bool(row.get("final_capture")),
    )


def _refund(row: Object, currency_code: str) -> Refund:
    created = row.get("create_time")
    return Refund(
        id=_text(row["id"]),
        status=_text(row["status"]),
        amount=_amount(row, currency_code),
        reason=_reason(row),
        capture_id=parent_id(row),
        mark=read_refund_mark(row.get("custom_id")),
        created_at=None if created is None else time_of(created),
    )


def parent_id(row: Object) -> str | None:
    """Return the id of what an object of PayPal's was made from: its link says so."""
    href = link_of(row, "up")
    return None if href is None else href.rstrip("/").rpartition("/")[2]


def time_of(value: str) -> datetime:
    """Return one of PayPal's times; raise ValueError for one without its zone."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _approve_url(answer: Object) -> str | None:
    links = (link_of(answer, rel) for rel in _APPROVAL_LINKS)
    return next((href for href in links if is_web_address(href)), None)


def link_of(row: Object, rel: str) -> str | None:
    """Return the address of the link of this kind, if an object of PayPal's has one."""
    links = row.get("links") or ()
    return next((_text(link["href"]) for link in links if link.get("rel") == rel), None)


def _amount(row: Object, currency_code: str) -> Decimal:
    money: Object = row["amount"]
    if str(money["currency_code"]).lower() != currency_code:
        raise ValueError("an amount in another currency")
    return from_value(money["value"], currency_code)


def _reason(row: Object) -> str | None:
    details = row.get("status_details") or {}
    reason = details.get("reason")
    return None if reason is None else str(reason)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("no text where there should be one")
    return value
