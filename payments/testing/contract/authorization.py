"""The contract's part about holding money: whole, in part, with a challenge, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, get_type_hints

from payments.money import ZERO
from payments.providers import AuthorizeResult, NextAction
from payments.states import MovementKind, Outcome, SessionStatus
from payments.testing.contract.driver import Attempt, SessionDriver
from payments.testing.contract.expectations import (
    declares,
    declined,
    expect,
    fact_of,
    fits,
    is_frozen,
    is_json,
    states_amount,
    succeeded,
    total,
)
from payments.testing.contract.hooks import ContractHooks


class AuthorizationContract(ContractHooks):
    """Test `authorize`."""

    def test_authorize_states_the_whole_amount(self) -> None:
        driver = self.initiated()
        result = succeeded(driver, driver.authorize())
        assert isinstance(result, AuthorizeResult)
        assert is_frozen(result)
        assert result.next_action is None
        states_amount(result, driver.amount, driver.currency_code)
        assert ZERO <= result.captured_amount <= driver.amount

    def test_authorize_publishes_declared_keys_only(self) -> None:
        driver = self.authorized()
        declares(self.provider, driver.data)
        assert is_json(driver.data)
        assert is_json(driver.provider_data)

    def test_an_amount_without_decimals_stays_exact(self) -> None:
        self._check_currency(self.approved_in(self.zero_decimal_currency, "1001"))

    def test_an_amount_with_three_decimals_stays_exact(self) -> None:
        self._check_currency(self.approved_in(self.three_decimal_currency, "100.120"))

    def test_an_odd_amount_stays_exact(self) -> None:
        unit = self.unit()
        self._check_currency(replace(self.approved(), amount=7 * unit + 3000 * unit))

    def test_multiples_of_the_step_that_the_provider_names_are_taken(self) -> None:
        for code in (self.approved().currency_code, self.zero_decimal_currency, self.three_decimal_currency):
            if code is None:
                continue
            step = self.provider.amount_step(code)
            assert step > 0, "A payment is a multiple of amount_step(), so that isn't nothing."
            assert fits(step, code), f"{step} has more decimals than {code} has."
            driver = self.initiated(replace(self.approved(), currency_code=code, amount=3007 * step))
            states_amount(succeeded(driver, driver.authorize()), 3007 * step, code)

    def test_authorizing_again_with_the_same_key_holds_the_amount_once(self) -> None:
        self.require_books()
        driver = self.initiated()
        first = succeeded(driver, driver.authorize())
        second = succeeded(driver, driver.resend())
        assert (second.amount, second.provider_reference) == (first.amount, first.provider_reference)
        self._holds(driver, first)

    def test_authorizing_again_with_another_key_holds_the_amount_once(self) -> None:
        self.require_books()
        driver = self.initiated()
        first = succeeded(driver, driver.authorize())
        second = expect(driver, driver.authorize(), Outcome.SUCCEEDED, Outcome.DECLINED)
        assert second.amount in (None, first.amount)
        self._holds(driver, first)

    def test_a_part_may_be_authorized_and_says_so(self) -> None:
        driver = self.initiated(self.or_skip(self.partially_approved(), "partially_approved"))
        result = succeeded(driver, driver.authorize())
        assert result.amount is not None
        assert ZERO < result.amount < driver.amount
        assert fits(result.amount, driver.currency_code)
        self._holds(driver, result)

    def test_a_declined_authorization_says_why(self) -> None:
        driver = self.initiated(self.or_skip(self.declined(), "declined"))
        result = declined(driver, driver.authorize())
        assert result.next_action is None

    def test_a_declined_authorization_holds_nothing(self) -> None:
        self.require("supports_retrieve")
        driver = self.initiated(self.or_skip(self.declined(), "declined"))
        declined(driver, driver.authorize())
        fact = fact_of(driver)
        assert not fact.authorized_amount
        assert fact.status != SessionStatus.AUTHORIZED

    def test_a_payer_who_was_declined_may_try_again(self) -> None:
        driver = self.initiated(self.or_skip(self.declined(), "declined"))
        declined(driver, driver.authorize())
        approved = self.approved()
        if (driver.attempt.amount, driver.currency_code) != (approved.amount, approved.currency_code):
            self.skip("declined() is about the amount, which another try doesn't change")
        driver.attempt = approved
        result = succeeded(driver, driver.authorize())
        states_amount(result, driver.amount, driver.currency_code)

    def test_the_same_key_gives_the_same_refusal(self) -> None:
        self.require_books()
        driver = self.initiated(self.or_skip(self.declined(), "declined"))
        first = declined(driver, driver.authorize())
        second = declined(driver, driver.resend())
        assert first.failure is not None
        assert second.failure is not None
        assert first.failure.code == second.failure.code

    def test_a_challenge_is_a_typed_next_action(self) -> None:
        driver, result = self._challenge()
        action = result.next_action
        assert isinstance(action, NextAction)
        assert action.type in get_args(get_type_hints(NextAction)["type"])
        assert is_frozen(action)
        if action.type == "provider_script":
            assert driver.data, "A provider's script needs data."

    def test_a_challenge_holds_nothing_yet(self) -> None:
        self.require("supports_retrieve")
        driver, _result = self._challenge()
        fact = fact_of(driver)
        assert not fact.authorized_amount
        assert fact.status == SessionStatus.REQUIRES_MORE
        assert isinstance(fact.next_action, NextAction)

    def test_a_passed_challenge_is_authorized(self) -> None:
        driver, _result = self._challenge()
        result = succeeded(driver, driver.authorize(input=dict(self.pass_challenge(driver))))
        assert result.next_action is None
        states_amount(result, driver.amount, driver.currency_code)
        self._holds(driver, result)

    def _challenge(self) -> tuple[SessionDriver, AuthorizeResult]:
        driver = self.initiated(self.or_skip(self.challenged(), "challenged"))
        result = succeeded(driver, driver.authorize())
        assert result.next_action is not None, "What challenged() returns asks for something more."
        return driver, result

    def _check_currency(self, attempt: Attempt) -> None:
        driver = self.initiated(attempt)
        result = succeeded(driver, driver.authorize())
        states_amount(result, attempt.amount, attempt.currency_code)
        self._holds(driver, result)
        states_amount(succeeded(driver, driver.capture()), attempt.amount, attempt.currency_code)
        if self.provider.supports_refund:
            states_amount(succeeded(driver, driver.refund()), attempt.amount, attempt.currency_code)
        if self.provider.supports_retrieve:
            assert total(fact_of(driver), MovementKind.CAPTURE) == attempt.amount

    def _holds(self, driver: SessionDriver, result: AuthorizeResult) -> None:
        if self.provider.supports_retrieve:
            fact = fact_of(driver)
            assert fact.authorized_amount == result.amount, "A retrieve tells what is held."
            assert fact.currency_code == driver.currency_code
            assert fact.status == SessionStatus.AUTHORIZED
