"""The contract's parts about what a provider tells, when it is asked and by webhooks, and what it keeps to itself."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder

from payments.exceptions import WebhookVerificationError
from payments.ids import new_session_id
from payments.money import exponent
from payments.providers import (
    CaptureResult,
    MovementFact,
    ProviderResult,
    RetrieveResult,
    SessionFact,
    WebhookRequest,
    WebhookResult,
)
from payments.providers.public_data import texts_in
from payments.states import MovementKind, SessionStatus
from payments.testing.contract.driver import (
    SessionDriver,
    declares,
    declined,
    fact_of,
    fits,
    is_frozen,
    is_json,
    is_usable,
    moved,
    succeeded,
    total,
)
from payments.testing.contract.hooks import ContractHooks


class RetrieveContract(ContractHooks):
    """Tests of `retrieve`."""

    def test_retrieve_knows_nothing_of_an_unknown_session(self) -> None:
        self.require("supports_retrieve")
        driver = self.start()
        result = succeeded(driver, driver.retrieve(session_id=new_session_id()))
        assert isinstance(result, RetrieveResult)
        assert result.fact is None, "A session that isn't there is a success without a fact."

    def test_retrieve_knows_nothing_of_an_unknown_reference(self) -> None:
        self.require("supports_retrieve")
        driver = self.initiated()
        unknown = self.unknown_reference(driver.provider_reference or "")
        result = succeeded(
            driver,
            driver.retrieve(session_id=new_session_id(), provider_reference=unknown, provider_data={}),
        )
        assert result.fact is None, (
            f"{unknown} is no session's, so a success has no fact: or override unknown_reference()."
        )

    def test_a_session_whose_reference_was_lost_is_found_by_its_id(self) -> None:
        self.require("supports_retrieve")
        if not self.finds_by_session_id:
            self.skip("finds_by_session_id is False")
        driver = self.authorized()
        result = succeeded(driver, driver.retrieve(provider_reference=None, provider_data={}))
        assert result.fact is not None
        assert result.fact.provider_reference == driver.provider_reference
        assert result.fact.authorized_amount == driver.amount

    def test_an_initiated_session_waits_for_its_payer(self) -> None:
        self.require("supports_retrieve")
        driver = self.initiated()
        fact = fact_of(driver)
        assert fact.status in (SessionStatus.PENDING, SessionStatus.REQUIRES_MORE, None)
        assert (fact.status == SessionStatus.REQUIRES_MORE) == (fact.next_action is not None)
        assert fact.amount in (driver.amount, None)

    def test_facts_add_up_over_a_session_s_life(self) -> None:
        self.require(
            "supports_retrieve",
            "supports_partial_capture",
            "supports_multiple_captures",
            "supports_refund",
            "supports_partial_refund",
        )
        driver = self.authorized()
        part, rest = self.parts()
        for amount in (part, rest):
            succeeded(driver, driver.capture(amount))
        for expected in (part, 2 * part):
            succeeded(driver, driver.refund(part))
            fact = fact_of(driver)
            assert total(fact, MovementKind.CAPTURE) == driver.amount
            assert total(fact, MovementKind.REFUND) == expected
            assert fact.authorized_amount == driver.amount, "What was held stays what it was."
            assert fact.status == SessionStatus.AUTHORIZED, "Refunds don't undo the authorization."

    def test_movements_echo_the_operations_that_asked_for_them(self) -> None:
        self.require("supports_retrieve", "supports_partial_capture", "supports_multiple_captures")
        if not self.reports_movements:
            self.skip("reports_movements is False")
        driver = self.authorized()
        operation_ids = []
        for amount in self.parts():
            succeeded(driver, driver.capture(amount))
            operation_ids.append(driver.operation_ids[-1])
        captures = moved(fact_of(driver), MovementKind.CAPTURE)
        assert [each.operation_id for each in captures] == operation_ids
        assert [each.amount for each in captures] == list(self.parts())
        assert len({each.provider_reference for each in captures}) == len(captures)

    def test_facts_are_frozen_and_typed(self) -> None:
        self.require("supports_retrieve")
        driver = self.captured()
        fact = fact_of(driver)
        assert isinstance(fact, SessionFact)
        assert isinstance(fact.movements, tuple)
        assert is_frozen(fact)
        for movement in fact.movements:
            assert isinstance(movement, MovementFact)
            assert is_frozen(movement)
            assert movement.currency_code == driver.currency_code

    def test_facts_state_exact_amounts(self) -> None:
        self.require("supports_retrieve")
        driver = self.captured()
        fact = fact_of(driver)
        stated = (
            fact.amount,
            fact.authorized_amount,
            fact.captured_amount,
            fact.refunded_amount,
            fact.canceled_amount,
            fact.charged_back_amount,
            *(each.amount for each in fact.movements),
        )
        for amount in stated:
            assert amount is None or fits(amount, fact.currency_code), (
                f"{amount} has more than {exponent(fact.currency_code)} decimals."
            )

    def test_facts_publish_declared_keys_only(self) -> None:
        self.require("supports_retrieve")
        driver = self.authorized()
        fact = fact_of(driver)
        declares(self.provider, fact.data)
        assert is_json(dict(fact.data or {}))
        assert is_json(dict(fact.provider_data or {}))

    def test_asking_changes_nothing(self) -> None:
        self.require("supports_retrieve")
        driver = self.captured()
        assert fact_of(driver) == fact_of(driver)


MARGIN = 60
"""How far outside of the tolerance a signature is tried, in seconds."""


class WebhookContract(ContractHooks):
    """Tests of `parse_webhook`."""

    def test_a_signed_event_is_accepted(self) -> None:
        driver, body = self._event()
        result = self.provider.parse_webhook(self._signed(body))
        assert isinstance(result, WebhookResult)
        assert is_frozen(result)
        is_usable(result)
        assert result.event_id
        assert result.event_type
        assert result.session_id == driver.session_id or (
            result.session_id is None and result.provider_reference == driver.provider_reference
        )
        if result.occurred_at is not None:
            assert result.occurred_at.tzinfo is not None, "Times are aware."

    def test_an_event_states_a_fact_or_is_a_hint(self) -> None:
        driver, body = self._event()
        fact = self.provider.parse_webhook(self._signed(body)).fact
        if fact is None:
            return
        assert fact.currency_code == driver.currency_code
        assert fact.provider_reference == driver.provider_reference
        assert fact.authorized_amount in (None, driver.amount)
        declares(self.provider, fact.data)

    def test_a_refund_made_at_the_provider_can_be_traced_to_its_session(self) -> None:
        self.require("supports_webhooks", "supports_refund")
        driver = self.authorized()
        taken: CaptureResult = succeeded(driver, driver.capture())
        result = self.provider.parse_webhook(self._signed(self.refund_webhook_body(driver)))
        named = (result.session_id, result.provider_reference, result.capture_reference)
        known = (driver.session_id, driver.provider_reference, taken.provider_reference)
        assert any(named), "Nothing in it says which session it is about."
        assert all(name in (None, own) for name, own in zip(named, known, strict=True))

    def test_the_same_event_has_the_same_id_again(self) -> None:
        _driver, body = self._event()
        first = self.provider.parse_webhook(self._signed(body))
        second = self.provider.parse_webhook(self._signed(body))
        assert first.event_id == second.event_id

    def test_the_kept_payload_is_json_without_secrets(self) -> None:
        driver, body = self._event()
        result = self.provider.parse_webhook(self._signed(body))
        assert is_json(dict(result.payload))
        kept = repr(result.payload)
        for secret in self.secret_values(self.provider):
            assert secret not in kept
        private = set(driver.provider_data) - self.provider.public_data_keys
        assert not any(f"'{name}'" in kept for name in private), "The payload is kept: it must be redacted."

    def test_an_unsigned_event_is_refused(self) -> None:
        _driver, body = self._event()
        self._is_refused(body, {})

    def test_a_tampered_event_is_refused(self) -> None:
        _driver, body = self._event()
        headers = self._headers(body)
        self._is_refused(body.replace(b":", b": ", 1), headers)
        self._is_refused(body + b" ", headers)
        self._is_refused(body[:-1] + bytes([body[-1] ^ 1]), headers)

    def test_a_truncated_event_is_refused(self) -> None:
        _driver, body = self._event()
        headers = self._headers(body)
        self._is_refused(body[: len(body) // 2], headers)
        self._is_refused(b"", headers)

    def test_an_event_signed_by_somebody_else_is_refused(self) -> None:
        _driver, body = self._event()
        for name, value in self._headers(body).items():
            turned = value[:-1] + ("0" if value[-1:] != "0" else "1")
            # Not in capitals: hexadecimal digits mean the same then, so that a provider may take them.
            for forged in (turned, value[::-1] if value[::-1] != value else "x", "", "garbage", "é=1"):
                self._is_refused(body, {**self._headers(body), name: forged})

    def test_an_old_event_is_refused(self) -> None:
        _driver, body = self._event()
        self._is_refused(body, self._headers(body, offset=-self._tolerance() - MARGIN))

    def test_an_event_from_the_future_is_refused(self) -> None:
        _driver, body = self._event()
        self._is_refused(body, self._headers(body, offset=self._tolerance() + MARGIN))

    def test_a_slightly_late_event_is_accepted(self) -> None:
        _driver, body = self._event()
        assert self.provider.parse_webhook(self._signed(body, offset=-self._tolerance() // 2)).event_id

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        self._event()
        body = b'\xff\xfe{"id": "\x80"}'
        self._is_refused(body, {})
        self._is_refused(body, self._headers(body))

    def test_signed_nonsense_is_refused(self) -> None:
        _driver, good = self._event()
        for body in (b"", b"null", b"[]", b"{}", b'"text"', b"1e999", b"[" * 5000, good[: len(good) // 2]):
            self._is_refused(body, self._headers(body))

    def _event(self) -> tuple[SessionDriver, bytes]:
        self.require("supports_webhooks")
        driver = self.authorized()
        return driver, self.webhook_body(driver)

    def _tolerance(self) -> int:
        if self.webhook_tolerance is None:
            self.skip("webhook_tolerance is None: a signature doesn't say when it was made")
        return self.webhook_tolerance or 0

    def _headers(self, body: bytes, *, offset: int = 0) -> Mapping[str, str]:
        headers = self.sign_webhook(body, timestamp=int(time.time()) + offset)
        assert all(name == name.lower() for name in headers), "sign_webhook() gives names in lower case."
        return headers

    def _signed(self, body: bytes, *, offset: int = 0) -> WebhookRequest:
        return WebhookRequest(body=body, headers=self._headers(body, offset=offset))

    def _is_refused(self, body: bytes, headers: Mapping[str, str]) -> None:
        with pytest.raises(WebhookVerificationError):
            self.provider.parse_webhook(WebhookRequest(body=body, headers=headers))


SHORTEST_SECRET = 6
"""A shorter text isn't looked for: it would turn up by chance."""


class SecrecyContract(ContractHooks):
    """Tests of what a provider shows."""

    def test_nothing_private_is_published(self) -> None:
        for driver in self._drivers():
            public = json.dumps(driver.data, cls=DjangoJSONEncoder)
            for secret in (*self._private_texts(driver), *self._secrets()):
                assert secret not in public, (
                    "data holds what is private: the value of provider_data or an option."
                )

    def test_an_action_leads_to_nothing_private(self) -> None:
        driver = self.initiated(self.or_skip(self.challenged(), "challenged"))
        action = driver.authorize().next_action
        for secret in (*self._private_texts(driver), *self._secrets()):
            assert action is None or secret not in (action.url or ""), (
                "The url of an action holds what is private: the value of provider_data or an option."
            )

    def test_private_keys_are_not_public_ones(self) -> None:
        for driver in self._drivers():
            both = (set(driver.data) & set(driver.provider_data)) - self.provider.public_data_keys
            assert not both, f"In data and provider_data, but not in public_data_keys: {sorted(both)}"

    def test_options_and_provider_print_no_secret(self) -> None:
        self._is_silent(self.provider.options, self.provider, [self.provider])

    def test_requests_and_results_print_and_carry_no_secret(self) -> None:
        driver = self.start()
        results: list[ProviderResult] = [driver.initiate(), driver.authorize(), driver.capture()]
        if self.provider.supports_retrieve:
            results.append(driver.retrieve())
        private = list(self._private_texts(driver))
        for result in results:
            self._is_silent(result, result.provider_log, result.failure, driver.data, driver.provider_data)
            carried = pickle.dumps(result)
            assert not any(secret.encode() in carried for secret in self._secrets())
            shown = f"{result!r} {result.provider_log!r}"
            assert not any(text in shown for text in private), "A result prints what is in provider_data."

    def test_refusals_tell_the_payer_nothing_private(self) -> None:
        driver = self.initiated(self.or_skip(self.declined(), "declined"))
        failure = declined(driver, driver.authorize()).failure
        assert failure is not None
        for private in (*self._secrets(), *self._private_texts(driver), "Traceback", 'File "'):
            assert private not in f"{failure.code} {failure.message}"

    def test_facts_show_nothing_private(self) -> None:
        self.require("supports_retrieve")
        driver = self.authorized()
        fact = fact_of(driver)
        public = json.dumps(dict(fact.data or {}), cls=DjangoJSONEncoder)
        for secret in (*self._private_texts(driver), *self._secrets()):
            assert secret not in public
            assert secret not in repr(fact)

    def _drivers(self) -> list[SessionDriver]:
        drivers = [self.initiated(), self.authorized()]
        challenge = self.challenged()
        if challenge is not None:
            challenged = self.initiated(challenge)
            challenged.authorize()
            drivers.append(challenged)
        return drivers

    def _private_texts(self, driver: SessionDriver) -> set[str]:
        """Return the texts of provider_data that aren't declared public under their own key."""
        private = {
            name: value
            for name, value in driver.provider_data.items()
            if name not in self.provider.public_data_keys
        }
        known = {driver.provider_reference, driver.session_id, driver.currency_code}
        sent = set(texts_in(dict(driver.attempt.input)))
        return {text for text in texts_in(private) if len(text) >= SHORTEST_SECRET} - known - sent

    def _secrets(self) -> set[str]:
        return {text for text in self.secret_values(self.provider) if text}

    def _is_silent(self, *values: Any) -> None:
        for value in values:
            shown = f"{value!r} {value!s}"
            assert not any(secret in shown for secret in self._secrets()), (
                f"A {type(value).__name__} prints a secret: give its field repr=False."
            )
