"""The provider contract, kept by the Stripe provider against the fake, and by Stripe itself where a key is given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from payments.providers import BaseProvider
from payments.providers.account_holders import AddMethodResult
from payments.providers.stripe import StripeOptions, StripeProvider
from payments.testing import Attempt, ProviderContract, SessionDriver
from payments.testing.contract.hooks import ContractHooks
from tests.providers.multicapture import MulticaptureContract
from tests.stripe.fake import FakeStripe
from tests.stripe.fake.service import API_KEY, SECRET, body_of, signed_headers

pytestmark = pytest.mark.database_independent


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakeStripe]:
    """One fake for all of the contract's tests: each of them opens sessions of its own."""
    with FakeStripe() as fake:
        yield fake


class StripeHooks(ContractHooks):
    """Say what Stripe's published test payment methods have an answer to."""

    def approved(self) -> Attempt:
        return Attempt(input={"payment_method": "pm_card_visa"})

    def declined(self) -> Attempt:
        return Attempt(input={"payment_method": "pm_card_visa_chargeDeclined"})

    def secret_values(self, provider: BaseProvider[Any]) -> Iterable[str]:
        return [provider.options.api_key, *provider.options.webhook_secrets]


class FakeHooks(StripeHooks):
    """Talk to the fake."""

    fake: FakeStripe

    @pytest.fixture(autouse=True)
    def use_fake(self, running_fake: FakeStripe) -> None:
        self.fake = running_fake

    @property
    def options(self) -> StripeOptions:
        return StripeOptions(
            api_key=API_KEY,
            publishable_key="pk_test_fake",
            webhook_secrets=[SECRET],
            livemode=False,
            api_base=self.fake.url,
            max_network_retries=0,
        )

    def make_provider(self) -> BaseProvider[Any]:
        return StripeProvider(alias="stripe", options=self.options)

    def make_provider_at(self, url: str, *, timeout: float) -> BaseProvider[Any]:
        options = replace(self.options, api_base=url, timeout=timeout)
        return StripeProvider(alias="stripe", options=options)

    def challenged(self) -> Attempt:
        return Attempt(input={"payment_method": "pm_card_authenticationRequired"})

    def pass_challenge(self, driver: SessionDriver) -> Mapping[str, Any]:
        self.fake.intents.authenticate(driver.provider_reference or "")
        return {}

    def save_method(self, account_reference: str, added: AddMethodResult, *, asks_bank: bool) -> None:
        card = "pm_card_authenticationRequired" if asks_bank else "pm_card_visa"
        self.fake.customers.save(account_reference, card=card)

    def webhook_body(self, driver: SessionDriver) -> bytes:
        [event] = self.fake.events(
            "payment_intent.amount_capturable_updated", about=driver.provider_reference
        )
        return body_of(event)

    def refund_webhook_body(self, driver: SessionDriver) -> bytes:
        refund = self.fake.movements.refund({"payment_intent": driver.provider_reference, "amount": 1000})
        [event] = self.fake.events("refund.created", about=refund["id"])
        return body_of(event)

    def sign_webhook(self, body: bytes, *, timestamp: int) -> Mapping[str, str]:
        return signed_headers(body, timestamp=timestamp)


class TestStripeProvider(FakeHooks, ProviderContract):
    """One capture for each payment, as with most accounts."""


class TestMulticaptureStripeProvider(
    FakeHooks,
    MulticaptureContract,
):
    """Several captures for one payment, as Stripe allows to some accounts: what that makes a difference to."""

    @property
    def options(self) -> StripeOptions:
        return replace(super().options, multicapture=True)


if "STRIPE_TEST_KEY" in os.environ:

    class TestStripeItself(StripeHooks, ProviderContract):
        """Stripe's own test mode: the only judge of what Stripe does."""

        finds_by_session_id = False  # its search lags behind
        three_decimal_currency = None  # not every account takes them

        def make_provider(self) -> BaseProvider[Any]:
            options = StripeOptions(
                api_key=os.environ["STRIPE_TEST_KEY"],
                publishable_key="pk_test_none",
                webhook_secrets=[SECRET],
                livemode=False,
                payment_method_types=["card"],
            )
            return StripeProvider(alias="stripe", options=options)

        def make_provider_at(self, url: str, *, timeout: float) -> BaseProvider[Any]:
            options: StripeOptions = self.make_provider().options
            return StripeProvider(
                alias="stripe", options=replace(options, api_base=url, timeout=timeout, max_network_retries=0)
            )
