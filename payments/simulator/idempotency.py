"""Idempotency keys: the first answer under a key is the answer.

The answer is written in the transaction of the act itself, so a killed process leaves both or neither; that a
key is in progress lives only in memory and dies with the process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from payments.simulator.clock import Clock
from payments.simulator.errors import ConflictError, InvalidRequestError
from payments.simulator.ledger import Ledger
from payments.simulator.settings import Settings
from payments.simulator.wire import Answer

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
        """Keep an answer; runs inside the transaction of the act."""
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
