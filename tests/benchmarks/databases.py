"""Databases for benchmarks: one for each side of a run, with rows in it, dropped afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from example_project.databases import parse_database_url
from tests.benchmarks import child
from tests.databases import database_url

TABLES: Final = (
    "payments_paymentcollection",
    "payments_paymentsession",
    "payments_payment",
    "payments_capture",
    "payments_refund",
    "payments_paymentoperation",
    "payments_paymentevent",
)
"""The tables that a flow writes, in an order in which their foreign keys hold."""

DURABILITY: Final = {
    "postgresql": (
        "SELECT concat('PostgreSQL ', current_setting('server_version'), ', fsync ', current_setting('fsync'), "
        "', synchronous_commit ', current_setting('synchronous_commit'))"
    ),
    "mysql": (
        "SELECT concat(version(), ', innodb_flush_log_at_trx_commit ', @@innodb_flush_log_at_trx_commit)"
    ),
    "sqlite": (
        "SELECT 'SQLite ' || sqlite_version() || ', journal_mode ' || journal_mode || ', synchronous ' || synchronous "
        "FROM pragma_journal_mode, pragma_synchronous"
    ),
}

# Ids are ULIDs with a prefix, wherever they stand in a row; a suffix makes new ones of them, in all tables alike.
COPY: Final = """
INSERT INTO {table}
SELECT copy.* FROM {table} AS original
CROSS JOIN generate_series(1, %s) AS number
CROSS JOIN LATERAL jsonb_populate_record(
    original,
    regexp_replace(to_jsonb(original)::text, '"([a-z_]+_[0-9A-Z]{{26}})"', '"\\1-' || number || '"', 'g')::jsonb
    {changes}
) AS copy
"""
NEW_EVENT: Final = (
    "|| jsonb_build_object('id', nextval(pg_get_serial_sequence('payments_paymentevent', 'id')))"
)


@contextmanager
def own_database(server: str, name: str) -> Iterator[str]:
    """Create a database of this name on the server at an address, yield its own address, and drop it."""
    url = own_url(server, name)
    connection = _connection(url)
    if connection.vendor == "sqlite":
        yield url  # the file is made when it is opened, and goes with its folder
        return
    quoted = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {quoted}")
    try:
        yield url
    finally:
        force = " WITH (FORCE)" if connection.vendor == "postgresql" else ""
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {quoted}{force}")


@contextmanager
def project(kind: str, *, prepared: bool) -> Iterator[BaseDatabaseWrapper]:
    """Set Django up in this process with a migrated database of its own, and yield the connection to it."""
    with database_url(kind) as server:
        child.set_up(own_url(server, "own"), prepared=prepared)
        with own_database(server, "own"):
            try:
                child.migrate()
                yield connections["default"]
            finally:
                connections.close_all()


def own_url(server: str, name: str) -> str:
    """Return the address of the database of this name."""
    parts = urlsplit(server)
    if parts.scheme == "sqlite":
        return f"sqlite:///{Path(parse_database_url(server)['NAME']).with_name(f'{name}.sqlite3')}"
    return urlunsplit(parts._replace(path=f"/payments_benchmark_{os.getpid()}_{name}"))


def durability(url: str) -> str:
    """Return the version of a database, and whether it waits for its disk."""
    connection = _connection(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(DURABILITY[connection.vendor])
            return str(cursor.fetchone()[0])
    finally:
        connection.close()


def copy_rows(url: str, times: int) -> None:
    """Copy what flows have left in a PostgreSQL database so many times."""
    connection = _connection(url)
    try:
        with connection.cursor() as cursor:
            for table in TABLES:
                changes = NEW_EVENT if table == "payments_paymentevent" else ""
                cursor.execute(COPY.format(table=table, changes=changes), [times])
    finally:
        connection.close()


def analyze(url: str) -> None:
    """Let a PostgreSQL database look at its rows, so that it plans as one does that has been in use."""
    connection = _connection(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    finally:
        connection.close()


def _connection(url: str) -> BaseDatabaseWrapper:
    """Return a connection beside the project's own."""
    return ConnectionHandler({"default": parse_database_url(url)})["default"]
