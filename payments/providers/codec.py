"""Facts as JSON and back, so that a webhook's fact can be stored before it is applied, and replayed later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from payments.providers.facts import Failure, MovementFact, NextAction, SessionFact
from payments.states import MovementKind, MovementStatus, SessionStatus

_AMOUNTS = (
    "amount",
    "authorized_amount",
    "captured_amount",
    "refunded_amount",
    "canceled_amount",
    "charged_back_amount",
    "reinstated_amount",
)


def encode_fact(fact: SessionFact) -> dict[str, Any]:
    """Return a fact as a dict that DjangoJSONEncoder can write: amounts and times become strings."""
    encoded = {field.name: _plain(getattr(fact, field.name)) for field in fields(fact)}
    encoded["movements"] = [
        {field.name: _plain(getattr(movement, field.name)) for field in fields(movement)}
        for movement in fact.movements
    ]
    return encoded


def decode_fact(encoded: Mapping[str, Any]) -> SessionFact:
    """Return the fact that `encode_fact` encoded, after a trip through JSON; what an older version left out is None."""
    status, next_action = encoded.get("status"), encoded.get("next_action")
    return SessionFact(
        currency_code=encoded["currency_code"],
        status=None if status is None else SessionStatus(status),
        provider_reference=encoded.get("provider_reference"),
        unclear_charge_backs=tuple(encoded.get("unclear_charge_backs", ())),
        movements=tuple(_movement(movement) for movement in encoded.get("movements", ())),
        failure=_failure(encoded.get("failure")),
        next_action=None if next_action is None else NextAction(**next_action),
        awaits_authorization=bool(encoded.get("awaits_authorization")),
        data=encoded.get("data"),
        provider_data=encoded.get("provider_data"),
        expires_at=_time(encoded.get("expires_at")),
        occurred_at=_time(encoded.get("occurred_at")),
        **{name: _amount(encoded.get(name)) for name in _AMOUNTS},
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it, without loss: times to the microsecond, amounts to the last zero."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _movement(encoded: Mapping[str, Any]) -> MovementFact:
    return MovementFact(
        kind=MovementKind(encoded["kind"]),
        status=MovementStatus(encoded["status"]),
        amount=Decimal(encoded["amount"]),
        currency_code=encoded["currency_code"],
        operation_id=encoded.get("operation_id"),
        provider_reference=encoded.get("provider_reference"),
        failure=_failure(encoded.get("failure")),
    )


def _failure(encoded: Mapping[str, Any] | None) -> Failure | None:
    return None if encoded is None else Failure(**encoded)


def _amount(encoded: str | None) -> Decimal | None:
    return None if encoded is None else Decimal(encoded)


def _time(encoded: str | None) -> datetime | None:
    return None if encoded is None else datetime.fromisoformat(encoded)
