"""The contract's part about webhooks: nothing is believed that isn't proven, and nothing else is raised."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

import pytest

from payments.exceptions import WebhookVerificationError
from payments.providers import CaptureResult, WebhookRequest, WebhookResult
from payments.testing.contract.driver import SessionDriver
from payments.testing.contract.expectations import declares, is_frozen, is_json, is_usable, succeeded
from payments.testing.contract.hooks import ContractHooks

MARGIN = 60
"""How far outside of the tolerance a signature is tried, in seconds."""


class WebhookContract(ContractHooks):
    """Test `parse_webhook`."""

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
            for forged in (
                turned,
                value.swapcase() if value.swapcase() != value else "x",
                "",
                "garbage",
                "é=1",
            ):
                self._is_refused(body, {**self._headers(body), name: forged})

    def test_an_old_event_is_refused(self) -> None:
        _driver, body = self._event()
        self._is_refused(body, self._headers(body, offset=-self.webhook_tolerance - MARGIN))

    def test_an_event_from_the_future_is_refused(self) -> None:
        _driver, body = self._event()
        self._is_refused(body, self._headers(body, offset=self.webhook_tolerance + MARGIN))

    def test_a_slightly_late_event_is_accepted(self) -> None:
        _driver, body = self._event()
        late = timedelta(seconds=self.webhook_tolerance).total_seconds() / 2
        assert self.provider.parse_webhook(self._signed(body, offset=-int(late))).event_id

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

    def _headers(self, body: bytes, *, offset: int = 0) -> Mapping[str, str]:
        headers = self.sign_webhook(body, timestamp=int(time.time()) + offset)
        assert all(name == name.lower() for name in headers), "sign_webhook() gives names in lower case."
        return headers

    def _signed(self, body: bytes, *, offset: int = 0) -> WebhookRequest:
        return WebhookRequest(body=body, headers=self._headers(body, offset=offset))

    def _is_refused(self, body: bytes, headers: Mapping[str, str]) -> None:
        with pytest.raises(WebhookVerificationError):
            self.provider.parse_webhook(WebhookRequest(body=body, headers=headers))
