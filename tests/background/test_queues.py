"""The background work on task queues: `django.tasks` where Django has it, Celery everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from celery import Celery

from payments import tasks
from payments.contrib import celery as celery_tasks
from payments.models import WebhookEvent
from payments.services.background.jobs import JOBS
from payments.states import WebhookEventStatus
from tests.background.conftest import MakeHints
from tests.background.workers import celery_shop

TASKS = {
    "inbox": "process_webhooks",
    "reconciler": "reconcile_payments",
    "outbox": "publish_events",
    "expiry": "expire_payments",
    "installments": "notify_due",
    "charges": "charge_due",
    "summaries": "sum_days",
}

DUE = 3
"""How much is due: less than a batch, so that nobody looks for more."""

needs_django_tasks = pytest.mark.skipif(
    django.VERSION < (6, 0), reason="Django has tasks since 6.0; the run on Django 6 shows this"
)


@pytest.fixture
def shop() -> Iterator[Celery]:
    """Return the shop's Celery app, which runs tasks where they are sent."""
    with celery_shop() as app:
        yield app


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note which job is run with which limit, instead of running it."""
    noted: list[tuple[str, int]] = []
    for name in JOBS:

        def run(limit: int, report: Callable[[str], None], name: str = name) -> int:
            report("a line")
            noted.append((name, limit))
            return DUE

        monkeypatch.setitem(JOBS, name, type(JOBS[name])(name=name, run=run))
    return noted


def test_every_job_has_a_task() -> None:
    assert set(TASKS) == set(JOBS)


@pytest.mark.parametrize(("name", "function"), TASKS.items())
@needs_django_tasks
def test_a_django_task_runs_its_job(name: str, function: str, limits: list[tuple[str, int]]) -> None:
    result = getattr(tasks, function).enqueue(limit=7)
    assert result.return_value == DUE
    assert limits == [(name, 7)]


@pytest.mark.django_db(transaction=True)
@needs_django_tasks
def test_an_enqueued_task_works_off_the_inbox(make_hints: MakeHints) -> None:
    make_hints(2)
    assert tasks.process_webhooks.enqueue().return_value == 2
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}


@pytest.mark.parametrize(("name", "function"), TASKS.items())
def test_a_task_is_a_function_where_django_has_none(
    name: str, function: str, limits: list[tuple[str, int]]
) -> None:
    task: Any = getattr(tasks, function)
    call = getattr(task, "call", task)
    assert call(limit=7) == DUE
    assert limits == [(name, 7)]


@pytest.mark.parametrize(("name", "function"), TASKS.items())
def test_a_celery_task_runs_its_job(
    name: str, function: str, shop: Celery, limits: list[tuple[str, int]]
) -> None:
    task = getattr(celery_tasks, function)
    assert task.name == f"payments.{name}"
    assert task.delay(limit=7).get() == DUE
    assert limits == [(name, 7)]


@pytest.mark.django_db(transaction=True)
def test_a_celery_task_works_off_the_inbox(make_hints: MakeHints, shop: Celery) -> None:
    make_hints(2)
    assert celery_tasks.process_webhooks.delay().get() == 2
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}


def test_the_schedule_in_the_docs_names_tasks_that_there_are(shop: Celery) -> None:
    shop.finalize()
    assert {f"payments.{name}" for name in JOBS} <= set(shop.tasks)
    assert all(f'"{name}"' in str(celery_tasks.__doc__) for name in JOBS)
