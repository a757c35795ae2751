"""The contract's part about opening a session and changing it before it is authorized."""

from __future__ import annotations

from dataclasses import replace

from payments.providers import InitiateResult, UpdateResult
from payments.states import Outcome
from payments.testing.contract.driver import Attempt
from payments.testing.contract.expectations import (
    declares,
    declined,
    expect,
    fact_of,
    is_frozen,
    is_json,
    states_amount,
    succeeded,
)
from payments.testing.contract.hooks import ContractHooks


class InitiationContract(ContractHooks):
    """Test `initiate` and `update`."""

    def test_initiate_returns_a_frozen_initiate_result(self) -> None:
        driver = self.start()
        result = succeeded(driver, driver.initiate())
        assert isinstance(result, InitiateResult)
        assert is_frozen(result)

    def test_initiate_publishes_declared_keys_only(self) -> None:
        driver = self.start()
        result = succeeded(driver, driver.initiate())
        declares(self.provider, result.data)

    def test_initiate_returns_data_and_provider_data_that_json_can_hold(self) -> None:
        driver = self.start()
        result = succeeded(driver, driver.initiate())
        assert is_json(result.data), f"data must be JSON: {result.data!r}"
        assert is_json(result.provider_data), "provider_data must be JSON"
        assert is_json(result.exchange), "exchange must be JSON"

    def test_initiate_holds_no_money(self) -> None:
        self.require("supports_retrieve")
        driver = self.initiated()
        fact = fact_of(driver)
        assert not fact.authorized_amount, "Only authorize() may hold money."
        assert not fact.captured_amount

    def test_initiating_again_with_the_same_key_opens_no_second_session(self) -> None:
        self.require_books()
        driver = self.start()
        first = succeeded(driver, driver.initiate())
        second = succeeded(driver, driver.resend())
        assert second.provider_reference == first.provider_reference

    def test_two_sessions_are_told_apart(self) -> None:
        self.require_books()
        assert self.initiated().provider_reference != self.initiated().provider_reference

    def test_the_hooks_send_declared_input_only(self) -> None:
        attempts: list[Attempt | None] = [
            self.approved(),
            self.declined(),
            self.challenged(),
            self.partially_approved(),
        ]
        for attempt in attempts:
            sent = set() if attempt is None else {*attempt.input, *attempt.initiate_input}
            assert sent <= self.provider.input_keys, f"Not in input_keys: {sent - self.provider.input_keys}"

    def test_what_a_payer_sends_cannot_change_the_amount_or_the_currency(self) -> None:
        attempt = self.approved()
        forged = {"amount": "0.01", "amount_authorized": 1, "currency": "xxx", "capture_method": "automatic"}
        driver = self.start(
            replace(
                attempt,
                input={**forged, **attempt.input},
                initiate_input={**forged, **attempt.initiate_input},
            )
        )
        succeeded(driver, driver.initiate())
        result = expect(driver, driver.authorize(), Outcome.SUCCEEDED, Outcome.DECLINED)
        if result.outcome == Outcome.SUCCEEDED:
            states_amount(result, attempt.amount, attempt.currency_code)

    def test_update_changes_the_amount_in_place(self) -> None:
        self.require("supports_update")
        driver = self.initiated()
        reference, (part, _rest) = driver.provider_reference, self.parts()
        result = succeeded(driver, driver.update(part))
        assert isinstance(result, UpdateResult)
        assert is_frozen(result)
        states_amount(result, part, driver.currency_code)
        assert result.provider_reference in (None, reference), "The session stays the same one."
        declares(self.provider, result.data)

    def test_an_updated_session_is_authorized_for_its_new_amount(self) -> None:
        self.require("supports_update")
        driver = self.initiated()
        part, _rest = self.parts()
        succeeded(driver, driver.update(part))
        states_amount(succeeded(driver, driver.authorize()), part, driver.currency_code)
        if self.provider.supports_retrieve:
            fact = fact_of(driver)
            assert (fact.amount, fact.authorized_amount) == (part, part)

    def test_an_amount_can_be_raised_too(self) -> None:
        self.require("supports_update")
        driver = self.initiated()
        raised = driver.amount + self.parts()[0]
        states_amount(succeeded(driver, driver.update(raised)), raised, driver.currency_code)

    def test_updating_an_authorized_session_is_declined(self) -> None:
        self.require("supports_update")
        self.require_books()
        driver = self.authorized()
        part, _rest = self.parts()
        declined(driver, driver.update(part))
