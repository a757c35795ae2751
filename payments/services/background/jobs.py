"""The background work as a list of jobs, for whatever runs it: a command, a task queue, a test.

A job looks after what is due and returns how much that was. Losing a run is harmless: rows stay due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from payments.services.background.expiry import sweep_expired
from payments.services.background.inbox import process_due_events
from payments.services.background.installments import charge_due_installments, notify_due_installments
from payments.services.background.reconciler import reconcile_due
from payments.services.ledger.outbox import publish_due

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Name a piece of background work; `run` takes a limit and a function that is told of each row."""

    name: str
    run: Callable[[int, Report], int]


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
    return sweep_expired(limit=limit, progress=lambda row: report(f"{row.pk}: {row.status}")).canceled


def _installments(limit: int, report: Report) -> int:
    return notify_due_installments(
        limit=limit, progress=lambda session: report(f"{session.pk}: due since {session.due_at:%Y-%m-%d}")
    )


def _charges(limit: int, report: Report) -> int:
    return charge_due_installments(
        limit=limit, progress=lambda session: report(f"{session.pk}: {session.status}")
    )


JOBS: Final = {
    job.name: job
    for job in (
        Job(name="inbox", run=_inbox),
        Job(name="reconciler", run=_reconciler),
        Job(name="outbox", run=_outbox),
        Job(name="expiry", run=_expiry),
        Job(name="installments", run=_installments),
        Job(name="charges", run=_charges),
    )
}


def run_job(name: str, limit: int) -> int:
    """Run a job on up to `limit` rows, telling nobody of each; return how many were due."""
    return JOBS[name].run(limit, lambda line: None)
