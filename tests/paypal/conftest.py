"""What the tests of PayPal share: a fake, a provider and drivers that talk to it, and rows in the shop's books."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers.paypal import PayPalOptions, PayPalProvider, client, webhooks
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_session,
)
from payments.states import Outcome
from payments.testing import Attempt, SessionDriver, configured_provider
from tests.paypal.fake import FakePayPal, Funding
from tests.paypal.fake.service import CLIENT_ID, CLIENT_SECRET
from tests.paypal.fake.signing import WEBHOOK_ID
from tests.reliability.verbs import Payer

BACKEND = "payments.providers.paypal.PayPalProvider"


@dataclass(frozen=True, kw_only=True)
class PayPalAttempt(Attempt):
    """Say what a payer pays with; None for one who doesn't go to PayPal."""

    funding: Funding | None = Funding.GOOD


def options_for(fake: FakePayPal, **changes: Any) -> dict[str, Any]:
    """Return the options of a provider that talks to the fake."""
    return {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "webhook_ids": [WEBHOOK_ID],
        "livemode": False,
        "base_url": fake.url,
        "timeout": 0.5,
        **changes,
    }


def provider_for(fake: FakePayPal, **changes: Any) -> PayPalProvider:
    """Return a provider that talks to the fake."""
    return PayPalProvider(alias="paypal", options=PayPalOptions(**options_for(fake, **changes)))


def payer_at(fake: FakePayPal) -> Payer:
    """Return a payer who approves the order at PayPal."""
    return Payer(
        provider_id="paypal", approve=lambda session: fake.orders.approve(session.provider_reference or "")
    )


def approve(fake: FakePayPal, driver: SessionDriver) -> None:
    """Be the payer of a session, as its attempt says."""
    funding = getattr(driver.attempt, "funding", Funding.GOOD)
    order = fake.books.rows.get(driver.provider_reference or "")
    if order is not None and funding is not None and order.status != "COMPLETED":
        fake.orders.approve(order.id, funding)


def driver_for(fake: FakePayPal, funding: Funding | None = Funding.GOOD, **changes: Any) -> SessionDriver:
    """Return the driver of an initiated session whose payer pays with this."""
    driver = SessionDriver(
        provider=provider_for(fake, **changes),
        attempt=PayPalAttempt(funding=funding),
        payer=lambda driver: approve(fake, driver),
    )
    assert driver.initiate().outcome == Outcome.SUCCEEDED
    return driver


def authorized(fake: FakePayPal, funding: Funding = Funding.GOOD, **changes: Any) -> SessionDriver:
    """Return the driver of an authorized session."""
    driver = driver_for(fake, funding, **changes)
    assert driver.authorize().outcome == Outcome.SUCCEEDED
    return driver


def captured(fake: FakePayPal, *parts: str, **changes: Any) -> SessionDriver:
    """Return the driver of a session that is captured, whole or in these parts."""
    driver = authorized(fake, multicapture=bool(parts), **changes)
    for amount in map(Decimal, parts or ["100.00"]):
        assert driver.capture(amount).outcome == Outcome.SUCCEEDED
    return driver


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePayPal]:
    """Return a fake with empty books, which may have the port, but knows no token, of an earlier one."""
    monkeypatch.setattr(client, "_tokens", {})
    with FakePayPal() as running:
        yield running


@pytest.fixture(autouse=True)
def no_certificate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test fetch the certificate anew: each has a fake of its own."""
    monkeypatch.setattr(webhooks, "_kept", {})
    monkeypatch.setattr(webhooks, "_absent", {})
    webhooks._begun.clear()


@pytest.fixture
def shop(fake: FakePayPal) -> Iterator[FakePayPal]:
    """Have the shop's own provider `paypal` talk to the fake, and return the fake."""
    with configured_provider("paypal", {"BACKEND": BACKEND, "OPTIONS": options_for(fake)}):
        yield fake


@pytest.fixture
def session(shop: FakePayPal, collection: PaymentCollection) -> PaymentSession:
    """Return a session with PayPal over the whole amount, not approved yet."""
    return create_payment_session(collection, provider_id="paypal")


@pytest.fixture
def payment(shop: FakePayPal, session: PaymentSession) -> Payment:
    """Return a payment of 100.00 euros, of which nothing is captured."""
    shop.orders.approve(session.provider_reference or "")
    payment = authorize_payment_session(session).payment
    assert payment is not None
    return payment


@pytest.fixture
def captured_payment(payment: Payment) -> Payment:
    """Return a payment of 100.00 euros, all of it captured."""
    return capture_payment(payment)
