"""What the tests of races share: a simulator, payments that it holds, and the isolation levels that shops run with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from payments import services
from payments.models import PaymentCollection, PaymentSession
from payments.simulator import SimulatorService
from payments.testing import simulator_settings
from tests.webhooks.deliveries import SECRET

Prepare = Callable[[], None] | None


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


@pytest.fixture(scope="session")
def _service() -> Iterator[SimulatorService]:
    with SimulatorService(async_delay=None, magic_amounts=False, webhook_secret=SECRET) as service:
        yield service


@pytest.fixture
def simulator(_service: SimulatorService) -> Iterator[SimulatorService]:
    """Return a simulator with an empty ledger, which delivers nothing by itself."""
    _service.reset()
    with simulator_settings(_service):
        yield _service


@pytest.fixture
def collection(transactional_db: None, simulator: SimulatorService) -> PaymentCollection:
    """Return a collection of 100.00 euros."""
    return services.create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, not authorized yet."""
    return services.create_payment_session(collection, provider_id="simulator")
