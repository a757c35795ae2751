"""What all tests share: which database they run on, what is left out on which, and what many of them start from.

`pytest --database sqlite|postgresql|mariadb` chooses the database, `--prepared` has PostgreSQL prepare statements, and
`--plain-orm` has the ledger compile none. With pytest-xdist the controller finds or starts the server once and hands
its address to the workers, each of which makes a database of its own there.

The rows begin with a `session`, which each package that wants them makes with a provider of its own.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import TestCase
from django.test.signals import root_urlconf_changed
from django.urls import set_urlconf
from django.utils import translation

from payments import services
from payments.conf import payments_setting
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.services.ledger import statements
from payments.simulator import SimulatorService
from payments.testing import Script, scripted_provider, simulator_settings
from tests.databases import DATABASES, database_url, settings_for_tests
from tests.reliability.clocks import TestClock, moving_clock
from tests.webhooks.deliveries import SECRET

URL = pytest.StashKey[str]()
WORKER_URL = "payments_database_url"
DATABASE_INDEPENDENT = re.compile(r"^pytestmark = .*\bdatabase_independent\b", re.MULTILINE)

# A busy machine is slow, not wrong. A change is judged by the same examples every time; at the desk they vary.
hypothesis.settings.register_profile("payments", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("payments")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--database`, `--prepared` and `--plain-orm`."""
    parser.addoption(
        "--database",
        choices=DATABASES,
        default="sqlite",
        help=(
            "The database to test on. postgresql: the server at POSTGRESQL_URL, or else an embedded one. "
            "mariadb: the server at MARIADB_URL, or else root on 127.0.0.1:3306. Default: sqlite."
        ),
    )
    parser.addoption(
        "--prepared",
        action="store_true",
        help="Have PostgreSQL bind the parameters of statements, and prepare each that is sent twice.",
    )
    parser.addoption(
        "--plain-orm",
        action="store_true",
        help="Have the ledger's statements go through the plain ORM, as where COMPILE_STATEMENTS is False.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Point Django at the chosen database, before anything has opened a connection."""
    if config.getoption("help", default=False):
        return
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[URL] = worker[WORKER_URL] if worker else _controller_url(config)
    _use_database(settings_for_tests(config.stash[URL], is_prepared=config.getoption("prepared")))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the database's address to an xdist worker."""
    node.workerinput[WORKER_URL] = node.config.stash[URL]


def pytest_report_header(config: pytest.Config) -> str:
    """Say on which database the tests run, and how its statements are made."""
    ways = [way for way in ("prepared", "plain_orm") if config.getoption(way)]
    return f"database: {', '.join([config.getoption('database'), *ways])}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage meanwhile, which would take a third of the time.

    What is collected stays to the end, so it is not looked through again either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


class _LeftOut(pytest.Module):
    """A file of tests none of which is run."""

    def collect(self) -> list[pytest.Item]:
        """Find nothing, without importing the file."""
        return []


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Leave files out unread that have nothing to do with the chosen database, unless they are asked for by name."""
    if parent.config.getoption("database") == "sqlite" or parent.session.isinitpath(module_path):
        return None
    if DATABASE_INDEPENDENT.search(module_path.read_text(encoding="utf-8")) is None:
        return None
    return _LeftOut.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless -m says otherwise, and what has nothing to do with the chosen database."""
    marks = set() if config.getoption("markexpr") else {"thorough"}
    if config.getoption("database") != "sqlite":
        marks.add("database_independent")
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in marks)]
    config.hook.pytest_deselected(items=left_out)
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Prepare the database, and its cheaper flush."""
    from tests.flushing import cheapen_flushes  # noqa: PLC0415 - Django is set up only now

    with django_db_blocker.unblock():
        cheapen_flushes()


@pytest.fixture(autouse=True)
def default_language() -> Iterator[None]:
    """Leave no language behind: Django's middleware activates that of a request until the next one comes."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session", autouse=True)
def _plain_orm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile no statements, where that is asked for; a test that sets COMPILE_STATEMENTS itself has what it sets."""
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("plain_orm"):
            patch.setattr(
                statements, "compiles_statements", partial(payments_setting, "COMPILE_STATEMENTS", False)
            )
        yield


@pytest.fixture(scope="session", autouse=True)
def _addresses() -> None:
    """Keep what Django has worked out of a URLconf for the next test that has it, by name; it would begin anew."""

    def forget_the_request(*, setting: str, **_arguments: Any) -> None:
        if setting == "ROOT_URLCONF":
            set_urlconf(None)

    setting_changed.disconnect(root_urlconf_changed)
    setting_changed.connect(forget_the_request, weak=False)


@pytest.fixture(scope="module")
def module_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """Have rows that a fixture of a module makes last until its last test, as `TestCase.setUpTestData` does.

    Yield what unblocks the database. Each test runs in a savepoint of its own; none may ask for real transactions.
    """
    with django_db_blocker.unblock():
        atomics = TestCase._enter_atomics()  # type: ignore[attr-defined]
    yield django_db_blocker
    with django_db_blocker.unblock():
        TestCase._rollback_atomics(atomics)  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def lasting_simulator() -> Iterator[SimulatorService]:
    """Return a simulator for all tests, which delivers nothing by itself."""
    with SimulatorService(async_delay=None, webhook_secret=SECRET) as service:
        yield service


@pytest.fixture
def simulator(lasting_simulator: SimulatorService) -> Iterator[SimulatorService]:
    """Return a simulator with an empty ledger, to which the provider `simulator` talks."""
    lasting_simulator.reset()
    with simulator_settings(lasting_simulator):
        yield lasting_simulator


@pytest.fixture
def script() -> Iterator[Script]:
    """What the provider `scripted` answers, and was asked."""
    with scripted_provider() as script:
        yield script


@pytest.fixture
def clock() -> Iterator[TestClock]:
    """Return the shop's time, for the test to move."""
    with moving_clock() as clock:
        yield clock


@pytest.fixture
def collection(db: None) -> PaymentCollection:
    """Return a collection of 100.00 euros."""
    return services.create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def payment(session: PaymentSession) -> Payment:
    """Return a payment of 100.00 euros, of which nothing is captured."""
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


@pytest.fixture
def captured(payment: Payment) -> Payment:
    """Return a payment of 100.00 euros, all of it captured."""
    return services.capture_payment(payment)


def _controller_url(config: pytest.Config) -> str:
    resources = ExitStack()
    config.add_cleanup(resources.close)
    return resources.enter_context(database_url(config.getoption("database")))


def _use_database(database: dict[str, Any]) -> None:
    """Replace the database of tests/settings.py and the unopened connection that loading the models made to it."""
    settings.DATABASES[DEFAULT_DB_ALIAS] = database
    connections.configure_settings(settings.DATABASES)
    del connections[DEFAULT_DB_ALIAS]
