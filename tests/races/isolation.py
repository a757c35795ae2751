"""Shops whose database keeps transactions further apart than Django sets it, and waiting until somebody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any, Final

from django.db import connection, connections

from payments.models import PaymentOperation
from payments.states import OperationKind
from tests.races.locks import connection_number
from tests.races.places import Checkpoint, watching
from tests.threads import PATIENCE, Outcomes, Work, wait_for

LEVELS: Final = {"repeatable_read": "REPEATABLE READ", "serializable": "SERIALIZABLE"}


@contextmanager
def isolated(level: str) -> Iterator[None]:
    """Have all connections that are made in the block, in any thread, run transactions at an isolation level."""
    from psycopg import IsolationLevel  # noqa: PLC0415 - only PostgreSQL's tests come here

    options: dict[str, Any] = connections.settings["default"]["OPTIONS"]
    connection.close()
    options["isolation_level"] = IsolationLevel[LEVELS[level].replace(" ", "_")].value
    try:
        yield
    finally:
        del options["isolation_level"]
        connection.close()


def level_of_a_transaction() -> str:
    """Return the isolation level of the transaction that is open."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return str(cursor.fetchone()[0])


def wait_until_it_waits(number: int) -> None:
    """Return when a connection waits for a lock of another one's, which only the database knows."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [number])
            if cursor.fetchone()[0]:
                return
        time.sleep(0.005)
    raise AssertionError("it doesn't wait for a lock")


def behind(first: Work, second: Work, *, of: OperationKind) -> Outcomes:
    """Run two verbs of which the second waits, with what it has seen so far, until the first has committed its claim.

    `of` is the kind of the first one's operation.
    """
    mine, came = threading.current_thread(), threading.Event()
    results: list[Any] = [None, None]

    def run(position: int, work: Work) -> None:
        try:
            results[position] = work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            results[position] = error

    numbers: Queue[int] = Queue()

    def aside() -> None:
        try:
            numbers.put(connection_number())
            run(1, second)
        finally:
            connections.close_all()

    thread = threading.Thread(target=aside, daemon=True)

    def look(point: Checkpoint, operation: PaymentOperation) -> None:
        is_here = (point, operation.kind, threading.current_thread()) == (Checkpoint.CLAIMING, of, mine)
        if is_here and not came.is_set():
            came.set()
            thread.start()
            wait_until_it_waits(numbers.get(timeout=PATIENCE))

    with watching(look):
        run(0, first)
    assert came.is_set(), f"no {of} was claimed"
    wait_for([thread])
    return Outcomes(results=results)
