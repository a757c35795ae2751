"""The simulator's own database: what it really holds, took and gave back, exact under threads."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS intents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('requires_confirmation', 'requires_action', 'processing',
        'authorized', 'declined', 'canceled')),
    return_url TEXT,
    metadata TEXT NOT NULL,
    client_token TEXT NOT NULL,
    risk_score INTEGER NOT NULL,
    network_token TEXT NOT NULL,
    customer TEXT,
    card TEXT,
    authorization_reference TEXT,
    authorizations INTEGER NOT NULL DEFAULT 0,
    amount_authorized INTEGER NOT NULL DEFAULT 0 CHECK (amount_authorized >= 0),
    amount_canceled INTEGER NOT NULL DEFAULT 0 CHECK (amount_canceled BETWEEN 0 AND amount_authorized),
    decline_code TEXT,
    decline_message TEXT,
    error_code TEXT,
    error_message TEXT,
    challenge TEXT UNIQUE,
    wrong_codes INTEGER NOT NULL DEFAULT 0,
    authorized_at REAL,
    canceled_at REAL,
    settles_at REAL,
    settles_as TEXT,
    settles_code TEXT,
    settles_message TEXT,
    created REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS intents_reference ON intents (reference);
CREATE TABLE IF NOT EXISTS customers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    email TEXT,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS methods (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    customer TEXT NOT NULL REFERENCES customers (id),
    card TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS setups (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    customer TEXT NOT NULL REFERENCES customers (id),
    token TEXT NOT NULL UNIQUE,
    return_url TEXT,
    method TEXT,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS movements (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('capture', 'refund', 'chargeback')),
    intent TEXT NOT NULL REFERENCES intents (id),
    reference TEXT,
    amount INTEGER NOT NULL CHECK (amount > 0),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason TEXT,
    failure_code TEXT,
    failure_message TEXT,
    settles_at REAL,
    settles_as TEXT,
    settles_code TEXT,
    settles_message TEXT,
    created REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS movements_intent ON movements (intent);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS scenarios (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT,
    fault TEXT NOT NULL,
    options TEXT NOT NULL,
    reference TEXT,
    intent TEXT,
    times_left INTEGER
);
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    operation TEXT,
    key TEXT,
    intent TEXT,
    reference TEXT,
    operation_reference TEXT,
    fault TEXT,
    replayed INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    intent TEXT NOT NULL,
    reference TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'held', 'delivered', 'failed', 'dropped')),
    copies_left INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_answer TEXT,
    due_at REAL NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS events_due ON events (status, due_at, position);
"""
_TABLES: Final = (
    "movements", "intents", "setups", "methods", "customers", "keys", "scenarios", "calls", "events",
)  # fmt: skip


class Ledger:
    """A SQLite database with short, exclusive transactions: one connection behind one lock.

    Names of tables and columns come from the code alone; values go in as parameters.

    Arguments: `path`, a file that outlives the process, or `:memory:`.
    """

    def __init__(self, path: str | Path = ":memory:") -> None:
        self.path = str(path)
        self.on_commit: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(
            self.path, check_same_thread=False, isolation_level=None, timeout=10
        )
        self._close = weakref.finalize(self, self._connection.close)
        self._connection.row_factory = sqlite3.Row
        # A killed process loses nothing with synchronous=OFF; only a machine that loses power does.
        self._connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON;"
        )
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and write everything or nothing; an inner block joins the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0
        for listener in self.on_commit:
            listener()

    def execute(self, sql: str, *values: object) -> int:
        """Write, and return how many rows were touched."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def insert(self, table: str, **columns: object) -> int:
        """Insert one row and return its number."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        with self._lock:
            cursor = self._connection.execute(sql, tuple(columns.values()))
            return int(cursor.lastrowid or 0)

    def update(self, table: str, row_id: str | int, **columns: object) -> None:
        """Change one row by its `id`."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        sql = f"UPDATE {table} SET {assignments} WHERE id = ?"  # noqa: S608
        self.execute(sql, *columns.values(), row_id)

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Read rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> Any | None:
        """Read the first row, or None."""
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def select(self, table: str, order_by: str, **columns: object) -> list[Any]:
        """Read the rows whose columns have the values given; None means any."""
        wanted = {name: value for name, value in columns.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
        sql = f"SELECT * FROM {table} WHERE {where} ORDER BY {order_by}"  # noqa: S608
        return self.rows(sql, *wanted.values())

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608

    def close(self) -> None:
        """Close the database; it also closes when the ledger is collected as garbage."""
        with self._lock:
            self._close()
