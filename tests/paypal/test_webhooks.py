"""PayPal's events: which are believed, what they are about, and what becomes of them in the shop's books."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from payments.exceptions import ProviderUnavailableError, WebhookVerificationError
from payments.models import Payment, PaymentSession, WebhookEvent
from payments.providers import WebhookRequest, WebhookResult
from payments.providers.paypal import certificates
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_collection,
    create_payment_session,
    process_due_events,
    refund_payment,
)
from payments.states import SessionStatus, WebhookEventStatus
from payments.testing.settings import configured_provider
from tests.fakes import Json
from tests.paypal.conftest import BACKEND, authorized, captured, options_for, provider_for
from tests.paypal.fake import FakePayPal, Fault
from tests.paypal.fake.signing import WEBHOOK_ID, body_of, signed_headers
from tests.reliability.clocks import TestClock

FOUR_DAYS = 4 * 24 * 60 * 60


@pytest.fixture(autouse=True)
def no_certificate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_kept", {})


def parsed(fake: FakePayPal, event: Mapping[str, Any], **options: Any) -> WebhookResult:
    """Return what the provider makes of an event that is properly signed."""
    body = body_of(dict(event))
    request = WebhookRequest(body=body, headers=signed_headers(body, url=fake.url))
    return provider_for(fake, **options).parse_webhook(request)


def authorization(fake: FakePayPal) -> Json:
    """Return the event about an authorization."""
    authorized(fake)
    return fake.events("PAYMENT.AUTHORIZATION.CREATED")[-1]


def is_refused(fake: FakePayPal, body: bytes, headers: Mapping[str, str], **options: Any) -> bool:
    """Return whether the provider refuses a delivery."""
    with pytest.raises(WebhookVerificationError):
        provider_for(fake, **options).parse_webhook(WebhookRequest(body=body, headers=headers))
    return True


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

        monkeypatch.setattr(certificates, "_fetched", fail)
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

        monkeypatch.setattr(certificates, "_fetched", fetched)
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
        monkeypatch.setattr(certificates, "_fetched", lambda _url, _options: _certificate(fake))
        body = body_of(authorization(fake))
        for number in range(40):
            headers = signed_headers(body, url=fake.url, certificate_name=f"CERT-{number}")
            provider_for(fake).parse_webhook(WebhookRequest(body=body, headers=headers))
        assert len(certificates._kept) == certificates.MAX_KEPT

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


@pytest.mark.database_independent
class TestMeaning:
    """What an event is about."""

    def test_no_event_states_a_fact(self, fake: FakePayPal) -> None:
        driver = captured(fake)
        driver.refund()
        assert len(fake.events()) == 4
        assert all(parsed(fake, event).fact is None for event in fake.events())

    def test_every_event_about_a_session_names_it(self, fake: FakePayPal) -> None:
        driver = captured(fake)
        driver.refund(Decimal("10.00"))
        [capture] = fake.captures_of(driver.session_id)
        dispute = fake.movements.dispute(capture.id, amount="20.00")
        fake.movements.resolve(dispute, "RESOLVED_SELLER_FAVOUR")
        released = authorized(fake)
        released.cancel(payment_id=released.payment_id)
        names = {parsed(fake, event).session_id for event in fake.events()}
        assert names == {driver.session_id, released.session_id}

    def test_an_event_names_the_order_where_it_does_itself(self, fake: FakePayPal) -> None:
        driver = captured(fake)
        for event in fake.events():
            assert parsed(fake, event).provider_reference == driver.provider_reference

    def test_a_canceled_session_s_order_still_names_it(self, fake: FakePayPal) -> None:
        driver = authorized(fake)
        event = fake.events("CHECKOUT.ORDER.APPROVED")[-1]
        event["resource"]["purchase_units"][0]["custom_id"] = f"{driver.session_id}/canceled"
        assert parsed(fake, event).session_id == driver.session_id

    @pytest.mark.parametrize(
        "change",
        [
            lambda event: event.update(event_type="BILLING.SUBSCRIPTION.CREATED"),
            lambda event: event.update(resource=None),
            lambda event: event["resource"].update(custom_id="another-system-4711"),
            lambda event: event["resource"].update(purchase_units=[]),
            lambda event: event["resource"].update(disputed_transactions="?"),
            lambda event: event["resource"].update(supplementary_data="?"),
        ],
    )
    def test_what_is_not_ours_is_named_by_nothing_of_ours(
        self, fake: FakePayPal, change: Callable[[Json], None]
    ) -> None:
        event = authorization(fake)
        change(event)
        result = parsed(fake, event)
        assert (result.session_id, result.provider_reference) == (None, None)
        assert result.event_id == event["id"]

    def test_what_is_kept_has_nothing_of_the_payer(self, fake: FakePayPal) -> None:
        event = authorization(fake)
        event["resource"]["payer"] = {"email_address": "payer@example.com"}
        assert "payer@example.com" not in repr(parsed(fake, event))


def deliver(fake: FakePayPal, event: Json) -> Any:
    """Deliver an event to the shop, properly signed, and return the answer."""
    body = body_of(event)
    return Client().post(
        "/payments/webhooks/paypal/",
        body,
        content_type="application/json",
        headers=signed_headers(body, url=fake.url),
    )


@pytest.mark.django_db(transaction=True)
class TestBooks:
    """What becomes of events in the shop."""

    def test_a_capture_in_the_dashboard_gets_into_the_books(self, shop: FakePayPal, payment: Payment) -> None:
        authorization_id = shop.authorization_of(payment.session_id).id
        shop.movements.capture(authorization_id, {"final_capture": True})
        assert deliver(shop, shop.events("PAYMENT.CAPTURE.COMPLETED")[-1]).status_code == 200
        process_due_events()
        payment.refresh_from_db()
        assert payment.captured_amount == Decimal("100.00")

    def test_the_same_event_again_changes_nothing(self, shop: FakePayPal, payment: Payment) -> None:
        shop.movements.capture(shop.authorization_of(payment.session_id).id, {"final_capture": True})
        event = shop.events("PAYMENT.CAPTURE.COMPLETED")[-1]
        answers = [deliver(shop, event).json()["duplicate"] for _time in range(3)]
        process_due_events()
        assert answers == [False, True, True]
        assert payment.captures.count() == 1

    def test_events_in_the_wrong_order_lead_to_the_same_books(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        capture_payment(payment)
        refund_payment(payment, amount="30.00")
        for event in reversed(shop.events()):
            deliver(shop, event)
        process_due_events()
        payment.refresh_from_db()
        assert (payment.captured_amount, payment.refunded_amount) == (Decimal("100.00"), Decimal("30.00"))
        assert (payment.captures.count(), payment.refunds.count()) == (1, 1)
        assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}

    @pytest.mark.shows(
        "A body is made up that fits the checksum which PayPal has signed",
        "nothing of it is booked: the event only makes the shop ask PayPal",
    )
    def test_a_forged_body_under_a_real_signature_books_nothing(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        forged = json.loads(json.dumps(event))
        forged.update(event_type="PAYMENT.CAPTURE.COMPLETED", id="WH-FORGED")
        assert deliver(shop, forged).status_code == 200, "As if its checksum had been made to fit."
        process_due_events()
        payment.refresh_from_db()
        assert payment.captured_amount == 0

    def test_a_bad_signature_is_answered_with_400_and_nothing_is_stored(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        answer = Client().post("/payments/webhooks/paypal/", data=event, content_type="application/json")
        assert answer.status_code == 400
        assert not WebhookEvent.objects.exists()

    def test_an_event_that_cannot_be_proven_right_now_is_to_be_sent_again(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        shop.misbehave("certificate", Fault.ERROR_BEFORE)
        answer = deliver(shop, event)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert deliver(shop, event).status_code == 200

    def test_an_event_that_is_not_ours_is_kept_and_ignored(self, shop: FakePayPal, payment: Payment) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        event["resource"]["custom_id"] = "another-system-4711"
        deliver(shop, event)
        process_due_events()
        assert WebhookEvent.objects.get().status == WebhookEventStatus.IGNORED

    @pytest.mark.shows(
        "A payer approves at PayPal, and never comes back to the shop",
        "a worker authorizes the session, once",
    )
    def test_a_payer_who_does_not_come_back_has_paid_all_the_same(
        self, shop: FakePayPal, session: PaymentSession
    ) -> None:
        shop.orders.approve(session.provider_reference or "")
        assert deliver(shop, shop.events("CHECKOUT.ORDER.APPROVED")[-1]).status_code == 200
        assert "authorize" not in shop.executed, "Nobody is asked anything while PayPal waits."
        process_due_events()
        session.refresh_from_db()
        assert session.status == SessionStatus.AUTHORIZED
        assert WebhookEvent.objects.get().status == WebhookEventStatus.APPLIED
        authorize_payment_session(session)
        assert shop.executed.count("authorize") == 1

    def test_an_approval_is_no_payment_where_the_shop_says_so(self, shop: FakePayPal) -> None:
        entry = {"BACKEND": BACKEND, "OPTIONS": options_for(shop, authorize_on_approval=False)}
        with configured_provider("paypal", entry):
            collection = create_payment_collection(amount="100.00", currency_code="eur")
            session = create_payment_session(collection, provider_id="paypal")
            shop.orders.approve(session.provider_reference or "")
            deliver(shop, shop.events("CHECKOUT.ORDER.APPROVED")[-1])
            process_due_events()
            session.refresh_from_db()
            assert session.status == SessionStatus.REQUIRES_MORE
            assert "authorize" not in shop.executed

    def test_a_lost_dispute_is_charged_back(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock
    ) -> None:
        [capture] = shop.captures_of(captured_payment.session_id)
        dispute = shop.movements.dispute(capture.id, amount="40.00", stage="INQUIRY")
        deliver(shop, shop.events("CUSTOMER.DISPUTE.CREATED")[-1])
        process_due_events()
        captured_payment.refresh_from_db()
        assert captured_payment.charged_back_amount == 0
        shop.movements.resolve(dispute, "RESOLVED_BUYER_FAVOUR")
        deliver(shop, shop.events("CUSTOMER.DISPUTE.RESOLVED")[-1])
        process_due_events()
        captured_payment.refresh_from_db()
        assert captured_payment.charged_back_amount == Decimal("40.00")


def _certificate(fake: FakePayPal) -> Any:
    return x509.load_pem_x509_certificate(fake._certificate("CERT-good"))
