"""Facts as JSON and back, so that a webhook's fact can be stored before it is applied, and replayed later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.dateparse import parse_datetime

from payments.providers.facts import Failure, MovementFact, NextAction, SessionFact
from payments.states import MovementKind, MovementStatus, SessionStatus

_AMOUNTS = ("amount", "authorized_amount", "captured_amount", "refunded_amount", "canceled_amount")


def encode_fact(fact: SessionFact) -> dict[str, Any]:
    """Return a fact as a dict that DjangoJSONEncoder can write: amounts and times become strings."""
    encoded = asdict(fact)
    for name in _AMOUNTS:
        encoded[name] = None if encoded[name] is None else str(encoded[name])
    for movement in encoded["movements"]:
        movement["amount"] = str(movement["amount"])
    return encoded


def decode_fact(encoded: Mapping[str, Any]) -> SessionFact:
    """Return the fact that `encode_fact` encoded, after a trip through JSON."""
    status = encoded["status"]
    return SessionFact(
        currency_code=encoded["currency_code"],
        status=None if status is None else SessionStatus(status),
        provider_reference=encoded["provider_reference"],
        movements=tuple(_movement(movement) for movement in encoded["movements"]),
        failure=_failure(encoded["failure"]),
        next_action=None if encoded["next_action"] is None else NextAction(**encoded["next_action"]),
        data=encoded["data"],
        provider_data=encoded["provider_data"],
        expires_at=_time(encoded["expires_at"]),
        occurred_at=_time(encoded["occurred_at"]),
        **{name: None if encoded[name] is None else Decimal(encoded[name]) for name in _AMOUNTS},
    )


def _movement(encoded: Mapping[str, Any]) -> MovementFact:
    return MovementFact(
        kind=MovementKind(encoded["kind"]),
        status=MovementStatus(encoded["status"]),
        amount=Decimal(encoded["amount"]),
        currency_code=encoded["currency_code"],
        operation_id=encoded["operation_id"],
        provider_reference=encoded["provider_reference"],
        failure=_failure(encoded["failure"]),
    )


def _failure(encoded: Mapping[str, Any] | None) -> Failure | None:
    return None if encoded is None else Failure(**encoded)


def _time(encoded: str | datetime | None) -> datetime | None:
    if encoded is None or isinstance(encoded, datetime):
        return encoded
    return parse_datetime(encoded)
