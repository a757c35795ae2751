"""What the tests of webhooks share: a simulator whose events they deliver themselves, and a scripted provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments import services
from payments.models import PaymentCollection, PaymentSession
from payments.simulator import SimulatorService
from payments.testing import Script, simulator_settings
from tests.webhooks.deliveries import SECRET


@pytest.fixture(scope="session")
def _service() -> Iterator[SimulatorService]:
    with SimulatorService(async_delay=None, webhook_secret=SECRET) as service:
        yield service


@pytest.fixture
def simulator(_service: SimulatorService) -> Iterator[SimulatorService]:
    """Return a simulator with an empty ledger that delivers nothing by itself."""
    _service.reset()
    with simulator_settings(_service):
        yield _service


@pytest.fixture
def session(collection: PaymentCollection, simulator: SimulatorService) -> PaymentSession:
    """Return a session with the simulator, not authorized yet."""
    return services.create_payment_session(collection, provider_id="simulator")


@pytest.fixture
def scripted_session(collection: PaymentCollection, script: Script) -> PaymentSession:
    """Return a session with the scripted provider, not authorized yet."""
    return services.create_payment_session(collection, provider_id="scripted")
