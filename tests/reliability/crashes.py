"""Dying at a named point of an operation: the transaction that is open rolls back, and nothing else runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from payments.models import PaymentOperation
from payments.services.ledger.operations import Checkpoint, watching
from payments.states import OperationKind


class ProcessDied(BaseException):
    """Stand for the end of the process: no `except Exception` catches it."""


def dying_at(point: Checkpoint, kind: OperationKind) -> Callable[[Checkpoint, PaymentOperation], None]:
    """Return a watcher that dies when an operation of a kind comes to a point."""

    def watcher(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == point and operation.kind == kind:
            raise ProcessDied(point)

    return watcher


@contextmanager
def crash_at(point: Checkpoint, kind: OperationKind) -> Iterator[None]:
    """Have whatever is done in the block die at a point, and go on after the block."""
    with watching(dying_at(point, kind)), pytest.raises(ProcessDied):
        yield
