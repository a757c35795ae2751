"""The background work as `django.tasks` tasks (Django 6.0, or the `django-tasks` backport), else as plain functions.

`payments_worker` and `payments.contrib.celery` do the same work.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from payments.services.background.jobs import run_job


def _task_decorator() -> Callable[[Callable[..., int]], Any]:
    for module in ("django.tasks", "django_tasks"):
        try:
            decorator: Callable[[Callable[..., int]], Any] = import_module(module).task
        except ImportError:  # neither Django 6.0 nor the backport is installed
            continue
        return decorator
    return lambda function: function


_task = _task_decorator()


@_task
def reconcile_payments(limit: int = 100) -> int:
    """Recover the outcomes of up to `limit` due operations."""
    return run_job("reconciler", limit)


@_task
def process_webhooks(limit: int = 100) -> int:
    """Apply up to `limit` stored webhook events that are due."""
    return run_job("inbox", limit)


@_task
def publish_events(limit: int = 100) -> int:
    """Publish the events left behind in up to `limit` collections."""
    return run_job("outbox", limit)


@_task
def expire_payments(limit: int = 100) -> int:
    """Cancel up to `limit` expired sessions and as many expired authorizations."""
    return run_job("expiry", limit)


@_task
def notify_due(limit: int = 100) -> int:
    """Write an event for up to `limit` installments that have fallen due."""
    return run_job("installments", limit)


@_task
def charge_due(limit: int = 100) -> int:
    """Charge up to `limit` due installments of automatic plans with their customers' saved payment methods."""
    return run_job("charges", limit)


@_task
def sum_days(limit: int = 100) -> int:
    """Keep the sums of up to `limit` days that are over."""
    return run_job("summaries", limit)
