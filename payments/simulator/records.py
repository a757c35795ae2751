"""Intents and their movements of money, as read from the ledger. Cumulative amounts are sums of the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from payments.simulator.server import Json


class IntentStatus(StrEnum):
    """Where an intent stands."""

    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CANCELED = "canceled"


class Kind(StrEnum):
    """What a movement of money is."""

    CAPTURE = "capture"
    REFUND = "refund"
    CHARGEBACK = "chargeback"


class MovementStatus(StrEnum):
    """Whether a movement has happened."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A reason with a stable code."""

    code: str
    message: str

    def as_json(self) -> Json:
        """Return the problem as the API shows it."""
        return {"code": self.code, "message": self.message}


def _problem(code: str | None, message: str | None) -> Problem | None:
    return Problem(code=code, message=message or "") if code else None


@dataclass(frozen=True, kw_only=True)
class Movement:
    """One capture, refund or chargeback; `amount` in minor units."""

    id: str
    kind: Kind
    intent: str
    reference: str | None
    amount: int
    currency: str
    status: MovementStatus
    reason: str | None
    failure: Problem | None
    created: int

    @classmethod
    def from_row(cls, row: Any, currency: str) -> Movement:
        """Read a ledger row."""
        return cls(
            id=row["id"],
            kind=Kind(row["kind"]),
            intent=row["intent"],
            reference=row["reference"],
            amount=row["amount"],
            currency=currency,
            status=MovementStatus(row["status"]),
            reason=row["reason"],
            failure=_problem(row["failure_code"], row["failure_message"]),
            created=int(row["created"]),
        )

    def as_json(self) -> Json:
        """Return the movement as the API shows it."""
        return {
            "id": self.id,
            "object": str(self.kind),
            "intent": self.intent,
            "reference": self.reference,
            "amount": self.amount,
            "currency": self.currency,
            "status": str(self.status),
            "reason": self.reason,
            "failure": self.failure.as_json() if self.failure else None,
            "created": self.created,
        }


_PLAIN_COLUMNS: Final = (
    "id", "reference", "amount", "currency", "return_url", "client_token", "risk_score", "network_token", "customer",
    "card",
    "authorization_reference", "authorizations", "amount_authorized", "amount_canceled", "challenge", "wrong_codes",
    "authorized_at", "canceled_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What a merchant wants paid, and all that happened to it; amounts in minor units."""

    id: str
    reference: str
    amount: int
    currency: str
    status: IntentStatus
    return_url: str | None
    metadata: Mapping[str, str]
    client_token: str
    risk_score: int
    network_token: str
    customer: str | None
    card: str | None
    authorization_reference: str | None
    authorizations: int
    amount_authorized: int
    amount_canceled: int
    decline: Problem | None
    last_error: Problem | None
    challenge: str | None
    wrong_codes: int
    authorized_at: float | None
    canceled_at: float | None
    movements: tuple[Movement, ...]
    created: int

    @classmethod
    def from_row(cls, row: Any, movement_rows: list[Any]) -> Intent:
        """Read a ledger row and its movements."""
        return cls(
            status=IntentStatus(row["status"]),
            metadata=json.loads(row["metadata"]),
            decline=_problem(row["decline_code"], row["decline_message"]),
            last_error=_problem(row["error_code"], row["error_message"]),
            movements=tuple(Movement.from_row(each, row["currency"]) for each in movement_rows),
            created=int(row["created"]),
            **{name: row[name] for name in _PLAIN_COLUMNS},
        )

    def total(self, kind: Kind, *statuses: MovementStatus) -> int:
        """Add up movements of a kind, those that succeeded unless told otherwise."""
        wanted = statuses or (MovementStatus.SUCCEEDED,)
        return sum(each.amount for each in self.movements if each.kind is kind and each.status in wanted)

    @property
    def amount_captured(self) -> int:
        """Return what was really taken."""
        return self.total(Kind.CAPTURE)

    @property
    def amount_refunded(self) -> int:
        """Return what was really given back."""
        return self.total(Kind.REFUND)

    @property
    def amount_charged_back(self) -> int:
        """Return what the bank took back."""
        return self.total(Kind.CHARGEBACK)

    @property
    def amount_capturable(self) -> int:
        """Return what may still be captured; pending captures are counted as taken."""
        taken = self.total(Kind.CAPTURE, MovementStatus.SUCCEEDED, MovementStatus.PENDING)
        return self.amount_authorized - self.amount_canceled - taken

    @property
    def amount_refundable(self) -> int:
        """Return what may still be refunded; pending refunds are counted as given."""
        given = self.total(Kind.REFUND, MovementStatus.SUCCEEDED, MovementStatus.PENDING)
        return max(0, self.amount_captured - given - self.amount_charged_back)

    def challenge_url(self, base_url: str) -> str | None:
        """Return the page where the shopper answers the challenge."""
        if self.challenge is None:
            return None
        query = f"?return_url={quote(self.return_url, safe='')}" if self.return_url else ""
        return f"{base_url}/challenge/{self.challenge}{query}"

    def _movements_json(self, kind: Kind) -> list[Json]:
        return [each.as_json() for each in self.movements if each.kind is kind]

    def _next_action(self, base_url: str) -> Json | None:
        if self.status is not IntentStatus.REQUIRES_ACTION:
            return None
        return {"type": "redirect", "url": self.challenge_url(base_url)}

    def as_json(self, base_url: str) -> Json:
        """Return the whole intent as the API shows it."""
        return {
            "id": self.id,
            "object": "intent",
            "reference": self.reference,
            "status": str(self.status),
            "amount": self.amount,
            "currency": self.currency,
            "amount_authorized": self.amount_authorized,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "amount_canceled": self.amount_canceled,
            "amount_charged_back": self.amount_charged_back,
            "amount_capturable": self.amount_capturable,
            "amount_refundable": self.amount_refundable,
            "authorization_reference": self.authorization_reference,
            "customer": self.customer,
            "card": self.card,
            "client_token": self.client_token,
            "return_url": self.return_url,
            "next_action": self._next_action(base_url),
            "decline": self.decline.as_json() if self.decline else None,
            "last_error": self.last_error.as_json() if self.last_error else None,
            "metadata": dict(self.metadata),
            "captures": self._movements_json(Kind.CAPTURE),
            "refunds": self._movements_json(Kind.REFUND),
            "chargebacks": self._movements_json(Kind.CHARGEBACK),
            "risk_score": self.risk_score,
            "network_token": self.network_token,
            "created": self.created,
        }
