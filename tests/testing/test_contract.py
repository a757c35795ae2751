"""The contract, kept by the providers that come along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from payments.providers import BaseProvider, NoOptions
from payments.providers.account_holders import AddMethodResult
from payments.providers.simulator import SimulatorOptions, SimulatorProvider
from payments.providers.system import SystemProvider
from payments.simulator import SimulatorService, sign
from payments.testing import Attempt, ProviderContract, ScriptedProvider, SessionDriver
from payments.testing.scripted import ScriptedOptions

SECRET = "whsec_contract"

pytestmark = pytest.mark.database_independent


class SimulatorContract(ProviderContract):
    """The contract with all that the simulator has an answer to, which is everything."""

    service: SimulatorService
    provider_class: type[SimulatorProvider] = SimulatorProvider

    def make_provider(self) -> BaseProvider[Any]:
        return self.provider_class(alias="simulator", options=self.options)

    def make_provider_at(self, url: str, *, timeout: float) -> BaseProvider[Any]:
        options = replace(self.options, base_url=url, timeout=timeout)
        return self.provider_class(alias="simulator", options=options)

    @property
    def options(self) -> SimulatorOptions:
        return SimulatorOptions(
            base_url=self.service.url, api_key=self.service.settings.api_key, webhook_secrets=[SECRET]
        )

    def approved(self) -> Attempt:
        return Attempt(input={"card": "card_ok"})

    def declined(self) -> Attempt:
        return Attempt(input={"card": "card_declined"})

    def partially_approved(self) -> Attempt:
        return Attempt(input={"card": "card_partial"})

    def challenged(self) -> Attempt:
        return Attempt(input={"card": "card_3ds"})

    def pass_challenge(self, driver: SessionDriver) -> Mapping[str, Any]:
        return {"code": "123456"}

    def save_method(self, account_reference: str, added: AddMethodResult, *, asks_bank: bool) -> None:
        self.service.save_method(account_reference, card="card_3ds" if asks_bank else "card_ok")

    def webhook_body(self, driver: SessionDriver) -> bytes:
        [event] = self.service.events(type="intent.authorized", reference=driver.session_id)
        return event.body.encode()

    def refund_webhook_body(self, driver: SessionDriver) -> bytes:
        self.service.refund(driver.provider_reference or "", 1000)
        return self.service.events(reference=driver.session_id)[-1].body.encode()

    def sign_webhook(self, body: bytes, *, timestamp: int) -> Mapping[str, str]:
        return {"simulator-signature": sign([SECRET], body, timestamp)}


@pytest.fixture(scope="module")
def running_service() -> Iterator[SimulatorService]:
    """One service for all of the contract's tests: each of them opens sessions of its own."""
    with SimulatorService(async_delay=None) as service:
        yield service


class TestSimulatorProvider(SimulatorContract):
    @pytest.fixture(autouse=True)
    def use_service(self, running_service: SimulatorService) -> None:
        self.service = running_service


class TestSystemProvider(ProviderContract):
    keeps_books = False

    def make_provider(self) -> BaseProvider[Any]:
        return SystemProvider(alias="system", options=NoOptions())


class TestScriptedProvider(ProviderContract):
    keeps_books = False

    def make_provider(self) -> BaseProvider[Any]:
        return ScriptedProvider(alias="scripted", options=ScriptedOptions(lacks=("retrieve", "webhooks")))


@pytest.mark.parametrize(
    ("known", "unknown"), [("bk_291", "bk_999"), ("bk_999", "bk_990"), ("order-ab", "order-a0"), ("", "0")]
)
def test_an_unknown_reference_is_far_from_the_next_one(known: str, unknown: str) -> None:
    assert ProviderContract().unknown_reference(known) == unknown
