"""Interleavings that are the same every time: one verb runs, in a thread of its own, at a named point of another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from payments.models import Payment, PaymentOperation
from payments.services import cancel_payment, capture_payment
from payments.services.ledger.operations import Checkpoint, watching
from payments.states import OperationKind, PaymentStatus
from tests.threads import Outcomes, together


@dataclass(frozen=True)
class End:
    """One of the two ways in which a payment ends, with the status that it has then."""

    verb: Callable[[Payment], Payment]
    kind: OperationKind
    status: PaymentStatus

    def __str__(self) -> str:
        return str(self.kind)


CAPTURE: Final = End(capture_payment, OperationKind.CAPTURE, PaymentStatus.CAPTURED)
CANCEL: Final = End(cancel_payment, OperationKind.CANCEL, PaymentStatus.CANCELED)


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
