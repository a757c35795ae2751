"""Leases: how several workers share rows that are due, without doing anything twice.

A worker that dies keeps its lease only until it expires. One that is slow renews it row by row, and leaves alone what
another has taken over meanwhile. No lock is held while the work is done.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from payments.services.transactions import committed, database_alias

ModelT = TypeVar("ModelT", bound=Model)

LEASE: Final = timedelta(minutes=2)


def new_owner() -> str:
    """Return a name for a worker that tells an operator where it runs."""
    return f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def is_free() -> Q:
    """Return the condition under which nobody has a lease on a row."""
    return Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=timezone.now())


def lease_rows(rows: QuerySet[ModelT], *, owner: str, limit: int) -> list[ModelT]:
    """Lease up to `limit` of these rows to a worker; rows that another worker is leasing right now are skipped.

    The model must have `lease_owner` and `lease_expires_at`.
    """
    alias = database_alias()
    free = rows.using(alias).filter(is_free())
    values: dict[str, Any] = {"lease_owner": owner, "lease_expires_at": timezone.now() + LEASE}
    with committed():
        if connections[alias].features.has_select_for_update_skip_locked:
            chosen = [row.pk for row in free.select_for_update(skip_locked=True)[:limit]]
            free.model._default_manager.using(alias).filter(pk__in=chosen).update(**values)
        else:
            candidates = list(free.values_list("pk", flat=True)[:limit])
            chosen = [pk for pk in candidates if free.filter(pk=pk).update(**values)]
    found = free.model._default_manager.using(alias).in_bulk(chosen)
    return [found[pk] for pk in chosen]


def held_rows(rows: Sequence[ModelT], *, owner: str) -> Iterator[ModelT]:
    """Yield leased rows one by one, each with its lease renewed; those that another worker has by now are left out.

    A batch may so take longer than one lease, and is still not done twice.
    """
    for row in rows:
        mine = type(row)._default_manager.using(database_alias()).filter(pk=row.pk, lease_owner=owner)
        if mine.update(lease_expires_at=timezone.now() + LEASE):
            yield row
