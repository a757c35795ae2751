"""What the tests of the outbox share: a scripted provider, somebody who listens to everything, and time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments import services
from payments.models import PaymentCollection, PaymentSession
from payments.testing import Script, scripted_provider
from tests.outbox.listeners import Listener


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the provider `scripted` answers, and was asked."""
    with scripted_provider() as script:
        yield script


@pytest.fixture
def listener(transactional_db: None) -> Iterator[Listener]:
    """Return somebody who hears every signal."""
    with Listener() as listener:
        yield listener


@pytest.fixture
def collection(transactional_db: None) -> PaymentCollection:
    """Return a collection of 100.00 euros."""
    return services.create_payment_collection(amount="100.00", currency_code="eur")


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, not authorized yet."""
    return services.create_payment_session(collection, provider_id="scripted")
