"""What the tests of races share: a simulator, payments that it holds, and the isolation levels that shops run with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from payments import services
from payments.models import PaymentCollection, PaymentSession
from payments.simulator import SimulatorService

Prepare = Callable[[], None] | None


MARKERS = (
    "row_locks: needs row locks, so it doesn't run on SQLite.",
    "postgresql: is about PostgreSQL, so it runs on no other database.",
)


def pytest_configure(config: pytest.Config) -> None:
    """Know the markers of tests that not every database can show something with."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the chosen database can't show."""
    database = config.getoption("database")
    unshown = {"row_locks"} if database == "sqlite" else set()
    if database != "postgresql":
        unshown.add("postgresql")
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in unshown)]
    config.hook.pytest_deselected(items=left_out)
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]


def repeatable_read() -> None:
    """Have this connection's transactions keep the snapshot of their first read, as MariaDB does by default."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try MariaDB with both isolation levels that shops run it with; PostgreSQL refuses an old snapshot itself."""
    if "isolation" in metafunc.fixturenames:
        levels: dict[str, Prepare] = {"as_django_sets_it": None}
        if metafunc.config.getoption("database") == "mariadb":
            levels["repeatable_read"] = repeatable_read
        metafunc.parametrize("isolation", list(levels.values()), ids=list(levels))


@pytest.fixture
def row_locks(transactional_db: None) -> None:
    """Leave a test out where the database locks no rows."""
    if not connection.features.has_select_for_update:
        pytest.skip(
            "SQLite has one lock for the whole file and none for a row; PostgreSQL and MariaDB show this"
        )


@pytest.fixture
def collection(transactional_db: None, simulator: SimulatorService) -> PaymentCollection:
    """Return a collection of 100.00 euros."""
    return services.create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, not authorized yet."""
    return services.create_payment_session(collection, provider_id="simulator", by_payer=True)
