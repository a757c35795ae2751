"""A shop's Celery app, as the docs have it, for worker processes that a test starts."""

from __future__ import annotations

import os

import django
from celery import Celery

django.setup()

from payments.services.background.jobs import JOBS  # noqa: E402 - it has models, which want Django set up

_queue = os.environ["PAYMENTS_TEST_QUEUE"]

app = Celery("shop", broker=os.environ["PAYMENTS_TEST_BROKER"])
app.conf.update(
    imports=["payments.contrib.celery"],
    task_default_queue=_queue,
    task_default_exchange=_queue,
    worker_enable_remote_control=False,  # it would leave queues of its own behind
    broker_connection_retry_on_startup=True,
    beat_schedule={f"payments-{name}": {"task": f"payments.{name}", "schedule": 1.0} for name in JOBS},
)
