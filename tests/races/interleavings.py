"""Interleavings that are the same every time: one verb runs, in a thread of its own, at a named point of another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from payments.models import PaymentOperation
from payments.services.ledger.operations import Checkpoint, watching
from payments.states import OperationKind
from tests.threads import Outcomes, together


def interleave(
    first: Callable[[], Any], point: Checkpoint, second: Callable[[], Any], *, of: OperationKind
) -> Outcomes:
    """Run `first`, and when its operation of a kind has come to a point, all of `second`; return what came of that."""
    mine = threading.current_thread()
    came: list[Outcomes] = []

    def look(reached: Checkpoint, operation: PaymentOperation) -> None:
        if (reached, operation.kind, threading.current_thread()) == (point, of, mine):
            came.append(together(second))

    with watching(look):
        first()
    (outcomes,) = came
    return outcomes
