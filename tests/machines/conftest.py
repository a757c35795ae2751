"""A shop's PostgreSQL server, a standby, PgBouncer, and a bank, for one test each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.utils import ConnectionHandler

from payments.services.ledger import statements
from payments.simulator import SimulatorService
from payments.testing import running_simulator
from tests.embedded_postgresql import EmbeddedPostgreSQL
from tests.machines.hosts import Shop, database, paid_by
from tests.machines.pooler import Pooler, find_pgbouncer
from tests.programs import missing

ORDERS: Final = 30
PATIENCE: Final = 20.0


def start(**options: Any) -> EmbeddedPostgreSQL:
    """Start a server."""
    server = EmbeddedPostgreSQL(**options)
    server.start()
    return server


@dataclass(frozen=True, kw_only=True)
class Home:
    """The server of a shop, the key of an operator's session there, the shop's bank, and a folder for its logs."""

    server: EmbeddedPostgreSQL
    operator: str
    bank: SimulatorService
    logs: Path

    def shop(self, url: str | None = None, **settings: Any) -> Shop:
        """Return the shop, on its server or on what stands at another address; the bank delivers to it."""
        shop = Shop(
            settings={
                "DATABASES": {"default": database(f"{url or self.server.url}shop")},
                "PAYMENTS": paid_by(
                    self.bank.url, self.bank.settings.api_key, self.bank.settings.webhook_secrets
                ),
                **settings,
            },
            logs=self.logs,
        )
        self.bank.settings.webhook_url = shop.webhook_url
        return shop


@pytest.fixture
def home(django_db_blocker: Any, tmp_path: Path) -> Iterator[Home]:
    """Return the home of a shop that has orders, whose bank tells everything twice; this process asks it too."""
    from tests.benchmarks.server import fill  # noqa: PLC0415 - it needs gunicorn

    server = start(settings={"synchronous_commit": "on"})
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    with running_simulator(webhook_senders=4) as bank, django_db_blocker.unblock(), asking(server.url):
        bank.deliver(duplicate=2)
        yield Home(server=server, operator=fill(ORDERS), bank=bank, logs=tmp_path)
    server.stop()


@pytest.fixture
def standby(home: Home) -> Iterator[EmbeddedPostgreSQL]:
    """Return a server that follows the shop's."""
    server = start(primary=home.server)
    yield server
    server.stop()


@pytest.fixture
def pooler(home: Home) -> Iterator[Pooler]:
    """Return a pooler of four connections before the shop's server."""
    program = find_pgbouncer() or missing("pgbouncer isn't installed (apt-get install pgbouncer).")
    pooler = Pooler(program, home.server, size=4)
    yield pooler
    pooler.stop()


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


def wait_for_standby(server: EmbeddedPostgreSQL, standby: EmbeddedPostgreSQL) -> None:
    """Wait until a standby shows all that its primary has written."""
    with (
        psycopg.connect(server.url, autocommit=True) as writer,
        psycopg.connect(standby.url, autocommit=True) as reader,
    ):
        (written,) = writer.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
        deadline = time.monotonic() + PATIENCE
        while reader.execute("SELECT pg_last_wal_replay_lsn() >= %s", [written]).fetchone() != (True,):
            assert time.monotonic() < deadline, "the standby doesn't follow"
            time.sleep(0.02)
