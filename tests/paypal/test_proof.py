"""Which of PayPal's events are believed, and with whose certificate."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from payments.exceptions import ProviderUnavailableError
from payments.providers import WebhookRequest
from payments.providers.paypal import webhooks
from tests.paypal.conftest import provider_for
from tests.paypal.deliveries import authorization, is_refused, parsed
from tests.paypal.fake import FakePayPal, Fault
from tests.paypal.fake.signing import WEBHOOK_ID, body_of, signed_headers

FOUR_DAYS = 4 * 24 * 60 * 60


@pytest.mark.database_independent
class TestProof:
    """Whether an event is PayPal's."""

    def test_several_webhooks_are_good_while_one_is_replaced(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        provider = provider_for(fake, webhook_ids=["7NEW00000000000AB", WEBHOOK_ID])
        for webhook_id in ("7NEW00000000000AB", WEBHOOK_ID):
            headers = signed_headers(body, url=fake.url, webhook_id=webhook_id)
            assert provider.parse_webhook(WebhookRequest(body=body, headers=headers)).event_id

    def test_an_event_for_another_webhook_is_refused(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        assert is_refused(fake, body, signed_headers(body, url=fake.url, webhook_id="8OTHER0000000000B"))

    def test_without_webhook_ids_nothing_is_believed(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        assert is_refused(fake, body, signed_headers(body, url=fake.url), webhook_ids=[])
        assert is_refused(fake, body, signed_headers(body, url=fake.url, webhook_id=""), webhook_ids=[])

    @pytest.mark.parametrize("offset", [-FOUR_DAYS - 5, 305, 3600, -10_000_000])
    def test_a_delivery_of_another_time_is_refused(self, fake: FakePayPal, offset: int) -> None:
        body = body_of(authorization(fake))
        headers = signed_headers(body, url=fake.url, timestamp=time.time() + offset)
        assert is_refused(fake, body, headers)

    @pytest.mark.parametrize("offset", [-FOUR_DAYS + 60, -3600, 290])
    def test_paypal_may_try_for_days_and_clocks_may_differ(self, fake: FakePayPal, offset: int) -> None:
        body = body_of(authorization(fake))
        headers = signed_headers(body, url=fake.url, timestamp=time.time() + offset)
        assert provider_for(fake).parse_webhook(WebhookRequest(body=body, headers=headers)).event_id

    def test_how_old_a_delivery_may_be_is_an_option(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        headers = signed_headers(body, url=fake.url, timestamp=time.time() - 120)
        assert is_refused(fake, body, headers, webhook_tolerance=60)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("paypal-transmission-time", ""),
            ("paypal-transmission-time", "2026-11-24 08:00:00"),
            ("paypal-transmission-time", "99999-01-01T00:00:00Z"),
            ("paypal-transmission-sig", "no base 64"),
            ("paypal-transmission-sig", "é"),
            ("paypal-transmission-sig", "AAAA"),
            ("paypal-auth-algo", "none"),
            ("paypal-auth-algo", ""),
            ("paypal-transmission-id", "another"),
            ("paypal-cert-url", ""),
            ("paypal-cert-url", "http://[::1"),
        ],
    )
    def test_a_malformed_header_is_refused(self, fake: FakePayPal, name: str, value: str) -> None:
        body = body_of(authorization(fake))
        assert is_refused(fake, body, {**signed_headers(body, url=fake.url), name: value})

    def test_another_s_key_is_refused(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert is_refused(fake, body, signed_headers(body, url=fake.url, key=other))

    def test_a_certificate_that_has_expired_is_refused(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        headers = signed_headers(body, url=fake.url, certificate_name="CERT-expired")
        assert is_refused(fake, body, headers)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"id": 1, "event_type": "x", "create_time": "2026-11-01T00:00:00Z"}',
            b'{"id": "WH-1", "event_type": "x", "create_time": "soon"}',
            b'{"id": "WH-1", "event_type": "x", "create_time": "2026-11-01T00:00:00"}',
            b'{"id": "", "event_type": "x", "create_time": "2026-11-01T00:00:00Z"}',
        ],
    )
    def test_signed_nonsense_is_refused(self, fake: FakePayPal, body: bytes) -> None:
        assert is_refused(fake, body, signed_headers(body, url=fake.url))


@pytest.mark.database_independent
class TestCertificates:
    """From where a certificate is fetched."""

    GOOD = "/v1/notifications/certs/CERT-good"

    @pytest.mark.parametrize(
        "url",
        [
            "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-good",
            "https://evil.example/v1/notifications/certs/CERT-good",
            "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-good",
            "https://evil.example#@api.paypal.com/v1/notifications/certs/CERT-good",
            "https://api.paypal.com:8443/v1/notifications/certs/CERT-good",
            "http://api.paypal.com/v1/notifications/certs/CERT-good",
            "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-good",
            "https://api.paypal.com/v1/notifications/certs/../CERT-good",
            "https://api.paypal.com/v1/notifications/certs/CERT-good?x=1",
            "https://api.paypal.com/v1/notifications/certs/CERT-good#x",
            "https://api.paypal.com/v1/notifications/certs/CERT-good/",
            "https://api.paypal.com/somewhere/else",
            "HTTPS://api.paypal.com/v1/notifications/certs/CERT-good",
            "file:///v1/notifications/certs/CERT-good",
        ],
    )
    @pytest.mark.shows(
        "An event names a certificate at an address that isn't PayPal's",
        "refused; the address isn't followed",
    )
    def test_no_other_address_is_followed(
        self, fake: FakePayPal, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_arguments: object, **_more: object) -> None:
            raise AssertionError("An address that isn't PayPal's was followed.")

        monkeypatch.setattr(webhooks, "_fetched", fail)
        body = body_of(authorization(fake))
        headers = {**signed_headers(body, url=fake.url), "paypal-cert-url": url}
        assert is_refused(fake, body, headers, livemode=True, base_url="")

    @pytest.mark.parametrize(
        ("livemode", "host"),
        [
            (True, "api.paypal.com"),
            (True, "api-m.paypal.com"),
            (False, "api.sandbox.paypal.com"),
            (False, "api-m.sandbox.paypal.com"),
        ],
    )
    def test_paypal_s_own_addresses_are_followed(
        self, fake: FakePayPal, livemode: bool, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def fetched(url: str, _options: object) -> object:
            asked.append(url)
            return _certificate(fake)

        monkeypatch.setattr(webhooks, "_fetched", fetched)
        body = body_of(authorization(fake))
        headers = signed_headers(body, url=f"https://{host}")
        provider = provider_for(fake, livemode=livemode, base_url="")
        assert provider.parse_webhook(WebhookRequest(body=body, headers=headers)).event_id
        assert asked == [f"https://{host}{self.GOOD}"]

    def test_a_certificate_is_fetched_once(self, fake: FakePayPal) -> None:
        for _time in range(3):
            parsed(fake, authorization(fake))
        assert fake.executed.count("certificate") == 1

    def test_not_many_are_kept(self, fake: FakePayPal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(webhooks, "_fetched", lambda _url, _options: _certificate(fake))
        body = body_of(authorization(fake))
        for number in range(40):
            headers = signed_headers(body, url=fake.url, certificate_name=f"CERT-{number}")
            provider_for(fake).parse_webhook(WebhookRequest(body=body, headers=headers))
        assert len(webhooks._kept) == webhooks.MAX_KEPT

    @pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.SILENCE_BEFORE, Fault.GARBAGE_BEFORE])
    def test_one_that_cannot_be_fetched_right_now_proves_nothing_either_way(
        self, fake: FakePayPal, fault: Fault
    ) -> None:
        event = authorization(fake)
        fake.misbehave("certificate", fault)
        with pytest.raises(ProviderUnavailableError):
            parsed(fake, event)
        assert parsed(fake, event).event_id

    def test_one_that_is_not_there_is_a_forgery(self, fake: FakePayPal) -> None:
        body = body_of(authorization(fake))
        headers = signed_headers(body, url=fake.url, certificate_name="CERT-of-nobody")
        assert is_refused(fake, body, headers)


def _certificate(fake: FakePayPal) -> Any:
    return x509.load_pem_x509_certificate(fake._certificate("CERT-good"))
