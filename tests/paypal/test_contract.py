"""The provider contract, kept by the PayPal provider against the fake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from payments.providers import BaseProvider
from payments.providers.paypal import PayPalOptions, PayPalProvider
from payments.providers.paypal.client import Token, remember
from payments.testing import Attempt, ProviderContract, SessionDriver
from payments.testing.contract.hooks import ContractHooks
from tests.paypal.conftest import PayPalAttempt, approve, options_for
from tests.paypal.fake import FakePayPal, Funding
from tests.paypal.fake.signing import body_of, signed_headers
from tests.providers.multicapture import MulticaptureContract

pytestmark = pytest.mark.database_independent


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakePayPal]:
    """One fake for all of the contract's tests: each of them opens sessions of its own."""
    with FakePayPal() as fake:
        yield fake


class PayPalHooks(ContractHooks):
    """Talk to the fake."""

    finds_by_session_id = False  # PayPal can't look an order up by ours
    three_decimal_currency = None  # PayPal takes none
    webhook_tolerance = 4 * 24 * 60 * 60

    fake: FakePayPal

    @pytest.fixture(autouse=True)
    def use_fake(self, running_fake: FakePayPal) -> None:
        self.fake = running_fake

    @property
    def options(self) -> PayPalOptions:
        return PayPalOptions(**options_for(self.fake, timeout=10))

    def make_provider(self) -> BaseProvider[Any]:
        return PayPalProvider(alias="paypal", options=self.options)

    def make_provider_at(self, url: str, *, timeout: float) -> BaseProvider[Any]:
        options = replace(self.options, base_url=url, timeout=timeout)
        # With a token, so that it is the verb itself that nothing good happens to.
        remember(options, Token(value="kept", lasts=3600))
        return PayPalProvider(alias="paypal", options=options)

    def approved(self) -> Attempt:
        return PayPalAttempt()

    def declined(self) -> Attempt:
        return PayPalAttempt(funding=Funding.DECLINED)

    def challenged(self) -> Attempt:
        return PayPalAttempt(funding=None)

    def act_as_payer(self, driver: SessionDriver) -> None:
        approve(self.fake, driver)

    def pass_challenge(self, driver: SessionDriver) -> Mapping[str, Any]:
        self.fake.orders.approve(driver.provider_reference or "")
        return {}

    def webhook_body(self, driver: SessionDriver) -> bytes:
        events = self.fake.events("PAYMENT.AUTHORIZATION.CREATED")
        [event] = [row for row in events if row["resource"]["custom_id"] == driver.session_id]
        return body_of(event)

    def refund_webhook_body(self, driver: SessionDriver) -> bytes:
        [capture] = self.fake.captures_of(driver.session_id)
        refund = self.fake.movements.refund_in_dashboard(capture.id, "10.00")
        events = self.fake.events("PAYMENT.CAPTURE.REFUNDED")
        [event] = [row for row in events if row["resource"]["id"] == refund["id"]]
        return body_of(event)

    def sign_webhook(self, body: bytes, *, timestamp: int) -> Mapping[str, str]:
        return signed_headers(body, url=self.fake.url, timestamp=timestamp)


class TestPayPalProvider(PayPalHooks, ProviderContract):
    """One capture for each payment, as with most accounts."""


class TestMulticapturePayPalProvider(
    PayPalHooks,
    MulticaptureContract,
):
    """Several captures for one payment, as PayPal allows to some accounts: what that makes a difference to."""

    @property
    def options(self) -> PayPalOptions:
        return replace(super().options, multicapture=True)
