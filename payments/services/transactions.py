"""Transactions and the one kind of lock: a collection's row.

Everything below a collection is read and changed under its lock, so there is one lock order and no deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotFoundError, OpenTransactionError
from payments.models import PaymentCollection


def database_alias() -> str:
    """Return the alias of the database that payments are written to."""
    return router.db_for_write(PaymentCollection)


@contextmanager
def committed() -> Iterator[None]:
    """Run a block that is committed when it ends, not when somebody else's transaction does."""
    with transaction.atomic(using=database_alias(), durable=True):
        yield


@contextmanager
def joined() -> Iterator[None]:
    """Run a block that is part of the caller's transaction, where there is one."""
    with transaction.atomic(using=database_alias()):
        yield


def refuse_old_snapshot() -> None:
    """Raise OpenTransactionError where the caller's transaction may show rows as they were before the lock.

    MariaDB and MySQL read from the snapshot of a transaction's first read under REPEATABLE READ, also after waiting
    for a lock. PostgreSQL raises a serialization error instead, and READ COMMITTED, Django's default, has no such trap.
    """
    connection = connections[database_alias()]
    if connection.vendor != "mysql" or not connection.in_atomic_block:
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')")
        levels = {level for _name, level in cursor.fetchall()}
    if "REPEATABLE-READ" in levels:
        raise OpenTransactionError(
            _(
                "Inside a transaction this needs the isolation level READ COMMITTED. Call it before or after the "
                "transaction, or set OPTIONS['isolation_level'] of the database to 'read committed'."
            )
        )


def lock_collection(collection_id: str) -> PaymentCollection:
    """Lock a collection until the transaction ends, and return it as it is now; raise NotFoundError."""
    alias = database_alias()
    rows = PaymentCollection.objects.using(alias)
    if not connections[alias].features.has_select_for_update:
        # SQLite ignores select_for_update; writing first takes its one write lock before anything is read.
        rows.filter(pk=collection_id).update(updated_at=timezone.now())
    try:
        return rows.select_for_update().get(pk=collection_id)
    except PaymentCollection.DoesNotExist as error:
        raise NotFoundError(
            _("There is no payment collection “%(id)s”."),
            code="unknown_collection",
            field="collection_id",
            params={"id": collection_id},
        ) from error
