"""The background work as a list of jobs, which a command, a task queue or a test runs.

A lost run is harmless: its rows stay due. What is kept for a while only is pruned, but rows that may stand for money
are kept for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from payments.models import IdempotencyRecord, WebhookEvent
from payments.providers.circuits import circuits
from payments.services.background.expiry import sweep_expired
from payments.services.background.inbox import process_due_events
from payments.services.background.installments import charge_due_installments, notify_due_installments
from payments.services.background.reconciler import reconcile_due
from payments.services.background.summaries import sum_ended_days
from payments.services.ledger.outbox import publish_due

QuerySetT = TypeVar("QuerySetT", bound=QuerySet[Any])

Report = Callable[[str], None]
Batch = Callable[[int, Report], int]

_BATCH: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of background work; `run` takes a limit and a function that is called with a line about each row.

    `run` returns how many rows were processed: fewer than the limit only if nothing more is due.
    """

    name: str
    run: Batch


def _inbox(limit: int, report: Report) -> int:
    return process_due_events(
        limit=limit, progress=lambda event: report(f"{event.pk} {event.type}: {event.status} {event.detail}")
    )


def _reconciler(limit: int, report: Report) -> int:
    return reconcile_due(
        limit=limit,
        progress=lambda operation: report(
            f"{operation.pk} {operation.kind}: {operation.status} {operation.detail}"
        ),
    )


def _outbox(limit: int, report: Report) -> int:
    return publish_due(
        limit=limit, progress=lambda event: report(f"{event.collection_id} {event.type}: published")
    )


def _expiry(limit: int, report: Report) -> int:
    return sweep_expired(limit=limit, progress=lambda row: report(f"{row.pk}: {row.status}")).seen_to


def _installments(limit: int, report: Report) -> int:
    return notify_due_installments(
        limit=limit, progress=lambda session: report(f"{session.pk}: due since {session.due_at:%Y-%m-%d}")
    )


def _charges(limit: int, report: Report) -> int:
    return charge_due_installments(
        limit=limit, progress=lambda session: report(f"{session.pk}: {session.status}")
    )


def _summaries(limit: int, report: Report) -> int:
    return sum_ended_days(limit=limit, progress=lambda day: report(f"{day.day}: added up"))


def _filled(batch: Batch) -> Batch:
    """Return a function that runs batches until `limit` rows are processed or nothing is due.

    A short batch isn't the end: another worker may have leased the rest of it.
    """

    def run(limit: int, report: Report) -> int:
        total = 0
        with circuits():
            while total < limit and (count := batch(limit - total, report)):
                total += count
        return total

    return run


JOBS: Final = {
    name: Job(name=name, run=_filled(batch))
    for name, batch in (
        ("inbox", _inbox),
        ("reconciler", _reconciler),
        ("outbox", _outbox),
        ("expiry", _expiry),
        ("installments", _installments),
        ("charges", _charges),
        ("summaries", _summaries),
    )
}


def run_job(name: str, limit: int) -> int:
    """Run a job in batches of up to `limit` rows until nothing is due; return how many rows were processed."""
    total, count = 0, limit
    with circuits():
        while count >= limit:
            count = JOBS[name].run(limit, lambda line: None)
            total += count
    return total


@dataclass(frozen=True, kw_only=True)
class PruneReport:
    """How many rows were cleared and deleted."""

    cleared_events: int
    deleted_records: int


def prune(*, events_older_than: timedelta) -> PruneReport:
    """Clear the contents of old finished webhook events, and delete expired idempotency records."""
    now = timezone.now()
    events = WebhookEvent.objects.with_contents().filter(created_at__lt=now - events_older_than)
    records = IdempotencyRecord.objects.filter(expires_at__lte=now)
    return PruneReport(
        cleared_events=_in_batches(events, lambda rows: rows.clear()),
        deleted_records=_in_batches(records, lambda rows: rows.delete()[0]),
    )


def _in_batches(rows: QuerySetT, change: Callable[[QuerySetT], int]) -> int:
    """Change rows, which are selected no more once they are changed, without locking many of them at once."""
    total = 0
    while keys := list(rows.order_by().values_list("pk", flat=True)[:_BATCH]):
        total += change(rows.filter(pk__in=keys))
    return total
