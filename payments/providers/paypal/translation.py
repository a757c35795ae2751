"""PayPal's orders as facts in cumulative amounts, with all that became of them: captures, refunds and disputes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from payments.exceptions import AmountError, CurrencyError
from payments.money import ZERO
from payments.providers.facts import Failure, MovementFact, NextAction, SessionFact
from payments.providers.paypal.errors import status_failure
from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.orders import Authorization, Capture, Order, Refund, time_of
from payments.providers.paypal.parameters import from_value
from payments.providers.paypal.refunds import refund_facts, refund_groups
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.stored import aware_moment

Json = dict[str, Any]

_LOST: Final = frozenset({"RESOLVED_BUYER_FAVOUR", "ACCEPTED"})
_INQUIRY: Final = "INQUIRY"

OUTCOMES: Final[Mapping[MovementStatus, Outcome]] = {
    MovementStatus.PENDING: Outcome.PENDING,
    MovementStatus.SUCCEEDED: Outcome.SUCCEEDED,
    MovementStatus.FAILED: Outcome.DECLINED,
}


def public_data(order: Order, options: PayPalOptions) -> Json:
    """Return what of an order a browser may hold: what PayPal's own script needs, and where to approve it."""
    return {
        "order_id": order.id,
        "status": order.status,
        "client_id": options.client_id,
        "approve_url": order.approve_url,
    }


def private_data(order: Order) -> Json:
    """Return what of an order stays on the server: only its id, because every verb looks the order up."""
    return {"order_id": order.id}


def log_of(order: Order) -> Json:
    """Return an account of an order that an operator may read."""
    authorization = order.authorization
    return {
        "id": order.id,
        "status": order.status,
        "amount": str(order.amount),
        "currency": order.currency_code,
        "authorization": None if authorization is None else f"{authorization.id} {authorization.status}",
        "captures": [f"{row.id} {row.status} {row.amount}" for row in order.captures],
        "refunds": [f"{row.id} {row.status} {row.amount}" for row in order.refunds],
    }


def next_action(order: Order) -> NextAction | None:
    """Return where the payer has to go to approve an order, if they have to."""
    if order.is_paid or order.is_canceled or not order.waits_for_payer or order.approve_url is None:
        return None
    return NextAction(type="redirect", url=order.approve_url)


def is_ready(order: Order) -> bool:
    """Return whether the payer has approved an order, and nobody has asked for its money yet."""
    return order.status == "APPROVED" and not (order.is_paid or order.is_canceled)


def session_status(order: Order) -> SessionStatus:
    """Return where a session with this order stands."""
    if order.authorization is not None:
        return _authorization_status(order, order.authorization)
    if order.captures:
        return _capture_status(order)
    if order.is_canceled or order.status == "VOIDED":
        return SessionStatus.CANCELED
    return SessionStatus.PENDING if next_action(order) is None else SessionStatus.REQUIRES_MORE


def authorized_amount(order: Order) -> Decimal:
    """Return how much was held, or taken at once."""
    if order.authorization is None:
        return order.captured
    return order.authorization.amount if order.authorization.holds else ZERO


def refusal_of(order: Order) -> Failure | None:
    """Return why the payer's money couldn't be had, if it was asked for."""
    if order.authorization is not None and order.authorization.status == "DENIED":
        return status_failure("AUTHORIZATION_DENIED", order.authorization.reason)
    if order.authorization is None and order.captures and all(row.has_failed for row in order.captures):
        return status_failure("CAPTURE_DECLINED", order.captures[-1].reason)
    return None


def session_fact(
    order: Order, options: PayPalOptions, *, disputes: Sequence[Mapping[str, Any]] = ()
) -> SessionFact:
    """Return the fact that an order states, together with the disputes about its captures."""
    groups = refund_groups(order.refunds, now=aware_moment(timezone.now()))
    refunds = [row for group in groups for row in group]
    return SessionFact(
        currency_code=order.currency_code,
        status=session_status(order),
        provider_reference=order.id,
        amount=order.amount,
        authorized_amount=authorized_amount(order),
        captured_amount=order.captured,
        refunded_amount=sum((row.amount for row in refunds if row.is_given), ZERO),
        canceled_amount=order.released,
        charged_back_amount=_charged_back(disputes, order),
        reinstated_amount=_reinstated(disputes, order),
        unclear_charge_backs=_unclear(disputes, order),
        movements=(
            *(capture_fact(row, order.currency_code) for row in order.captures),
            *(fact for group in groups for fact in refund_facts(group, order.currency_code)),
        ),
        failure=refusal_of(order),
        next_action=next_action(order),
        awaits_authorization=options.authorize_on_approval and is_ready(order),
        data=public_data(order, options),
        provider_data=private_data(order),
        expires_at=None if order.authorization is None else order.authorization.expires_at,
    )


def capture_status(capture: Capture) -> MovementStatus:
    """Return what has become of a capture."""
    if capture.has_failed:
        return MovementStatus.FAILED
    return MovementStatus.SUCCEEDED if capture.is_taken else MovementStatus.PENDING


def capture_failure(capture: Capture) -> Failure | None:
    """Return why a capture failed, if it did."""
    return status_failure("CAPTURE_DECLINED", capture.reason) if capture.has_failed else None


def capture_fact(capture: Capture, currency_code: str) -> MovementFact:
    """Return a capture as a movement."""
    return MovementFact(
        kind=MovementKind.CAPTURE,
        status=capture_status(capture),
        amount=capture.amount,
        currency_code=currency_code,
        operation_id=capture.operation_id,
        provider_reference=capture.id,
        failure=capture_failure(capture),
    )


def _authorization_status(order: Order, authorization: Authorization) -> SessionStatus:
    if authorization.status == "DENIED":
        return SessionStatus.ERROR
    if authorization.status == "PENDING":
        return SessionStatus.PENDING
    if authorization.is_released and not order.reserved:
        return SessionStatus.CANCELED
    return SessionStatus.AUTHORIZED


def _capture_status(order: Order) -> SessionStatus:
    if order.captured:
        return SessionStatus.AUTHORIZED
    return SessionStatus.PENDING if order.reserved else SessionStatus.ERROR


def _charged_back(disputes: Iterable[Mapping[str, Any]], order: Order) -> Decimal | None:
    """Return how much claims have kept from the merchant in all: PayPal holds it as soon as there is one."""
    return _sum(_claims(disputes, order), order)


def _reinstated(disputes: Iterable[Mapping[str, Any]], order: Order) -> Decimal | None:
    """Return how much of that came back, because the merchant has won, has lost only a part, or has refunded it."""
    claims = _claims(disputes, order)
    returned = sum((_returned(row, order) or ZERO for row in claims), ZERO)
    refunds = {
        each.id: each.amount for row in claims if not _is_won(row) for each in _refunds_during(row, order)
    }
    return min(returned + sum(refunds.values(), ZERO), _sum(claims, order) or ZERO) or None


def _unclear(disputes: Iterable[Mapping[str, Any]], order: Order) -> tuple[str, ...]:
    """Name the claims of which PayPal doesn't say how much of the order's money they are, or how much came back."""
    claims = (row for row in _claims(disputes, order) if not _is_won(row))
    return tuple(_named(row) for row in claims if None in (_share_of(row, order), _returned(row, order)))


def _sum(disputes: Iterable[Mapping[str, Any]], order: Order) -> Decimal | None:
    """Return how much disputes are about in all, as far as PayPal says so; None for nothing."""
    return sum((_share_of(row, order) or ZERO for row in disputes), ZERO) or None


def _returned(dispute: Mapping[str, Any], order: Order) -> Decimal | None:
    """Return how much of a claim's share came back to the merchant; None where PayPal doesn't say."""
    share, whole = _share_of(dispute, order), _amount_of(dispute, order.currency_code)
    if _is_won(dispute):
        return share
    refunded = _read(_refunded(dispute), order.currency_code) if _is_lost(dispute) else None
    if None in (share, whole, refunded) or refunded == whole:
        return ZERO
    return whole - refunded if share == whole else None  # type: ignore[operator]  # none of them is None


def _share_of(dispute: Mapping[str, Any], order: Order) -> Decimal | None:
    """Return how much of a dispute is about an order; None where PayPal doesn't say.

    Of one about several payments PayPal states no more than the total, and how much each payment was: that tells the
    shares where all are disputed whole.
    """
    whole, rows = _amount_of(dispute, order.currency_code), dispute.get("disputed_transactions") or ()
    captures = {row.id for row in order.captures}
    is_own = [row.get("seller_transaction_id") in captures for row in rows]
    if whole is None or len(rows) <= 1 or all(is_own):
        return whole
    paid = [_read(row.get("gross_amount") or {}, order.currency_code) for row in rows]
    stated = [amount for amount in paid if amount is not None]
    if not any(is_own) or len(stated) < len(rows) or sum(stated, ZERO) != whole:
        return None
    return sum((amount for amount, own in zip(stated, is_own, strict=True) if own), ZERO)


def _claims(disputes: Iterable[Mapping[str, Any]], order: Order) -> list[Mapping[str, Any]]:
    """Return the disputes for which PayPal takes money: not an inquiry that the merchant has ended with a refund."""
    return [row for row in disputes if _is_claim(row) and not _is_settled(row, order)]


def _is_settled(dispute: Mapping[str, Any], order: Order) -> bool:
    share = _share_of(dispute, order)
    if share is None or _is_beyond_inquiry(dispute):
        return False
    return sum((row.amount for row in _refunds_during(dispute, order)), ZERO) >= share


def _refunds_during(dispute: Mapping[str, Any], order: Order) -> list[Refund]:
    """Return the refunds that the merchant has made while a dispute was open, and so ended it for the payer.

    A merchant refunds in PayPal's resolution center, or as usual, and PayPal closes the dispute for the payer: see
    https://developer.paypal.com/docs/disputes/. The refund is among the order's refunds; PayPal takes it only once.
    """
    opened, closed = _time_in(dispute, "create_time"), _time_in(dispute, "update_time")
    end = closed if _is_lost(dispute) else None
    captures = {row.get("seller_transaction_id") for row in dispute.get("disputed_transactions") or ()}
    return [
        row
        for row in order.refunds
        if row.capture_id in captures and not row.has_failed and _is_between(row.created_at, opened, end)
    ]


def _is_between(moment: datetime | None, beginning: datetime | None, end: datetime | None) -> bool:
    return moment is not None and beginning is not None and beginning <= moment <= (end or moment)


def _time_in(dispute: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return time_of(dispute[name])
    except (KeyError, TypeError, ValueError):
        return None


def _is_claim(dispute: Mapping[str, Any]) -> bool:
    """Return whether a dispute is or was more than an inquiry between payer and merchant, or has cost the merchant."""
    return _is_lost(dispute) or _is_beyond_inquiry(dispute)


def _is_beyond_inquiry(dispute: Mapping[str, Any]) -> bool:
    return dispute.get("dispute_life_cycle_stage") not in (None, _INQUIRY)


def _is_won(dispute: Mapping[str, Any]) -> bool:
    """Return whether a claim has ended well for the merchant."""
    return _is_claim(dispute) and dispute.get("status") == "RESOLVED" and not _is_lost(dispute)


def _is_lost(dispute: Mapping[str, Any]) -> bool:
    return (dispute.get("dispute_outcome") or {}).get("outcome_code") in _LOST


def _amount_of(dispute: Mapping[str, Any], currency_code: str) -> Decimal | None:
    """Return how much a dispute is about, or more if PayPal gave more; None where it doesn't say in this currency."""
    amounts = (
        _read(money, currency_code) for money in (dispute.get("dispute_amount") or {}, _refunded(dispute))
    )
    return max((amount for amount in amounts if amount is not None), default=None)


def _read(money: Mapping[str, Any], currency_code: str) -> Decimal | None:
    """Return an amount of PayPal's; None for one in another currency, or where there isn't one."""
    if str(money.get("currency_code")).lower() != currency_code:
        return None
    try:
        return from_value(money.get("value"), currency_code)
    except (AmountError, CurrencyError):
        return None


def _named(dispute: Mapping[str, Any]) -> str:
    """Return how PayPal names a dispute, and what it is about."""
    money = dispute.get("dispute_amount") or _refunded(dispute)
    return f"{money.get('value')} {money.get('currency_code')} ({dispute.get('dispute_id')})"


def _refunded(dispute: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what PayPal has given the payer in the end; of a claim that was won, from its own pocket."""
    return (dispute.get("dispute_outcome") or {}).get("amount_refunded") or {}
