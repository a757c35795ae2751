"""The contract's parts about what a provider declares, and about sessions until their money is held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import get_args, get_type_hints

import pytest

from payments.exceptions import NotSupportedError
from payments.money import ZERO
from payments.providers import (
    AuthorizeResult,
    BaseProvider,
    InitiateResult,
    NextAction,
    ProviderResult,
    UpdateResult,
    WebhookRequest,
)
from payments.providers.public_data import undeclarable
from payments.states import MovementKind, OperationKind, Outcome, SessionStatus
from payments.testing.contract.driver import (
    Attempt,
    SessionDriver,
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

Trial = Callable[[SessionDriver, Decimal], ProviderResult]


def _capture_twice(driver: SessionDriver, part: Decimal) -> ProviderResult:
    driver.capture(part)
    return driver.capture(part)


_TRIALS: Mapping[str, Trial] = {
    "supports_update": lambda driver, part: driver.update(part),
    "supports_partial_capture": lambda driver, part: driver.capture(part),
    "supports_multiple_captures": _capture_twice,
    "supports_refund": lambda driver, _part: driver.refund(),
    "supports_partial_refund": lambda driver, part: driver.refund(part),
    "supports_retrieve": lambda driver, _part: driver.retrieve(),
}
_AFTER_CAPTURE = frozenset({"supports_refund", "supports_partial_refund"})


class CapabilityContract(ContractHooks):
    """Tests of what the class declares."""

    def test_the_provider_is_built_with_its_alias_and_its_options(self) -> None:
        assert isinstance(self.provider, BaseProvider)
        assert self.provider.alias
        assert isinstance(self.provider.options, type(self.provider).options_class)

    def test_declarations_have_the_types_that_the_services_read(self) -> None:
        provider = self.provider
        assert str(provider.verbose_name), "A person reads verbose_name when they choose how to pay."
        for keys in (provider.public_data_keys, provider.input_keys):
            assert isinstance(keys, frozenset)
            assert all(isinstance(key, str) for key in keys)
        wrong = undeclarable(provider.public_data_keys)
        assert not wrong, f'Not a name such as "token", "next.url" or "methods[].id": {", ".join(wrong)}'
        for window in (provider.idempotency_window, *map(provider.key_window, OperationKind)):
            assert window is None or window > timedelta(0)
        flags = [name for name in dir(provider) if name.startswith("supports_")]
        assert all(isinstance(getattr(provider, name), bool) for name in flags)

    def test_it_says_whether_it_moves_real_money(self) -> None:
        assert isinstance(self.provider.moves_real_money, bool), (
            "Say moves_real_money = True, or in a property False for a test key, a sandbox or a simulation."
        )

    def test_working_options_pass_the_provider_s_own_check(self) -> None:
        assert not list(self.provider.check())

    def test_what_is_declared_as_unsupported_is_not_done_quietly(self) -> None:
        unsupported = [name for name in _TRIALS if not getattr(self.provider, name)]
        for capability in unsupported:
            driver = self.captured() if capability in _AFTER_CAPTURE else self.authorized()
            if capability == "supports_update":
                driver = self.initiated()
            result = _TRIALS[capability](driver, self.parts()[0])
            is_honest = result.outcome == Outcome.DECLINED or isinstance(driver.error, NotSupportedError)
            assert is_honest, f"{capability} is False, so it is refused, or raises NotSupportedError."

    def test_a_provider_without_webhooks_says_so(self) -> None:
        if not self.provider.supports_webhooks:
            with pytest.raises(NotSupportedError):
                self.provider.parse_webhook(WebhookRequest(body=b"{}", headers={}))


class InitiationContract(ContractHooks):
    """Tests of `initiate` and `update`."""

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
        assert is_json(result.provider_log), "provider_log must be JSON"

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


class AuthorizationContract(ContractHooks):
    """Tests of `authorize`."""

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
