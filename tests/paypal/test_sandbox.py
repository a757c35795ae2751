"""As much of an order's life as needs no payer, with the fake; and with PayPal's sandbox itself where an app is given.

That takes `PAYPAL_SANDBOX_CLIENT_ID` and `PAYPAL_SANDBOX_CLIENT_SECRET`.
"""

from __future__ import annotations

import os
from decimal import Decimal

import pytest

from payments.providers import PaymentContext
from payments.providers.paypal import PayPalOptions, PayPalProvider
from payments.states import Outcome, SessionStatus
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of
from tests.paypal.conftest import provider_for
from tests.paypal.fake import FakePayPal

pytestmark = pytest.mark.database_independent

PLACES = ["fake", "sandbox"] if "PAYPAL_SANDBOX_CLIENT_ID" in os.environ else ["fake"]


@pytest.fixture(params=PLACES)
def driver(request: pytest.FixtureRequest, fake: FakePayPal) -> SessionDriver:
    """Return the driver of a session that isn't initiated."""
    context = PaymentContext(description="A test", return_url="https://shop.example/back")
    return SessionDriver(provider=_provider(request.param, fake), context=context)


def test_an_order_is_made_once_under_its_key(driver: SessionDriver) -> None:
    first = driver.initiate()
    assert first.outcome == Outcome.SUCCEEDED, driver.error
    assert first.next_action is not None
    assert driver.resend().provider_reference == first.provider_reference


def test_an_order_is_reported_as_it_is(driver: SessionDriver) -> None:
    driver.initiate()
    fact = fact_of(driver)
    assert (fact.status, fact.amount, fact.currency_code) == (
        SessionStatus.REQUIRES_MORE,
        Decimal("100.00"),
        "eur",
    )
    assert not fact.authorized_amount
    assert fact.movements == ()


def test_an_order_s_amount_is_changed_in_place(driver: SessionDriver) -> None:
    driver.initiate()
    result = driver.update(Decimal("120.50"))
    assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Decimal("120.50"))
    assert fact_of(driver).amount == Decimal("120.50")


def test_an_order_that_nobody_approved_sends_its_payer_to_paypal(driver: SessionDriver) -> None:
    driver.initiate()
    result = driver.authorize()
    assert result.outcome == Outcome.SUCCEEDED
    assert result.next_action is not None
    assert driver.capture().outcome == Outcome.DECLINED
    assert driver.refund().outcome == Outcome.DECLINED


def test_an_abandoned_order_stays_abandoned(driver: SessionDriver) -> None:
    driver.initiate()
    assert driver.cancel().outcome == Outcome.SUCCEEDED
    assert fact_of(driver).status == SessionStatus.CANCELED
    assert driver.authorize().outcome == Outcome.DECLINED


def test_an_order_that_is_none_is_not_found(driver: SessionDriver) -> None:
    result = driver.retrieve(provider_reference="0AA00000AA000000A")
    assert (result.outcome, result.fact) == (Outcome.SUCCEEDED, None)


def test_a_wrong_secret_means_that_nothing_was_done(driver: SessionDriver) -> None:
    options: PayPalOptions = driver.provider.options
    wrong = PayPalOptions(
        client_id=options.client_id, client_secret="wrong", livemode=False, base_url=options.base_url
    )
    driver.provider = PayPalProvider(alias="paypal", options=wrong)
    assert driver.initiate().outcome == Outcome.NOT_SENT


def _provider(where: str, fake: FakePayPal) -> PayPalProvider:
    if where == "fake":
        return provider_for(fake)
    options = PayPalOptions(
        client_id=os.environ["PAYPAL_SANDBOX_CLIENT_ID"],
        client_secret=os.environ["PAYPAL_SANDBOX_CLIENT_SECRET"],
        livemode=False,
    )
    return PayPalProvider(alias="paypal", options=options)
