"""Holding a collection's lock on another connection, and not waiting long for it on this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import connection, connections

from payments.models import PaymentCollection
from payments.services.ledger.locks import committed, lock_collection
from tests.threads import PATIENCE, wait_for

_IMPATIENCE: Final = {
    "postgresql": "SET lock_timeout = '200ms'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
    "sqlite": "PRAGMA busy_timeout = 200",
}


@contextmanager
def locked_elsewhere(collection: PaymentCollection) -> Iterator[None]:
    """Have another connection hold a collection's lock inside the block, and this one give up on it soon."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with committed():
                lock_collection(collection.pk)
                held.set()
                release.wait(PATIENCE)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert held.wait(PATIENCE)
    with connection.cursor() as cursor:
        cursor.execute(_IMPATIENCE[connection.vendor])
    try:
        yield
    finally:
        release.set()
        wait_for([thread])
        connection.close()  # its impatience ends with it


@contextmanager
def failing_statements(error: Exception, table: str, since: threading.Event) -> Iterator[None]:
    """Have every statement that writes to a table fail inside the block, from the time that an event is set."""

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        target = sql.replace("`", '"').partition('"')[2].partition('"')[0]
        if since.is_set() and sql.startswith(("INSERT", "UPDATE")) and target == table:
            raise error
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def kill_connection(number: int) -> None:
    """End another connection to the database, as a restart or a network does."""
    statement = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL CONNECTION %s"}
    with connection.cursor() as cursor:
        cursor.execute(statement[connection.vendor], [number])


def connection_number() -> int:
    """Return the database's number of this thread's connection."""
    statement = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
    with connection.cursor() as cursor:
        cursor.execute(statement[connection.vendor])
        return int(cursor.fetchone()[0])
