"""What the tests of reliability share: a simulator, a clock, and rows in the states that tests start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments.models import PaymentCollection, PaymentSession
from payments.services import (
    create_payment_collection,
    create_payment_session,
)
from payments.simulator import SimulatorService
from payments.testing import simulator_settings
from tests.reliability.banks import Bank, open_bank
from tests.reliability.clocks import TestClock, moving_clock

TIMEOUT = 2.0


@pytest.fixture
def simulator(lasting_simulator: SimulatorService) -> Iterator[SimulatorService]:
    """Return a simulator with an empty ledger, whose answers the shop doesn't wait long for."""
    lasting_simulator.reset()
    with simulator_settings(lasting_simulator, timeout=TIMEOUT):
        yield lasting_simulator
    lasting_simulator.reset()


@pytest.fixture
def bank() -> Iterator[Bank]:
    """Return a bank in memory, to which the provider `bank` talks."""
    with open_bank() as bank:
        yield bank


@pytest.fixture
def clock(simulator: SimulatorService) -> Iterator[TestClock]:
    """Return the time, ours and the simulator's, for the test to move."""
    with moving_clock(simulator) as clock:
        yield clock


@pytest.fixture
def collection(transactional_db: None, clock: TestClock) -> PaymentCollection:
    """Return a collection of 100.00 euros."""
    return create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def session(request: pytest.FixtureRequest, collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, not authorized yet: at the bank where the test has one."""
    provider_id = "bank" if "bank" in request.fixturenames else "simulator"
    return create_payment_session(collection, provider_id=provider_id)
