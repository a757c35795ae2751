"""What the tests of the outbox share: a scripted provider, somebody who listens to everything, and time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments import services
from payments.models import PaymentCollection, PaymentSession
from payments.testing import Script
from tests.outbox.listeners import Listener


@pytest.fixture(autouse=True)
def _outbox(transactional_db: None, script: Script) -> None:
    """Have each test commit, and a provider that does what the test says."""


@pytest.fixture
def listener(transactional_db: None) -> Iterator[Listener]:
    """Return somebody who hears every signal."""
    with Listener() as listener:
        yield listener


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, not authorized yet."""
    return services.create_payment_session(collection, provider_id="scripted")
