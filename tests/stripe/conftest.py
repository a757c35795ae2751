"""What the tests of Stripe share: a fake, a provider and drivers that talk to it, and rows in the shop's books."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers.stripe import StripeOptions, StripeProvider
from payments.services import (
    authorize_payment_session,
    create_payment_session,
)
from payments.testing import Attempt, SessionDriver, configured_provider
from tests.reliability.verbs import Payer
from tests.stripe.fake import FakeStripe
from tests.stripe.fake.service import API_KEY, SECRET

BACKEND = "payments.providers.stripe.StripeProvider"
VISA = {"payment_method": "pm_card_visa"}
PAYER = Payer(provider_id="stripe", sent=VISA)


def options_for(fake: FakeStripe, **changes: Any) -> dict[str, Any]:
    """Return the options of a provider that talks to the fake."""
    return {
        "api_key": API_KEY,
        "publishable_key": "pk_test_fake",
        "webhook_secrets": [SECRET],
        "livemode": False,
        "api_base": fake.url,
        "timeout": 0.5,
        "max_network_retries": 0,
        **changes,
    }


def provider_for(fake: FakeStripe, **changes: Any) -> StripeProvider:
    """Return a provider that talks to the fake."""
    return StripeProvider(alias="stripe", options=StripeOptions(**options_for(fake, **changes)))


def driver_for(fake: FakeStripe, method: str | None = "pm_card_visa", **changes: Any) -> SessionDriver:
    """Return the driver of an initiated session whose payer chooses a payment method."""
    sent = {} if method is None else {"payment_method": method}
    driver = SessionDriver(provider=provider_for(fake, **changes), attempt=Attempt(input=sent))
    driver.initiate()
    return driver


@pytest.fixture(autouse=True)
def repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Stripe's library not wait before it sends a request again."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """Return a fake with empty books."""
    with FakeStripe() as running:
        yield running


@pytest.fixture
def shop(fake: FakeStripe) -> Iterator[FakeStripe]:
    """Have the shop's own provider `stripe` talk to the fake, and return the fake."""
    with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options_for(fake)}):
        yield fake


@pytest.fixture
def session(shop: FakeStripe, collection: PaymentCollection) -> PaymentSession:
    """Return a session with Stripe over the whole amount, not authorized yet."""
    return create_payment_session(collection, provider_id="stripe")


@pytest.fixture
def payment(session: PaymentSession) -> Payment:
    """Return a payment of 100.00 euros, of which nothing is captured."""
    payment = authorize_payment_session(session, data=VISA).payment
    assert payment is not None
    return payment
