"""A PostgreSQL server, PgBouncer before it, and a simulator, for one test each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.utils import ConnectionHandler

from payments.services.ledger import statements
from payments.simulator import SimulatorService
from payments.testing import running_simulator
from tests.embedded_postgresql import EmbeddedPostgreSQL
from tests.machines.hosts import database
from tests.machines.pooler import Pooler, find_pgbouncer
from tests.programs import missing


def start(**options: Any) -> EmbeddedPostgreSQL:
    """Start a server."""
    server = EmbeddedPostgreSQL(**options)
    server.start()
    return server


@pytest.fixture
def primary() -> Iterator[EmbeddedPostgreSQL]:
    """Return a server with an empty database `shop`."""
    server = start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    yield server
    server.stop()


@pytest.fixture
def standby(primary: EmbeddedPostgreSQL) -> Iterator[EmbeddedPostgreSQL]:
    """Return a server that follows the primary."""
    server = start(primary=primary)
    yield server
    server.stop()


@pytest.fixture
def pooler(primary: EmbeddedPostgreSQL) -> Iterator[Pooler]:
    """Return a pooler of four connections before the primary."""
    program = find_pgbouncer() or missing("pgbouncer isn't installed (apt-get install pgbouncer).")
    pooler = Pooler(program, primary, size=4)
    yield pooler
    pooler.stop()


@pytest.fixture
def bank() -> Iterator[SimulatorService]:
    """Return a simulator that tells everything twice."""
    with running_simulator() as service:
        service.deliver(duplicate=2)
        yield service


@contextmanager
def asking(url: str, **changes: Any) -> Iterator[None]:
    """Have this process ask the database `shop` of a server inside the block, not that of the tests."""
    before = connections["default"]
    connections["default"] = ConnectionHandler({"default": database(f"{url}shop", **changes)})["default"]
    _forget()
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"] = before
        _forget()


def _forget() -> None:
    """Forget what was composed for, or read from, another database of the same alias."""
    for cache in (statements._plan, statements._insert_text, statements._update_text):
        cache.cache_clear()
    ContentType.objects.clear_cache()


@pytest.fixture
def shop_of_the_primary(primary: EmbeddedPostgreSQL, django_db_blocker: Any) -> Iterator[str]:
    """Have this process ask the primary, with tables and orders in it, and return the key of an operator's session."""
    from tests.benchmarks.server import fill  # noqa: PLC0415 - it needs gunicorn

    with django_db_blocker.unblock(), asking(primary.url):
        yield fill(200)
