"""What the service remembers of requests: the log of calls, and the first answer under each idempotency key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from payments.simulator.errors import ConflictError, InvalidRequestError
from payments.simulator.ledger import Ledger
from payments.simulator.runtime import Clock, Settings
from payments.simulator.server import Answer, Json

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


REPLAYED: Final = "Idempotent-Replayed"
_LONGEST_KEY: Final = 255


def fingerprint(method: str, path: str, body: Mapping[str, Any]) -> str:
    """Return a digest that is the same for the same request, however its JSON is laid out."""
    canonical = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to carry a request out, or the answer that it got before."""

    key: str | None
    fingerprint: str
    stored: Answer | None


class Keys:
    """All idempotency keys of the service."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: Settings) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        # Only in memory: that a key is in progress dies with the process.
        self._in_progress: dict[str, str] = {}

    @contextmanager
    def claim(self, key: str | None, digest: str) -> Iterator[Claim]:
        """Hold a key while its request is carried out; raise if it is held or belongs to another request."""
        stored = None if key is None else self._begin(key, digest)
        try:
            yield Claim(key=key, fingerprint=digest, stored=stored)
        finally:
            if key is not None and stored is None:
                with self._ledger.transaction():
                    self._in_progress.pop(key, None)

    def store(self, claim: Claim, answer: Answer) -> None:
        """Keep an answer; runs inside the transaction of the act, so that a killed process leaves both or neither."""
        if claim.key is None:
            return
        self._ledger.insert(
            "keys",
            key=claim.key,
            fingerprint=claim.fingerprint,
            status=answer.status,
            body=answer.body,
            created=self._clock.now(),
        )

    def _begin(self, key: str, digest: str) -> Answer | None:
        if not 1 <= len(key) <= _LONGEST_KEY or not key.isprintable():
            rule = "An Idempotency-Key has 1 to 255 printable characters."
            raise InvalidRequestError("invalid_idempotency_key", rule)
        with self._ledger.transaction():
            row = self._live_row(key)
            known = row["fingerprint"] if row else self._in_progress.get(key)
            if known is not None and known != digest:
                message = "This Idempotency-Key was used for another request."
                raise InvalidRequestError("idempotency_mismatch", message)
            if row:
                answer = Answer(status=row["status"], body=row["body"])
                return answer.with_header(REPLAYED, "true")
            if known is not None:
                message = "A request with this Idempotency-Key is in progress."
                raise ConflictError("idempotency_in_progress", message)
            self._in_progress[key] = digest
            return None

    def _live_row(self, key: str) -> Any | None:
        expired = self._clock.now() - self._settings.key_window
        self._ledger.execute("DELETE FROM keys WHERE key = ? AND created <= ?", key, expired)
        return self._ledger.row("SELECT * FROM keys WHERE key = ?", key)
