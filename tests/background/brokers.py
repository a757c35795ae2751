"""Brokers for Celery: real servers, which a machine at the desk may lack."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from tests.programs import missing

BROKERS: Final = {
    "rabbitmq": ("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": ("REDIS_URL", "redis://127.0.0.1:6379/15"),
}
"""The variable in which each broker's address may be given, and its usual address."""


@contextmanager
def broker(name: str) -> Iterator[tuple[str, str]]:
    """Yield a broker's address and a queue there, which is deleted afterwards.

    A broker that can't be reached is a failure in CI; elsewhere the test is skipped.
    """
    variable, usual = BROKERS[name]
    url, queue = os.environ.get(variable) or usual, f"payments-test-{uuid4().hex}"
    with Connection(url, connect_timeout=5) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.1)
        except connection.recoverable_connection_errors as error:
            missing(f"{name} can't be reached at the address in {variable}, or its usual one: {error}")
        yield url, queue
        channel = connection.channel()
        bound = Queue(queue, Exchange(queue), channel=channel)
        bound.declare()  # on Redis, a connection deletes only what it knows
        bound.delete()
        bound.exchange.bind(channel).delete()
