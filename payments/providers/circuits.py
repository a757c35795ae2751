"""Circuits: background work leaves a provider alone for a while after it has left several calls unanswered.

So during an outage the rows of other providers don't wait for one timeout after the other, and the rows of the provider
that is away don't use up their retries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from payments.providers.calls import note_call
from payments.states import Outcome

logger = logging.getLogger("payments.providers")

RowT = TypeVar("RowT", bound=Any)

UNANSWERED: Final = 5
"""How many calls in a row a provider leaves unanswered before it is left alone."""

LOST: Final = 10.0
"""After how many lost seconds it is left alone even if there were fewer calls; and for how many at least."""

REST: Final = 9
"""How many times as long it is left alone as the last calls took: so a tenth of the time is lost at most."""

_current: ContextVar[Circuits | None] = ContextVar("payments_circuits", default=None)


@dataclass(kw_only=True)
class _Circuit:
    """The unanswered calls in a row, the seconds lost since the provider was left alone, and until when it is."""

    calls: int = 0
    seconds: float = 0.0
    open_until: float = 0.0


class Circuits:
    """The providers that have left calls unanswered; an answer closes a circuit, one more failure opens it again."""

    def __init__(self) -> None:
        self._circuits: dict[str, _Circuit] = {}

    def note(self, provider_id: str, outcome: Outcome, seconds: float) -> None:
        """Note the outcome of a call, and how long it took."""
        if outcome not in (Outcome.UNKNOWN, Outcome.NOT_SENT):
            self._circuits.pop(provider_id, None)
            return
        circuit = self._circuits.setdefault(provider_id, _Circuit())
        circuit.calls += 1
        circuit.seconds += seconds
        if circuit.calls >= UNANSWERED or circuit.seconds >= LOST:
            rest = max(LOST, REST * circuit.seconds)
            logger.warning(
                "The provider %s leaves calls unanswered; its other rows wait %.0f s.", provider_id, rest
            )
            circuit.open_until, circuit.seconds, circuit.calls = time.monotonic() + rest, 0.0, UNANSWERED

    def open(self) -> list[str]:
        """Return the providers that are left alone now."""
        now = time.monotonic()
        return [name for name, circuit in self._circuits.items() if now < circuit.open_until]

    def answering(self, rows: Iterable[RowT], left: list[RowT]) -> Iterator[RowT]:
        """Yield the rows whose provider isn't left alone when their turn comes; add the others to `left`."""
        for row in rows:
            if row.provider_id in self.open():
                left.append(row)
            else:
                yield row


@contextmanager
def circuits() -> Iterator[Circuits]:
    """Yield the circuits of all calls that are made inside the block; those of an outer block, if there is one."""
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    own = Circuits()
    token, noting = _current.set(own), note_call.set(own.note)
    try:
        yield own
    finally:
        note_call.reset(noting)
        _current.reset(token)
