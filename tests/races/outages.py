"""Databases that go away: the connection of one thread, or the answer to one COMMIT, at an exact moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from unittest import mock

import pytest
from django.db import OperationalError, connections

from payments.models import PaymentOperation
from payments.states import OperationKind
from tests.races.places import Checkpoint, watching

Loss = Callable[[OperationKind], AbstractContextManager[None]]
"""What goes wrong in a block, with the first operation of a kind that is claimed in it."""


class Outage:
    """What is the matter with this thread's connection, on any database; a test says when.

    A lost connection fails until the thread has opened another, as after a failover. A database that is away fails on
    every connection until it is back.
    """

    def __init__(self) -> None:
        self._connection: Any = connections["default"]
        self._lost: Any = None
        self._is_away = False

    def lose_the_connection(self) -> None:
        """Have the server end the connection."""
        self._lost = self._connection.connection

    def go_away(self) -> None:
        """Have the server go away."""
        self._is_away = True

    def come_back(self) -> None:
        """Have the server be there again, for who connects anew."""
        if self._is_away:
            self.lose_the_connection()
        self._is_away = False

    @property
    def is_felt(self) -> bool:
        """Whether nothing can be done on the connection now."""
        is_lost = self._lost is not None and self._connection.connection is self._lost
        return self._is_away or is_lost

    def check(self) -> None:
        """Raise what the driver would."""
        if self.is_felt:
            self._connection.errors_occurred = True
            raise OperationalError("server closed the connection unexpectedly")

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Have the connection be one that may be lost inside the block."""
        it, is_usable, commit = self._connection, self._connection.is_usable, self._connection._commit

        def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            self.check()
            return run(sql, params, many, context)

        def commit_or_fail() -> None:
            self.check()
            commit()

        def is_usable_now() -> bool:
            return not self.is_felt and bool(is_usable())

        with (
            it.execute_wrapper(execute),
            mock.patch.object(it, "is_usable", is_usable_now),
            mock.patch.object(it, "_commit", commit_or_fail),
        ):
            try:
                yield
            finally:
                self.come_back()
                if self.is_felt:
                    it.close()


@contextmanager
def possible_outage() -> Iterator[Outage]:
    """Give what ends this thread's connection inside the block, when a test says so."""
    outage = Outage()
    with outage.possible():
        yield outage


@contextmanager
def when(point: Checkpoint, act: Callable[[], Any], *, of: OperationKind) -> Iterator[None]:
    """Do something in this thread when an operation of a kind first comes to a point; it has to come there."""
    mine, came = threading.current_thread(), threading.Event()

    def look(reached: Checkpoint, operation: PaymentOperation) -> None:
        is_here = (reached, operation.kind, threading.current_thread()) == (point, of, mine)
        if is_here and not came.is_set():
            came.set()
            act()

    with watching(look):
        yield
    assert came.is_set(), f"no {of} came to {point}"


@contextmanager
def doubtful_commit(point: Checkpoint, *, of: OperationKind, is_done: bool) -> Iterator[None]:
    """Have the connection be lost in the first COMMIT after a point; `is_done` says whether that was carried out."""
    armed = threading.Event()
    it: Any = connections["default"]
    with possible_outage() as outage:
        commit = it._commit

        def commit_in_doubt() -> None:
            if not armed.is_set():
                commit()
                return
            armed.clear()
            if is_done:
                commit()
            outage.lose_the_connection()
            outage.check()

        with mock.patch.object(it, "_commit", commit_in_doubt), when(point, armed.set, of=of):
            yield


def lost_at(point: Checkpoint) -> Loss:
    """Return what ends the connection when an operation comes to a point."""

    @contextmanager
    def losing(kind: OperationKind) -> Iterator[None]:
        with possible_outage() as outage, when(point, outage.lose_the_connection, of=kind):
            yield

    return losing


def lost_before_the_claim_is_written(kind: OperationKind) -> AbstractContextManager[None]:
    """Lose the connection with the statement that would write an operation."""
    return _losing_with("INSERT INTO", PaymentOperation._meta.db_table)


@contextmanager
def _losing_with(*words: str) -> Iterator[None]:
    came = threading.Event()
    with possible_outage() as outage:

        def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            if not came.is_set() and all(word in sql for word in words):
                came.set()
                outage.lose_the_connection()
                outage.check()
            return run(sql, params, many, context)

        with connections["default"].execute_wrapper(execute):
            yield
    assert came.is_set(), f"no statement has {words}"


def away_from(point: Checkpoint) -> Loss:
    """Return what has the database go away when an operation comes to a point, and come back after the block."""

    @contextmanager
    def losing(kind: OperationKind) -> Iterator[None]:
        with possible_outage() as outage, when(point, outage.go_away, of=kind):
            yield

    return losing


def in_commit_after(point: Checkpoint, *, is_done: bool) -> Loss:
    """Return what loses the answer to the COMMIT that follows a point."""
    return lambda kind: doubtful_commit(point, of=kind, is_done=is_done)


LOSSES: Final[dict[str, Loss]] = {
    "while_the_bank_acts": lost_at(Checkpoint.CALLED),
    "while_the_claim_is_committed": in_commit_after(Checkpoint.CLAIMING, is_done=True),
    "while_the_answer_is_recorded": lost_at(Checkpoint.RECORDING),
    "recorded_and_not_confirmed": in_commit_after(Checkpoint.RECORDING, is_done=True),
    "not_recorded_after_all": in_commit_after(Checkpoint.RECORDING, is_done=False),
    "after_the_answer_was_recorded": lost_at(Checkpoint.RECORDED),
}
"""When something may have reached the bank, or will, as the books have it."""

FEW: Final = ("while_the_bank_acts", "while_the_claim_is_committed")
"""The losses that are tried every day with whatever the others are tried with in the thorough run."""

MOSTLY_THOROUGH: Final = pytest.mark.parametrize(
    "loss",
    [
        pytest.param(loss, id=name, marks=() if name in FEW else pytest.mark.thorough)
        for name, loss in LOSSES.items()
    ],
)
