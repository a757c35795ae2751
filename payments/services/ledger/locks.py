"""Transactions, the one kind of lock, and the leases of workers.

All rows below a collection are changed under the lock of the collection's row, so there is one lock order and no
deadlock. A transaction that the database rolls back because of another one is repeated; a verb or a call never is.
"""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.db import (
    DatabaseError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotFoundError, OpenTransactionError
from payments.models import PaymentCollection
from payments.services.ledger.statements import Select

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=Model)

RETRIES: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""The backoff before each retry of a row. After the last retry the row needs attention."""

LEASE: Final = timedelta(minutes=2)
"""How long a call may take, and how long a dead worker keeps its rows from the others."""

PATIENCE: Final = 30.0
"""For how many seconds a transaction is repeated before the conflict is raised."""

_LONGEST_PAUSE: Final = 0.25
_CONFLICTS: Final = frozenset({"40001", "40P01", 1213, 1020})
"""Serialization failures and deadlocks of PostgreSQL (Appendix A of its manual), MariaDB and MySQL.

MariaDB raises 1020 for a row that was changed since a snapshot was made (`innodb_snapshot_isolation`).
"""

_LOCK_TIMEOUTS: Final = frozenset({"55P03", 1205, 3572, "SQLITE_BUSY", "SQLITE_LOCKED"})
"""Lock timeouts: the database has waited as long as it is configured to (https://www.sqlite.org/rescode.html)."""

_LONGEST_OWNER: Final = 55

_WAITS: Final = 3
"""How often a transaction is tried again after a lock timeout. The project configures how long one wait is."""


class CommitInDoubtError(DatabaseError):
    """A connection that was lost during a commit, so that it isn't known whether the transaction was committed."""


class LeaseLostError(Exception):
    """A row whose lease has passed to another worker; this worker leaves it alone."""


def database_alias() -> str:
    """Return the alias of the database to which payments are written, and from which every decision reads."""
    return router.db_for_write(PaymentCollection)


@contextmanager
def committed() -> Iterator[None]:
    """Run a block in a transaction of its own; refuse to run inside another transaction."""
    alias = database_alias()
    with _read_committed(connections[alias]), transaction.atomic(using=alias, durable=True):
        yield


@contextmanager
def joined() -> Iterator[None]:
    """Run a block in the caller's transaction, or in one of its own if there is none."""
    alias = database_alias()
    with _read_committed(connections[alias]), transaction.atomic(using=alias):
        yield


def repeated(step: Callable[[], T], *, joins: bool = False) -> T:
    """Run a step in a transaction of its own, and repeat it after a conflict with another transaction.

    With `joins`, the step runs in the caller's transaction, if there is one, and isn't repeated. Raises
    CommitInDoubtError if the connection is lost during the commit, and what the step raises.
    """
    if joins and connections[database_alias()].in_atomic_block:
        with joined():
            return step()
    started, conflicts, waits = time.monotonic(), 0, 0
    while True:
        has_ended = False
        try:
            with committed():
                result = step()
                has_ended = True
            return result
        except Error as error:
            code = _code_of(error)
            if code in _LOCK_TIMEOUTS and waits < _WAITS:
                waits += 1
                continue
            if code in _CONFLICTS and time.monotonic() - started < PATIENCE:
                conflicts += 1
                time.sleep(random.uniform(0, min(0.005 * 2**conflicts, _LONGEST_PAUSE)))  # noqa: S311 - no secret
                continue
            if has_ended and not isinstance(error, IntegrityError):
                raise CommitInDoubtError(*error.args) from error
            raise


def get_or_insert(
    rows: QuerySet[ModelT], *, defaults: Mapping[str, Any] | None = None, **names: Any
) -> tuple[ModelT, bool]:
    """Return the row with these values, and whether it was created now; safe if two callers create it at once.

    Unlike `get_or_create`, it doesn't read the other caller's row in a transaction whose snapshot may be too old.
    """
    found = rows.filter(**names).first()
    if found is not None:
        return found, False
    try:
        return repeated(lambda: rows.create(**names, **(defaults or {})), joins=True), True
    except IntegrityError:
        return rows.get(**names), False


def is_conflict(error: BaseException) -> bool:
    """Return whether the database has rolled a transaction back because of another one, so that it can be repeated."""
    return _code_of(error) in _CONFLICTS | _LOCK_TIMEOUTS


def _code_of(error: BaseException) -> object:
    """Return the error code of the database's own library."""
    cause: Any = error.__cause__ or error
    for name in ("sqlstate", "pgcode"):
        if getattr(cause, name, None) is not None:
            return getattr(cause, name)
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", None) or ""
        return "_".join(name.split("_")[:2])  # SQLITE_BUSY_SNAPSHOT is a SQLITE_BUSY
    return cause.args[0] if isinstance(error, DatabaseError) and cause.args else None


def drop_lost_connection() -> None:
    """Close a lost connection, so that the next query opens a new one."""
    connections[database_alias()].close_if_unusable_or_obsolete()


def reconnecting(read: Callable[[], T]) -> T:
    """Read something after a verb; if the connection was lost meanwhile, read it again on a new one."""
    try:
        return read()
    except (OperationalError, InterfaceError):
        drop_lost_connection()
        return read()


def check_snapshot() -> None:
    """Raise OpenTransactionError if the caller's transaction may read rows as they were before the lock.

    Under REPEATABLE READ and SERIALIZABLE a transaction reads from the snapshot of its first read, even after it has
    waited for a lock. READ COMMITTED, Django's default and the level of our own transactions, doesn't.
    """
    connection = connections[database_alias()]
    if connection.in_atomic_block and _isolation_of(connection) not in ("READ COMMITTED", ""):
        raise OpenTransactionError(
            _(
                "Inside a transaction this needs the isolation level READ COMMITTED. Call it before or after the "
                "transaction, or set OPTIONS['isolation_level'] of the database to read committed."
            )
        )


def _isolation_of(connection: BaseDatabaseWrapper) -> str:
    """Return the isolation level of the open transaction in capitals, or "" on databases where it doesn't matter."""
    if connection.vendor not in ("postgresql", "mysql"):
        return ""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW transaction_isolation")
        else:
            name = "transaction_isolation" if not connection.mysql_is_mariadb else "tx_isolation"  # type: ignore[attr-defined]
            cursor.execute(f"SELECT @@{name}")
        return str(cursor.fetchone()[0]).upper().replace("-", " ")


@contextmanager
def _read_committed(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Run the transaction that begins in the block as READ COMMITTED on PostgreSQL, whatever the project has set.

    The level is sent with BEGIN. MariaDB doesn't need it: its snapshot is taken after the lock.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    from django.db.backends.postgresql.psycopg_any import IsolationLevel  # noqa: PLC0415 - needs psycopg

    connection.ensure_connection()
    raw: Any = connection.connection
    before = raw.isolation_level
    raw.isolation_level = IsolationLevel.READ_COMMITTED
    try:
        yield
    finally:
        with suppress(Exception):  # the connection may be lost
            raw.isolation_level = before


_LOCKED: Final = Select(
    PaymentCollection, lambda rows, collection: rows.filter(pk=collection).select_for_update(), "collection"
)


def lock_collection(collection_id: str) -> PaymentCollection:
    """Lock a collection until the transaction ends, and return its current row; raise NotFoundError."""
    alias = database_alias()
    connection = connections[alias]
    if not (connection.features.has_select_for_update or _begins_with_write_lock(connection)):
        # SQLite ignores FOR UPDATE; a write takes its one write lock before anything is read.
        _all(PaymentCollection).filter(pk=collection_id).update(updated_at=timezone.now())
    return the_collection(_LOCKED(alias, collection=collection_id), collection_id)


def the_collection(found: Sequence[PaymentCollection], collection_id: str) -> PaymentCollection:
    """Return the collection that a query has found; raise NotFoundError if it has found none."""
    if found:
        return found[0]
    raise NotFoundError(
        _("There is no payment collection “%(id)s”."),
        code="unknown_collection",
        field="collection_id",
        params={"id": collection_id},
    )


def lock_free(rows: QuerySet[Any], limit: int | None = None) -> list[Any]:
    """Lock the rows that no other transaction has locked, up to `limit`; return their keys."""
    rows = rows.using(database_alias())
    if _skips_locks():
        rows = rows.select_for_update(skip_locked=True)
    return list(rows.values_list("pk", flat=True)[:limit])


def _begins_with_write_lock(connection: BaseDatabaseWrapper) -> bool:
    """Return whether transactions take SQLite's one write lock when they begin."""
    return getattr(connection, "transaction_mode", None) in ("IMMEDIATE", "EXCLUSIVE")


def new_owner() -> str:
    """Return a name for a worker, from which an operator can see where it runs."""
    return f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def is_free() -> Q:
    """Return the condition that no worker has a lease on a row."""
    return Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=timezone.now())


def lease_rows(rows: QuerySet[ModelT], *, owner: str, limit: int) -> list[ModelT]:
    """Lease up to `limit` of these rows to a worker; rows that another worker is leasing right now are skipped.

    Each lease has a unique name that begins with the worker's. The name is a fence: a worker that has lost the lease
    can't write the row. The model must have `lease_owner` and `lease_expires_at`. If its rows are below a collection,
    the collection is locked and gets a new version. A busy collection is skipped, so that no worker waits for a lock.
    """
    free = rows.using(database_alias()).filter(is_free())
    name = f"{owner[:_LONGEST_OWNER]}:{uuid.uuid4().hex[:8]}"

    def lease() -> list[Any]:
        chosen = lock_free(free, limit)
        if _has_collection(free):
            chosen = _with_collections(free, chosen)
        plain = _all(free.model)
        # On a database without row locks, the condition decides which of two workers gets a row.
        leased = [pk for pk in chosen if _skips_locks() or free.filter(pk=pk).exists()]
        plain.filter(pk__in=leased).update(lease_owner=name, lease_expires_at=timezone.now() + LEASE)
        return leased

    chosen = repeated(lease)
    found = _all(free.model).filter(lease_owner=name).in_bulk(chosen)
    return [found[pk] for pk in chosen if pk in found]


def release_rows(rows: Sequence[Any]) -> None:
    """End the leases of rows of one model that aren't processed; they stay due."""
    if not rows:
        return
    leased = _all(type(rows[0])).filter(pk__in=[row.pk for row in rows])
    mine = leased.filter(lease_owner__in={row.lease_owner for row in rows})

    def release() -> None:
        chosen = lock_free(mine)
        if _has_collection(mine):
            chosen = _with_collections(mine, chosen)
        # A processing operation without a lease would never be due, so the lease is over rather than absent.
        mine.filter(pk__in=chosen).update(lease_owner="", lease_expires_at=timezone.now())

    repeated(release)


def leased_rows(rows: Iterable[Any]) -> Iterator[Any]:
    """Yield leased rows one by one, each with a renewed lease; rows whose lease another worker has taken are left out.

    So a batch may take longer than one lease, and no row is processed twice.
    """
    for row in rows:
        mine = _all(type(row)).filter(pk=row.pk, lease_owner=row.lease_owner)
        if mine.update(lease_expires_at=timezone.now() + LEASE):
            yield row


def _has_collection(rows: QuerySet[Any]) -> bool:
    return any(field.name == "collection" for field in rows.model._meta.fields)


def _skips_locks() -> bool:
    return connections[database_alias()].features.has_select_for_update_skip_locked


def _all(model: type[ModelT]) -> QuerySet[ModelT]:
    return QuerySet(model, using=database_alias())


def _with_collections(rows: QuerySet[Any], chosen: list[Any]) -> list[Any]:
    """Return the chosen rows whose collection can be locked at once, and give each collection a new version."""
    above = dict(_all(rows.model).filter(pk__in=chosen).values_list("pk", "collection_id"))
    collections = _all(PaymentCollection).filter(pk__in=set(above.values())).order_by("pk")
    locked = set(lock_free(collections))
    _all(PaymentCollection).filter(pk__in=locked).update(version=F("version") + 1)
    return [pk for pk in chosen if above[pk] in locked]
