"""The simulator's intents as facts, and minor units as amounts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext_noop as _

from payments.money import from_minor_units
from payments.providers.facts import Failure, MovementFact, NextAction, SessionFact
from payments.states import MovementKind, MovementStatus, SessionStatus

Intent = Mapping[str, Any]

CUSTOMER_NEEDED: Final = "authentication_required"
"""Why an intent is declined whose bank wants a customer who is away: they have to come back."""

WORDS: Final = (
    _("The card was declined."),
    _("The card has expired."),
    _("The card has insufficient funds."),
    _("The shopper rejected the payment."),
    _("The bank wants the customer to confirm this payment."),
    _("The authorization has expired."),
    _("The capture was declined."),
    _("The refund was declined."),
)
"""What the simulator says of refusals, in English only, for the catalogs: readers have it in their own language."""

_STATUSES: Final = {
    "requires_confirmation": SessionStatus.PENDING,
    "requires_action": SessionStatus.REQUIRES_MORE,
    "processing": SessionStatus.PENDING,
    "authorized": SessionStatus.AUTHORIZED,
    "declined": SessionStatus.ERROR,
    "canceled": SessionStatus.CANCELED,
}


def public_data(intent: Intent) -> dict[str, Any]:
    """Return what of an intent a browser may hold."""
    error = intent["last_error"]
    return {
        "intent_id": intent["id"],
        "client_token": intent["client_token"],
        "status": intent["status"],
        "challenge_error": None if error is None else error["code"],
    }


def private_data(intent: Intent) -> dict[str, Any]:
    """Return what of an intent stays on the server."""
    return {
        "intent_id": intent["id"],
        "risk_score": intent["risk_score"],
        "network_token": intent["network_token"],
        "card": intent["card"],
    }


def log_of(intent: Intent) -> dict[str, Any]:
    """Return an account of an intent that an operator may read."""
    names = (
        "id",
        "status",
        "amount",
        "currency",
        "amount_authorized",
        "amount_captured",
        "amount_refunded",
        "amount_canceled",
        "amount_charged_back",
    )
    return {name: intent[name] for name in names}


def next_action(intent: Intent) -> NextAction | None:
    """Return what the payer has to do first, if anything."""
    if waits_for_customer(intent):
        return NextAction(type="challenge")
    action = intent["next_action"]
    return None if action is None else NextAction(type="redirect", url=action["url"])


def failure_of(problem: Mapping[str, Any] | None) -> Failure | None:
    """Return a decline or another problem as a failure."""
    return None if problem is None else Failure(code=problem["code"], message=problem["message"])


def amount_of(intent: Intent, name: str) -> Decimal:
    """Return one of an intent's amounts in major units."""
    return from_minor_units(intent[name], intent["currency"])


def fact_of(intent: Intent, *, occurred_at: datetime | None = None) -> SessionFact:
    """Return the fact that an intent states, with every movement the simulator knows of."""
    return SessionFact(
        currency_code=intent["currency"],
        status=_status_of(intent),
        provider_reference=intent["id"],
        amount=amount_of(intent, "amount"),
        authorized_amount=amount_of(intent, "amount_authorized"),
        captured_amount=amount_of(intent, "amount_captured"),
        refunded_amount=amount_of(intent, "amount_refunded"),
        canceled_amount=amount_of(intent, "amount_canceled"),
        charged_back_amount=amount_of(intent, "amount_charged_back"),
        movements=(
            *(_movement(row, MovementKind.CAPTURE) for row in intent["captures"]),
            *(_movement(row, MovementKind.REFUND) for row in intent["refunds"]),
        ),
        failure=None if waits_for_customer(intent) else failure_of(intent["decline"]),
        next_action=next_action(intent),
        data=public_data(intent),
        provider_data=private_data(intent),
        occurred_at=occurred_at,
    )


def time_of(seconds: float) -> datetime:
    """Return a Unix time as an aware datetime."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def _status_of(intent: Intent) -> SessionStatus:
    return SessionStatus.REQUIRES_MORE if waits_for_customer(intent) else _STATUSES[intent["status"]]


def waits_for_customer(intent: Intent) -> bool:
    """Return whether an intent waits for a customer who was away, and whose bank wants them to confirm."""
    decline = intent["decline"]
    return intent["status"] == "declined" and decline is not None and decline["code"] == CUSTOMER_NEEDED


def _movement(row: Mapping[str, Any], kind: MovementKind) -> MovementFact:
    return MovementFact(
        kind=kind,
        status=MovementStatus(row["status"]),
        amount=from_minor_units(row["amount"], row["currency"]),
        currency_code=row["currency"],
        operation_id=row["reference"],
        provider_reference=row["id"],
        failure=failure_of(row["failure"]),
    )
