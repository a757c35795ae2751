"""Movements of money on an intent (captures, refunds and chargebacks), and what is pending until it settles."""

from __future__ import annotations

import threading
from typing import Any, Final

from payments.simulator.errors import ConflictError, InvalidRequestError, NotFoundError, RefusedError
from payments.simulator.faults import Effect, Fault
from payments.simulator.intents import EXPIRED, Intents
from payments.simulator.ledger import Ledger
from payments.simulator.records import Intent, IntentStatus, Kind, Movement, MovementStatus
from payments.simulator.runtime import Clock, Settings, Worker, new_id
from payments.simulator.webhooks import Events

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


class Pending(Worker):
    """Pending authorizations, captures and refunds, which settle on demand or when their time has come."""

    thread_name = "simulator-pending"

    def __init__(self, ledger: Ledger, clock: Clock, intents: Intents, movements: Movements) -> None:
        super().__init__(ledger)
        self._clock = clock
        self._intents = intents
        self._movements = movements

    def settle(self, object_id: str) -> Intent | Movement:
        """Let a processing intent be authorized, or a pending capture or refund succeed."""
        return self._keeper(object_id).settle(object_id)

    def fail(
        self, object_id: str, *, code: str | None = None, message: str | None = None
    ) -> Intent | Movement:
        """Let a processing intent be declined, or a pending movement (or a succeeded refund) fail."""
        return self._keeper(object_id).fail(object_id, code=code, message=message)

    def settle_due(self) -> None:
        """Settle all whose time has come."""
        for row in self._due(self._clock.now()):
            try:
                if row["settles_as"] == "succeeded":
                    self.settle(row["id"])
                else:
                    self.fail(row["id"], code=row["settles_code"], message=row["settles_message"])
            except (ConflictError, NotFoundError):
                # Settled or cleared by another thread a moment ago.
                continue

    def _keeper(self, object_id: str) -> Intents | Movements:
        is_intent = self._ledger.row("SELECT 1 FROM intents WHERE id = ?", object_id) is not None
        return self._intents if is_intent else self._movements

    def _due(self, until: float) -> list[Any]:
        return self._ledger.rows(
            "SELECT id, settles_at, settles_as, settles_code, settles_message FROM intents "
            "WHERE settles_at <= ? AND status = 'processing' UNION ALL "
            "SELECT id, settles_at, settles_as, settles_code, settles_message FROM movements "
            "WHERE settles_at <= ? AND status = 'pending' ORDER BY settles_at",
            *(until, until),
        )

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._wake.clear()
            self.settle_due()
            upcoming = self._due(float("inf"))
            pause = max(0.0, upcoming[0]["settles_at"] - self._clock.now()) if upcoming else None
            self._wake.wait(timeout=pause)
