"""What settles by itself: pending authorizations, captures and refunds, when their time has come."""

from __future__ import annotations

import threading
from typing import Any

from payments.simulator.clock import Clock
from payments.simulator.errors import ConflictError, NotFoundError
from payments.simulator.intents import Intents
from payments.simulator.ledger import Ledger
from payments.simulator.movements import Movements
from payments.simulator.records import Intent, IntentStatus, Movement
from payments.simulator.threads import Worker


class Settlement(Worker):
    """Settle or fail what is pending, on demand and by a thread."""

    thread_name = "simulator-settlement"

    def __init__(self, ledger: Ledger, clock: Clock, intents: Intents, movements: Movements) -> None:
        super().__init__(ledger)
        self._clock = clock
        self._intents = intents
        self._movements = movements

    def wake(self) -> None:
        """Look at the clock again."""
        self._wake.set()

    def settle(self, object_id: str) -> Intent | Movement:
        """Let a processing intent be authorized, or a pending capture or refund succeed."""
        with self._ledger.transaction():
            row = self._intent_row(object_id)
            if row is None:
                return self._movements.settle(object_id)
            intent = _check_processing(self._intents.get(object_id))
            return self._intents.grant(intent, intent.amount)

    def fail(
        self, object_id: str, *, code: str | None = None, message: str | None = None
    ) -> Intent | Movement:
        """Let a processing intent be declined, or a pending movement (or a succeeded refund) fail."""
        with self._ledger.transaction():
            row = self._intent_row(object_id)
            if row is None:
                return self._movements.fail(object_id, code=code, message=message)
            intent = _check_processing(self._intents.get(object_id))
            code = code or "card_declined"
            return self._intents.refuse(intent, code, message or "The card was declined.")

    def settle_due(self) -> None:
        """Settle all whose time has come."""
        for row in self._due(self._clock.now()):
            try:
                if row["settles_as"] == "succeeded":
                    self.settle(row["id"])
                else:
                    self.fail(row["id"], code=row["settles_code"], message=row["settles_message"])
            except (ConflictError, NotFoundError):
                # Settled or cleared by somebody else a moment ago.
                continue

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

    def _intent_row(self, object_id: str) -> Any | None:
        return self._ledger.row("SELECT 1 FROM intents WHERE id = ?", object_id)


def _check_processing(intent: Intent) -> Intent:
    if intent.status is not IntentStatus.PROCESSING:
        raise ConflictError("not_pending", f"The intent is {intent.status}, not processing.")
    return intent
