"""Stripe's PaymentIntents, refunds and disputes as facts, and minor units as amounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from payments.providers.facts import Failure, MovementFact, NextAction, SessionFact, is_web_address
from payments.providers.stripe.client import SESSION_KEY, Json
from payments.providers.stripe.errors import card_failure
from payments.providers.stripe.parameters import CAPTURE_PREFIX, OPERATION_KEY, RETURN_URL_KEY, from_units
from payments.states import MovementKind, MovementStatus, SessionStatus

Object = Mapping[str, Any]

_STATUSES: Final = {
    "requires_payment_method": SessionStatus.PENDING,
    "requires_confirmation": SessionStatus.PENDING,
    "requires_action": SessionStatus.REQUIRES_MORE,
    "processing": SessionStatus.PENDING,
    "requires_capture": SessionStatus.AUTHORIZED,
    "succeeded": SessionStatus.AUTHORIZED,
    "canceled": SessionStatus.CANCELED,
}

_PAGES: Final = ("url", "hosted_voucher_url", "hosted_instructions_url", "hosted_verification_url")
"""Where an action has the address that the payer opens: a bank's page, or Stripe's own of a voucher or QR code."""

_SCRIPTED: Final = "use_stripe_sdk"
"""The action whose details are only for Stripe's own script."""

_REFUND_STATUSES: Final = {
    "pending": MovementStatus.PENDING,
    "requires_action": MovementStatus.PENDING,
    "succeeded": MovementStatus.SUCCEEDED,
    "failed": MovementStatus.FAILED,
    "canceled": MovementStatus.FAILED,
}

_INQUIRY: Final = "warning_"
"""How the statuses of a dispute begin for which Stripe takes no money."""

_ENDS: Final = frozenset({"won", "lost", "prevented"})
"""Statuses of a dispute that is over, so that its balance transactions tell what was taken and what came back."""


def public_data(intent: Object, *, publishable_key: str) -> Json:
    """Return what of an intent a browser may hold: what Stripe's own script needs, and no more."""
    action = next_action(intent)
    return {
        "intent_id": intent["id"],
        "client_secret": intent["client_secret"],
        "publishable_key": publishable_key,
        "status": intent["status"],
        "next_action": None if action is None else {"type": action.type, "url": action.url},
    }


def private_data(intent: Object) -> Json:
    """Return what of an intent stays on the server."""
    return {
        "intent_id": intent["id"],
        "latest_charge": _id_of(intent["latest_charge"]),
        "customer": _id_of(intent.get("customer")),
        "payment_method": _id_of(intent.get("payment_method")),
        "return_url": metadata(intent).get(RETURN_URL_KEY),
    }


def log_of(intent: Object) -> Json:
    """Return an account of an intent that an operator may read."""
    names = ("id", "status", "amount", "currency", "amount_capturable", "amount_received")
    return {name: intent[name] for name in names}


def refund_log(refund: Object) -> Json:
    """Return an account of a refund that an operator may read."""
    names = ("id", "status", "amount", "currency", "reason", "failure_reason")
    return {name: refund.get(name) for name in names}


def metadata(row: Object) -> Mapping[str, str]:
    """Return what a merchant has written on an object of Stripe's."""
    return row.get("metadata") or {}


def next_action(intent: Object) -> NextAction | None:
    """Return what the payer has to do first, if anything.

    An absent customer whose bank wants them to confirm has to come back: the session is then authorized again.
    """
    if method_to_confirm(intent) is not None:
        return NextAction(type="challenge")
    if intent["status"] != "requires_action":
        return None
    page = _page_of(intent["next_action"] or {})
    return NextAction(type="provider_script") if page is None else NextAction(type="redirect", url=page)


def method_to_confirm(intent: Object) -> str | None:
    """Return the payment method whose bank wants its absent owner to confirm, if that is what an intent waits for."""
    error = intent.get("last_payment_error") or {}
    is_asked = error.get("code") == "authentication_required"
    if intent["status"] != "requires_payment_method" or not is_asked:
        return None
    return _id_of(error.get("payment_method"))


def failure_of(intent: Object) -> Failure | None:
    """Return why the last attempt to pay failed, if it did."""
    error = intent.get("last_payment_error")
    return None if error is None else card_failure(error)


def missing_method() -> Failure:
    """Return the refusal of an authorization for which nothing to pay with was sent."""
    return Failure(code="payment_method_required", message=_("Choose how to pay."))


def amount_of(row: Object, name: str) -> Decimal:
    """Return one of an object's amounts in major units."""
    return from_units(row[name], row["currency"])


def authorized_amount(intent: Object) -> Decimal | None:
    """Return how much an intent holds or has held; None where it doesn't say."""
    units = _authorized_units(intent)
    return None if units is None else from_units(units, intent["currency"])


def expires_at(intent: Object) -> datetime | None:
    """Return when the bank lets go of what a card holds."""
    if intent["status"] != "requires_capture":
        return None
    capture_before = _card_details(intent).get("capture_before")
    return None if capture_before is None else time_of(capture_before)


def allows_multicapture(intent: Object) -> bool:
    """Return whether what an intent holds may be captured more than once."""
    details = _card_details(intent).get("multicapture") or {}
    return details.get("status") == "available"


def own_captures(intent: Object) -> dict[str, int]:
    """Return the captures that we have asked for, in minor units by our operation's id, oldest first.

    Stripe has no object for a capture: an intent only knows how much was taken in all. So each capture of ours leaves
    its operation and its amount in the intent's metadata, in the very request that captures, and is found there again.
    """
    return {
        name.removeprefix(CAPTURE_PREFIX): int(units)
        for name, units in sorted(metadata(intent).items())
        if name.startswith(CAPTURE_PREFIX) and units.isascii() and units.isdigit()
    }


def capture_reference(intent: Object, operation_id: str) -> str:
    """Return a name for one of our captures, which Stripe has none for."""
    return f"{intent['id']}/{operation_id}"


def session_fact(
    intent: Object,
    *,
    publishable_key: str,
    refunds: Sequence[Object] | None = None,
    disputes: Sequence[Object] = (),
    occurred_at: datetime | None = None,
) -> SessionFact:
    """Return the fact that an intent states, together with its refunds and disputes where those are known."""
    listed = [*_captures(intent), *map(refund_fact, refunds or ())]
    currency: str = intent["currency"]
    charged_back, reinstated = _disputed(disputes, currency)
    return SessionFact(
        currency_code=currency,
        status=session_status(intent),
        provider_reference=intent["id"],
        amount=amount_of(intent, "amount"),
        authorized_amount=authorized_amount(intent),
        captured_amount=amount_of(intent, "amount_received"),
        refunded_amount=None if refunds is None else _refunded(refunds, currency),
        canceled_amount=_released(intent),
        charged_back_amount=charged_back,
        reinstated_amount=reinstated,
        unclear_charge_backs=_disputed_elsewhere(disputes, currency),
        movements=tuple(listed),
        failure=failure_of(intent),
        next_action=next_action(intent),
        awaits_authorization=intent["status"] == "processing",
        data=public_data(intent, publishable_key=publishable_key),
        provider_data=private_data(intent),
        expires_at=expires_at(intent),
        occurred_at=occurred_at,
    )


def session_status(intent: Object) -> SessionStatus | None:
    """Return where a session with this intent stands; None where Stripe has a new word for it."""
    if intent["status"] == "canceled" and intent["amount_received"]:
        return SessionStatus.AUTHORIZED
    if method_to_confirm(intent) is not None:
        return SessionStatus.REQUIRES_MORE
    if intent["status"] == "requires_payment_method" and intent.get("last_payment_error"):
        return SessionStatus.ERROR
    return _STATUSES.get(intent["status"])


def refund_status(refund: Object) -> MovementStatus:
    """Return what has become of a refund; under a status that isn't known here, it is pending."""
    return _REFUND_STATUSES.get(refund["status"], MovementStatus.PENDING)


def refund_failure(refund: Object) -> Failure | None:
    """Return why a refund failed, if it did."""
    if refund_status(refund) != MovementStatus.FAILED:
        return None
    reason = str(refund.get("failure_reason") or refund["status"])
    return Failure(
        code=f"refund_{reason}"[:64], message=_("The refund could not be paid out."), detail=reason
    )


def refund_fact(refund: Object) -> MovementFact:
    """Return a refund as a movement."""
    return MovementFact(
        kind=MovementKind.REFUND,
        status=refund_status(refund),
        amount=amount_of(refund, "amount"),
        currency_code=refund["currency"],
        operation_id=metadata(refund).get(OPERATION_KEY),
        provider_reference=refund["id"],
        failure=refund_failure(refund),
    )


def real_refunds(intent: Object, refunds: Iterable[Object]) -> list[Object]:
    """Return the refunds that gave money back.

    Stripe also notes as a refund what it only released, because it was canceled or not captured: such a one isn't
    ours, and has moved nothing on the merchant's balance.
    """
    if not intent["amount_received"]:
        return []
    return [row for row in refunds if metadata(row).get(OPERATION_KEY) or not _is_release(row)]


def time_of(seconds: float) -> datetime:
    """Return a Unix time as an aware datetime."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def is_ours(row: Object) -> bool:
    """Return whether an object of Stripe's has been made for a session of ours."""
    return bool(metadata(row).get(SESSION_KEY))


def _is_release(refund: Object) -> bool:
    return refund["status"] == "succeeded" and refund.get("balance_transaction") is None


def _captures(intent: Object) -> list[MovementFact]:
    """Return the captures that can be told apart, as far as the intent's total bears them out."""
    if intent["capture_method"] != "manual" and intent["amount_received"]:
        return [_capture(intent, intent["amount_received"], operation_id=None)]
    own = own_captures(intent)
    if sum(own.values()) > intent["amount_received"]:
        return []
    return [_capture(intent, units, operation_id=operation_id) for operation_id, units in own.items()]


def _capture(intent: Object, units: int, *, operation_id: str | None) -> MovementFact:
    reference = intent["id"] if operation_id is None else capture_reference(intent, operation_id)
    return MovementFact(
        kind=MovementKind.CAPTURE,
        status=MovementStatus.SUCCEEDED,
        amount=from_units(units, intent["currency"]),
        currency_code=intent["currency"],
        operation_id=operation_id,
        provider_reference=reference,
    )


def _authorized_units(intent: Object) -> int | None:
    received: int = intent["amount_received"]
    if intent["status"] == "requires_capture":
        return int(intent["amount_capturable"]) + received
    if not received:
        return None if intent["status"] == "canceled" else 0
    if intent["capture_method"] != "manual":
        return received
    charge = _charge(intent)
    if charge is None:
        return None
    authorized: int = _card_details(intent).get("amount_authorized") or charge["amount"]
    return authorized


def _released(intent: Object) -> Decimal | None:
    """Return how much of what was held will never be captured; None where that isn't known, or is all of it.

    An intent that has ended holds nothing any more. Where it doesn't say how much it held, that was at most its amount.
    More may have been taken than was held, as in the dashboard: then nothing was let go.
    """
    held, received = _authorized_units(intent), intent["amount_received"]
    if intent["status"] not in ("succeeded", "canceled") or (held is None and not received):
        return None
    return from_units(max((intent["amount"] if held is None else held) - received, 0), intent["currency"])


def _refunded(refunds: Iterable[Object], currency: str) -> Decimal:
    units = sum(row["amount"] for row in refunds if refund_status(row) == MovementStatus.SUCCEEDED)
    return from_units(units, currency)


def _disputed(disputes: Iterable[Object], currency: str) -> tuple[Decimal | None, Decimal | None]:
    """Return how much disputes in a currency have taken, and how much of that came back; None for nothing."""
    moved = [_moved(row) for row in disputes if row["currency"] == currency]
    taken, returned = sum(row[0] for row in moved), sum(row[1] for row in moved)
    return (
        from_units(taken, currency) if taken else None,
        from_units(returned, currency) if returned else None,
    )


def _moved(dispute: Object) -> tuple[int, int]:
    """Return how much Stripe has taken because of a dispute, and how much of that came back, in its smallest units.

    Of one that is over its balance transactions tell, if they are in its currency: one that is lost may have been won
    in part, and one that was prevented may have been refunded. A status that isn't known here counts as an open
    dispute.
    """
    status, amount = str(dispute["status"]), int(dispute["amount"])
    rows = dispute.get("balance_transactions") or ()
    moves = [int(row["amount"]) for row in rows if row["currency"] == dispute["currency"]]
    if status in _ENDS and moves:
        taken = -sum(move for move in moves if move < 0)
        return taken, min(sum(move for move in moves if move > 0), taken)
    has_taken = any(row["amount"] < 0 for row in rows) if status == "prevented" else True
    taken = amount if has_taken and not status.startswith(_INQUIRY) else 0
    return taken, taken if status == "won" else 0


def _disputed_elsewhere(disputes: Iterable[Object], currency: str) -> tuple[str, ...]:
    """Name the disputes in another currency than the intent's, in which Stripe doesn't say what it has taken."""
    return tuple(
        f"{amount_of(row, 'amount')} {row['currency']} ({row['id']})"
        for row in disputes
        if row["currency"] != currency and _moved(row)[0] > _moved(row)[1]
    )


def _page_of(action: Object) -> str | None:
    """Return the address of the page on which the payer does what an action asks for, if it has one for browsers."""
    kind = str(action.get("type"))
    details = {} if kind == _SCRIPTED else action.get(kind) or {}
    return next((details[name] for name in _PAGES if is_web_address(details.get(name))), None)


def _charge(intent: Object) -> Object | None:
    """Return the charge that an intent has led to, if it was asked for."""
    charge = intent["latest_charge"]
    return charge if isinstance(charge, Mapping) else None


def _card_details(intent: Object) -> Object:
    details = (_charge(intent) or {}).get("payment_method_details") or {}
    return details.get("card") or details.get("card_present") or {}


def _id_of(value: Any) -> str | None:
    """Return the id of something that Stripe may have put in whole."""
    reference: str | None = value["id"] if isinstance(value, Mapping) else value
    return reference
