"""What the tests of webhooks share: a simulator whose events they deliver themselves, and a scripted provider."""

from __future__ import annotations

import pytest

from payments import services
from payments.models import PaymentCollection, PaymentSession
from payments.simulator import SimulatorService
from payments.testing import Script


@pytest.fixture
def session(collection: PaymentCollection, simulator: SimulatorService) -> PaymentSession:
    """Return a session with the simulator, not authorized yet."""
    return services.create_payment_session(collection, provider_id="simulator")


@pytest.fixture
def scripted_session(collection: PaymentCollection, script: Script) -> PaymentSession:
    """Return a session with the scripted provider, not authorized yet."""
    return services.create_payment_session(collection, provider_id="scripted")
