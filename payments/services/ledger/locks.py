"""Transactions, the one kind of lock, and the leases of workers.

Whatever is below a collection is read and changed under the lock of the collection's row, so there is one lock order
and no deadlock. A transaction that the database undoes for another's sake is repeated; a verb or a call never is.
"""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""How long a row waits before each further try. After the last one a person has to see to it."""

LEASE: Final = timedelta(minutes=2)
"""How long a worker that has died keeps its rows from the others, and how long a call may be under way."""

PATIENCE: Final = 30.0
"""For how many seconds a transaction is begun anew before its caller is told of the conflict."""

_LONGEST_PAUSE: Final = 0.25
_CONFLICTS: Final = frozenset({"40001", "40P01", 1213, 1020})
"""A serialization failure or a deadlock: PostgreSQL's (Appendix A of its manual), MariaDB's and MySQL's.

1020 is what MariaDB says of a row that was changed since a snapshot was made (`innodb_snapshot_isolation`).
"""

_LOCK_TIMEOUTS: Final = frozenset({"55P03", 1205, 3572, "SQLITE_BUSY", "SQLITE_LOCKED"})
"""A lock that was waited for as long as the database is told to (https://www.sqlite.org/rescode.html)."""

_LONGEST_OWNER: Final = 55

_WAITS: Final = 3
"""How often a lock is waited for anew: how long one wait takes, the project has set."""


class CommitInDoubtError(DatabaseError):
    """A connection that was lost while it committed: nobody knows whether the transaction is in force."""


class LeaseLostError(Exception):
    """A row that another worker has by now; this one leaves it alone."""


def database_alias() -> str:
    """Return the alias of the database in which payments are written, and read wherever something is decided."""
    return router.db_for_write(PaymentCollection)


@contextmanager
def committed() -> Iterator[None]:
    """Run a block that is committed when it ends, not when somebody else's transaction does."""
    alias = database_alias()
    with _read_committed(connections[alias]), transaction.atomic(using=alias, durable=True):
        yield


@contextmanager
def joined() -> Iterator[None]:
    """Run a block that is part of the caller's transaction, where there is one."""
    alias = database_alias()
    with _read_committed(connections[alias]), transaction.atomic(using=alias):
        yield


def repeated(step: Callable[[], T], *, joins: bool = False) -> T:
    """Run a step in a transaction of its own, and anew where it met another transaction.

    With `joins`, it runs in the caller's transaction, where there is one, and isn't repeated. Raises
    CommitInDoubtError where the connection is lost while it commits, and what the step raises.
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
    """Return the row of these names, and whether it was made now; also where two make it at once.

    Unlike `get_or_create`, it never looks for the other's row in a transaction that may be too old to show it.
    """
    found = rows.filter(**names).first()
    if found is not None:
        return found, False
    try:
        return repeated(lambda: rows.create(**names, **(defaults or {})), joins=True), True
    except IntegrityError:
        return rows.get(**names), False


def is_conflict(error: BaseException) -> bool:
    """Return whether a database has undone a transaction, which can be repeated, because of another one."""
    return _code_of(error) in _CONFLICTS | _LOCK_TIMEOUTS


def _code_of(error: BaseException) -> object:
    """Return the code with which the database's own library has raised an error."""
    cause: Any = error.__cause__ or error
    for name in ("sqlstate", "pgcode"):
        if getattr(cause, name, None) is not None:
            return getattr(cause, name)
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", None) or ""
        return "_".join(name.split("_")[:2])  # SQLITE_BUSY_SNAPSHOT is a SQLITE_BUSY
    return cause.args[0] if isinstance(error, DatabaseError) and cause.args else None


def drop_lost_connection() -> None:
    """Close a connection that was lost, so that the next query opens another."""
    connections[database_alias()].close_if_unusable_or_obsolete()


def reconnecting(read: Callable[[], T]) -> T:
    """Read something after a verb; once more, on another connection, where the one at hand was lost meanwhile."""
    try:
        return read()
    except (OperationalError, InterfaceError):
        drop_lost_connection()
        return read()


def check_snapshot() -> None:
    """Raise OpenTransactionError where the caller's transaction may show rows as they were before the lock.

    Under REPEATABLE READ and SERIALIZABLE a transaction reads from the snapshot of its first read, also after it has
    waited for a lock. READ COMMITTED, Django's default, has no such trap, and our own transactions always have it.
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
    """Return the isolation level of the open transaction where it matters, in capitals; "" on SQLite."""
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
    """Have the transaction that begins in the block run READ COMMITTED on PostgreSQL, whatever the project has set.

    The level is sent along with BEGIN. MariaDB needs none of it: its snapshot is taken after the lock.
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
        with suppress(Exception):  # of a connection that is lost
            raw.isolation_level = before


_LOCKED: Final = Select(
    PaymentCollection, lambda rows, collection: rows.filter(pk=collection).select_for_update(), "collection"
)


def lock_collection(collection_id: str) -> PaymentCollection:
    """Lock a collection until the transaction ends, and return it as it is now; raise NotFoundError."""
    alias = database_alias()
    connection = connections[alias]
    if not (connection.features.has_select_for_update or _begins_with_write_lock(connection)):
        # SQLite ignores FOR UPDATE; writing first takes its one write lock before anything is read.
        _all(PaymentCollection).filter(pk=collection_id).update(updated_at=timezone.now())
    return the_collection(_LOCKED(alias, collection=collection_id), collection_id)


def the_collection(found: Sequence[PaymentCollection], collection_id: str) -> PaymentCollection:
    """Return the collection that was found; raise NotFoundError where there was none."""
    if found:
        return found[0]
    raise NotFoundError(
        _("There is no payment collection “%(id)s”."),
        code="unknown_collection",
        field="collection_id",
        params={"id": collection_id},
    )


def lock_free(rows: QuerySet[Any], limit: int | None = None) -> list[Any]:
    """Lock those of the rows, or the first of them, that nobody else has locked; return their keys."""
    rows = rows.using(database_alias())
    if _skips_locks():
        rows = rows.select_for_update(skip_locked=True)
    return list(rows.values_list("pk", flat=True)[:limit])


def _begins_with_write_lock(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the transaction has SQLite's one write lock from its beginning."""
    return getattr(connection, "transaction_mode", None) in ("IMMEDIATE", "EXCLUSIVE")


def new_owner() -> str:
    """Return a name for a worker that tells an operator where it runs."""
    return f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def is_free() -> Q:
    """Return the condition under which nobody has a lease on a row."""
    return Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=timezone.now())


def lease_rows(rows: QuerySet[ModelT], *, owner: str, limit: int) -> list[ModelT]:
    """Lease up to `limit` of these rows to a worker; rows that another worker is leasing right now are skipped.

    Each lease has a name of its own, which begins with the worker's: it is the fence behind which nobody writes who has
    lost it. The model must have `lease_owner` and `lease_expires_at`. Where its rows are below a collection, that is
    locked and gets a new version; one that is busy is skipped as well, so that nothing here waits for a lock.
    """
    free = rows.using(database_alias()).filter(is_free())
    name = f"{owner[:_LONGEST_OWNER]}:{uuid.uuid4().hex[:8]}"

    def lease() -> list[Any]:
        chosen = lock_free(free, limit)
        if any(field.name == "collection" for field in free.model._meta.fields):
            chosen = _with_collections(free, chosen)
        plain = _all(free.model)
        # The condition decides between two on a database without row locks.
        leased = [pk for pk in chosen if _skips_locks() or free.filter(pk=pk).exists()]
        plain.filter(pk__in=leased).update(lease_owner=name, lease_expires_at=timezone.now() + LEASE)
        return leased

    chosen = repeated(lease)
    found = _all(free.model).filter(lease_owner=name).in_bulk(chosen)
    return [found[pk] for pk in chosen if pk in found]


def leased_rows(rows: Sequence[Any]) -> Iterator[Any]:
    """Yield leased rows one by one, each with its lease renewed; those that another worker has by now are left out.

    A batch may so take longer than one lease, and is still not done twice.
    """
    for row in rows:
        mine = _all(type(row)).filter(pk=row.pk, lease_owner=row.lease_owner)
        if mine.update(lease_expires_at=timezone.now() + LEASE):
            yield row


def _skips_locks() -> bool:
    return connections[database_alias()].features.has_select_for_update_skip_locked


def _all(model: type[ModelT]) -> QuerySet[ModelT]:
    return QuerySet(model, using=database_alias())


def _with_collections(rows: QuerySet[Any], chosen: list[Any]) -> list[Any]:
    """Return those of the chosen rows whose collection can be locked at once, and give it a new version."""
    above = dict(_all(rows.model).filter(pk__in=chosen).values_list("pk", "collection_id"))
    collections = _all(PaymentCollection).filter(pk__in=set(above.values())).order_by("pk")
    locked = set(lock_free(collections))
    _all(PaymentCollection).filter(pk__in=locked).update(version=F("version") + 1)
    return [pk for pk in chosen if above[pk] in locked]
