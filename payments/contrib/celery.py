"""The background work as Celery tasks; needs the extra `celery`. Put them into the beat schedule:

    CELERY_BEAT_SCHEDULE = {
        f"payments-{name}": {"task": f"payments.{name}", "schedule": 60.0}
        for name in ("inbox", "reconciler", "outbox", "expiry", "installments", "charges", "summaries")
    }

A lost task is harmless: what is due stays due.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import shared_task

from payments.services.background.jobs import run_job


def _task(name: str) -> Callable[[Callable[..., int]], Any]:
    decorator: Callable[[Callable[..., int]], Any] = shared_task(name=f"payments.{name}", ignore_result=True)
    return decorator


@_task("inbox")
def process_webhooks(limit: int = 100) -> int:
    """Apply up to `limit` stored webhook events that are due."""
    return run_job("inbox", limit)


@_task("reconciler")
def reconcile_payments(limit: int = 100) -> int:
    """Find out what became of up to `limit` operations whose outcome nobody recorded."""
    return run_job("reconciler", limit)


@_task("outbox")
def publish_events(limit: int = 100) -> int:
    """Publish the events left behind in up to `limit` collections."""
    return run_job("outbox", limit)


@_task("expiry")
def expire_payments(limit: int = 100) -> int:
    """Cancel up to `limit` sessions and authorizations whose time is over."""
    return run_job("expiry", limit)


@_task("installments")
def notify_due(limit: int = 100) -> int:
    """Write an event for up to `limit` installments that have fallen due."""
    return run_job("installments", limit)


@_task("charges")
def charge_due(limit: int = 100) -> int:
    """Charge up to `limit` due installments with what their customers have saved, where the plan was made for that."""
    return run_job("charges", limit)


@_task("summaries")
def sum_days(limit: int = 100) -> int:
    """Keep the sums of up to `limit` days that are over."""
    return run_job("summaries", limit)
