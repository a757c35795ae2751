"""Named points of every operation, where a test can look on, wait, or let the process die.

    claiming    the operation is inserted, and not committed yet
    claimed     it is committed, and nothing is sent yet
    called      the provider has answered, and nothing of that is recorded yet
    recording   all is recorded, and not committed yet
    recorded    it is committed

Nobody watches in production, so passing a point costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from payments.models import PaymentOperation


class Checkpoint(StrEnum):
    """A point that every operation passes, in this order."""

    CLAIMING = "claiming"
    CLAIMED = "claimed"
    CALLED = "called"
    RECORDING = "recording"
    RECORDED = "recorded"


Watcher = Callable[[Checkpoint, PaymentOperation], None]

_watchers: list[Watcher] = []


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Have `watcher` called at every point, in every thread, until the block ends."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def reach(point: Checkpoint, operation: PaymentOperation) -> None:
    """Say that an operation has come to a point."""
    for watcher in tuple(_watchers):
        watcher(point, operation)
