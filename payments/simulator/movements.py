"""Movements of money on an intent: captures, refunds and chargebacks."""

from __future__ import annotations

from typing import Final

from payments.simulator.clock import Clock
from payments.simulator.errors import ConflictError, InvalidRequestError, NotFoundError, RefusedError
from payments.simulator.events import Events
from payments.simulator.faults import Effect, Fault
from payments.simulator.ids import new_id
from payments.simulator.intents import EXPIRED, Intents
from payments.simulator.ledger import Ledger
from payments.simulator.records import Intent, IntentStatus, Kind, Movement, MovementStatus
from payments.simulator.settings import Settings

_PREFIXES: Final = {Kind.CAPTURE: "cap", Kind.REFUND: "rfn", Kind.CHARGEBACK: "cbk"}


class Movements:
    """All captures, refunds and chargebacks of the service."""

    def __init__(
        self, ledger: Ledger, clock: Clock, settings: Settings, events: Events, intents: Intents
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._events = events
        self._intents = intents

    def get(self, movement_id: str) -> Movement:
        """Return one movement, or raise NotFoundError."""
        row = self._ledger.row(
            "SELECT movements.*, intents.currency FROM movements JOIN intents ON intents.id = intent "
            "WHERE movements.id = ?",
            movement_id,
        )
        if row is None:
            raise NotFoundError("movement_not_found", "There is no such capture, refund or chargeback.")
        return Movement.from_row(row, row["currency"])

    def capture(
        self, intent_id: str, amount: int, *, reference: str | None = None, effect: Effect | None = None
    ) -> Movement:
        """Take an authorized amount (minor units), whole or in parts; see `status` for the outcome."""
        with self._ledger.transaction():
            _check_capture(self._intents.get(intent_id), amount)
            return self._move(Kind.CAPTURE, intent_id, amount, reference=reference, effect=effect)

    def refund(
        self,
        intent_id: str,
        amount: int,
        *,
        reference: str | None = None,
        reason: str | None = None,
        effect: Effect | None = None,
    ) -> Movement:
        """Give a captured amount (minor units) back, whole or in parts; see `status` for the outcome."""
        with self._ledger.transaction():
            _check_refund(self._intents.get(intent_id), amount)
            return self._move(
                Kind.REFUND, intent_id, amount, reference=reference, effect=effect, reason=reason
            )

    def charge_back(
        self, intent_id: str, amount: int | None = None, *, reason: str = "fraudulent"
    ) -> Movement:
        """Take an amount (minor units; None: all that was captured) back from the merchant, as a bank does."""
        with self._ledger.transaction():
            intent = self._intents.get(intent_id)
            left = intent.amount_captured - intent.amount_charged_back
            if not left:
                raise ConflictError("not_captured", "Nothing is captured that could be charged back.")
            if amount is not None and amount > left:
                raise _too_large(left)
            return self._move(Kind.CHARGEBACK, intent_id, amount or left, reason=reason)

    def settle(self, movement_id: str) -> Movement:
        """Let a pending movement succeed."""
        with self._ledger.transaction():
            movement = self.get(movement_id)
            if movement.status is not MovementStatus.PENDING:
                raise ConflictError("not_pending", f"The {movement.kind} is {movement.status}, not pending.")
            return self._finish(movement, MovementStatus.SUCCEEDED)

    def fail(self, movement_id: str, *, code: str | None = None, message: str | None = None) -> Movement:
        """Let a pending movement fail, or a refund that had succeeded."""
        with self._ledger.transaction():
            movement = self.get(movement_id)
            is_late = movement.kind is Kind.REFUND and movement.status is MovementStatus.SUCCEEDED
            if movement.status is not MovementStatus.PENDING and not is_late:
                raise ConflictError("not_pending", f"The {movement.kind} is {movement.status}, not pending.")
            return self._finish(movement, MovementStatus.FAILED, code, message)

    def _move(
        self,
        kind: Kind,
        intent_id: str,
        amount: int,
        *,
        reference: str | None = None,
        effect: Effect | None = None,
        reason: str | None = None,
    ) -> Movement:
        movement_id = new_id(_PREFIXES[kind])
        self._ledger.insert(
            "movements",
            id=movement_id,
            kind=kind,
            intent=intent_id,
            reference=reference,
            amount=amount,
            status=MovementStatus.PENDING,
            reason=reason,
            created=self._clock.now(),
        )
        movement = self.get(movement_id)
        if effect is None:
            return self._finish(movement, MovementStatus.SUCCEEDED)
        if effect.fault is Fault.DECLINE:
            return self._finish(movement, MovementStatus.FAILED, effect.code, effect.message)
        return self._postpone(movement, effect)

    def _postpone(self, movement: Movement, effect: Effect) -> Movement:
        delay = self._settings.async_delay if effect.delay is None else effect.delay
        self._ledger.update(
            "movements",
            movement.id,
            settles_at=None if delay is None else self._clock.now() + delay,
            settles_as=effect.outcome,
            settles_code=effect.code,
            settles_message=effect.message,
        )
        return movement

    def _finish(
        self, movement: Movement, status: MovementStatus, code: str | None = None, message: str | None = None
    ) -> Movement:
        failed = status is MovementStatus.FAILED
        self._ledger.update(
            "movements",
            movement.id,
            status=status,
            settles_at=None,
            failure_code=(code or f"{movement.kind}_declined") if failed else None,
            failure_message=(message or f"The {movement.kind} was declined.") if failed else None,
        )
        intent = self._intents.release_if_canceled(movement.intent)
        happened = "created" if movement.kind is Kind.CHARGEBACK else str(status)
        self._events.emit(f"{movement.kind}.{happened}", intent)
        return self.get(movement.id)


def _too_large(left: int) -> InvalidRequestError:
    return InvalidRequestError("amount_too_large", f"At most {left} is left.", param="amount", is_stored=True)


def _check_capture(intent: Intent, amount: int) -> None:
    left = intent.amount_capturable
    if intent.last_error and intent.last_error.code == "authorization_expired":
        raise RefusedError("authorization_expired", EXPIRED)
    if intent.status is IntentStatus.CANCELED or (intent.canceled_at and not left):
        raise ConflictError("already_canceled", "The intent is canceled.")
    if intent.status is not IntentStatus.AUTHORIZED:
        raise ConflictError("not_authorized", f"The intent is {intent.status}, not authorized.")
    if not left:
        raise ConflictError("already_captured", "All that was authorized is captured.")
    if amount > left:
        raise _too_large(left)


def _check_refund(intent: Intent, amount: int) -> None:
    if not intent.amount_captured:
        raise ConflictError("not_captured", "Nothing is captured that could be refunded.")
    if not intent.amount_refundable:
        if intent.amount_charged_back:
            raise ConflictError("charged_back", "What was captured is charged back.")
        raise ConflictError("already_refunded", "All that was captured is refunded.")
    if amount > intent.amount_refundable:
        raise _too_large(intent.amount_refundable)
