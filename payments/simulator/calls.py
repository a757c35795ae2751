"""The log of calls that merchants made: what a test asks when it wants to know what the provider saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from payments.simulator.clock import Clock
from payments.simulator.ledger import Ledger
from payments.simulator.wire import Json

_COLUMNS: Final = (
    "id", "method", "path", "operation", "key", "intent", "reference", "operation_reference", "fault", "status", "at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to /v1.

    `reference` is the intent's (the session's), `operation_reference` the one sent along with an authorize,
    capture, refund or cancel. `status` is None if no answer was sent (yet).
    """

    id: int
    method: str
    path: str
    operation: str | None
    key: str | None
    intent: str | None
    reference: str | None
    operation_reference: str | None
    fault: str | None
    is_replayed: bool
    status: int | None
    at: float

    @classmethod
    def from_row(cls, row: Any) -> Call:
        """Read a ledger row."""
        values = {name: row[name] for name in _COLUMNS}
        return cls(is_replayed=bool(row["replayed"]), **values)

    def as_json(self) -> Json:
        """Return the call as the control API lists it."""
        return dict(vars(self))


class Calls:
    """All calls received."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def open(self, method: str, path: str, key: str | None) -> int:
        """Note a call as it comes in and return its number."""
        return self._ledger.insert("calls", method=method, path=path, key=key, at=self._clock.now())

    def note(self, call_id: int, **columns: object) -> None:
        """Note more about a call."""
        self._ledger.update("calls", call_id, **columns)

    def find(
        self,
        *,
        operation: str | None = None,
        reference: str | None = None,
        intent: str | None = None,
        key: str | None = None,
    ) -> list[Call]:
        """Return calls, oldest first; `reference` matches either kind."""
        rows = self._ledger.select("calls", "id", operation=operation, intent=intent, key=key)
        calls = [Call.from_row(row) for row in rows]
        if reference is None:
            return calls
        return [call for call in calls if reference in (call.reference, call.operation_reference)]
