"""Stripe's events: which are believed, what they state, and what becomes of them in the shop's books."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe
from django.test import Client

from payments.exceptions import AmountError, WebhookVerificationError
from payments.models import Payment, PaymentSession, Refund, WebhookEvent
from payments.providers import WebhookRequest, WebhookResult
from payments.providers.stripe.webhooks import EVENTS
from payments.services import (
    authorize_payment_session,
    create_payment_session,
    process_due_events,
    refund_payment,
)
from payments.states import MovementStatus, SessionStatus, WebhookEventStatus
from tests.reliability.clocks import TestClock
from tests.stripe.conftest import VISA, driver_for, provider_for
from tests.stripe.fake import FakeStripe
from tests.stripe.fake.service import SECRET, body_of, signed_headers

HUNDRED = Decimal("100.00")

Event = dict[str, Any]


def parsed(fake: FakeStripe, event: Mapping[str, Any], **options: Any) -> WebhookResult:
    """Return what the provider makes of an event that is properly signed."""
    body = body_of(dict(event))
    return provider_for(fake, **options).parse_webhook(
        WebhookRequest(body=body, headers=signed_headers(body))
    )


def authorization(fake: FakeStripe) -> Event:
    """Return the event about an authorization."""
    driver = driver_for(fake)
    driver.authorize()
    [event] = fake.events("payment_intent.amount_capturable_updated", about=driver.provider_reference)
    return event


def is_refused(fake: FakeStripe, body: bytes, headers: Mapping[str, str], **options: Any) -> bool:
    """Return whether the provider believes a delivery."""
    with pytest.raises(WebhookVerificationError):
        provider_for(fake, **options).parse_webhook(WebhookRequest(body=body, headers=headers))
    return True


@pytest.mark.database_independent
class TestProof:
    """Whether an event is Stripe's."""

    def test_stripe_s_library_believes_our_signatures(self, fake: FakeStripe) -> None:
        body = body_of(authorization(fake))
        header = signed_headers(body)["stripe-signature"]
        assert stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, tolerance=300)

    def test_several_secrets_are_good_while_one_is_rolled(self, fake: FakeStripe) -> None:
        body = body_of(authorization(fake))
        provider = provider_for(fake, webhook_secrets=["whsec_new", SECRET])
        for secret in ("whsec_new", SECRET):
            request = WebhookRequest(body=body, headers=signed_headers(body, secret=secret))
            assert provider.parse_webhook(request).event_id

    def test_several_signatures_are_tried(self, fake: FakeStripe) -> None:
        body = body_of(authorization(fake))
        good = signed_headers(body)["stripe-signature"]
        header = good.replace(",v1=", f",v1={'0' * 64},v1=") + ",v0=ignored"
        result = provider_for(fake).parse_webhook(
            WebhookRequest(body=body, headers={"stripe-signature": header})
        )
        assert result.event_id

    @pytest.mark.parametrize("offset", [-301, 301, 3600, -10_000_000_000])
    def test_a_signature_of_another_time_is_refused(self, fake: FakeStripe, offset: int) -> None:
        body = body_of(authorization(fake))
        assert is_refused(fake, body, signed_headers(body, timestamp=max(0, time.time() + offset)))

    @pytest.mark.parametrize("offset", [-290, 290])
    def test_clocks_may_differ_a_little(self, fake: FakeStripe, offset: int) -> None:
        body = body_of(authorization(fake))
        headers = signed_headers(body, timestamp=time.time() + offset)
        assert provider_for(fake).parse_webhook(WebhookRequest(body=body, headers=headers)).event_id

    @pytest.mark.parametrize(
        "change",
        [
            lambda header: "",
            lambda header: "nonsense",
            lambda header: header.replace("t=", "t=x"),
            lambda header: header.replace("t=", "t=-"),
            lambda header: header.replace("t=", "t=1,t="),
            lambda header: header.partition(",")[0],
            lambda header: header.replace("v1=", "v0="),
            lambda header: header.replace("v1=", "v1=é"),
            lambda header: header[:-1],
            lambda header: "t=²," + header.partition(",")[2],
            lambda header: f"t={'9' * 400}," + header.partition(",")[2],
        ],
    )
    def test_a_malformed_header_is_refused(self, fake: FakeStripe, change: Callable[[str], str]) -> None:
        body = body_of(authorization(fake))
        header = change(signed_headers(body)["stripe-signature"])
        assert is_refused(fake, body, {"stripe-signature": header})

    def test_without_secrets_nothing_is_believed(self, fake: FakeStripe) -> None:
        body = body_of(authorization(fake))
        assert is_refused(fake, body, signed_headers(body), webhook_secrets=[])
        assert is_refused(fake, body, signed_headers(body, secret=""), webhook_secrets=[])

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"id": 1, "type": "x", "created": 1, "livemode": false}',
            b'{"id": "evt_1", "type": "x", "created": 1e400, "livemode": false}',
            b'{"id": "evt_1", "type": "x", "created": "soon", "livemode": false}',
            b'{"id": "evt_1", "type": "x", "created": "2026-11-01T00:00:00", "livemode": false}',
            b'{"id": "", "type": "x", "created": 1, "livemode": false}',
        ],
    )
    def test_signed_nonsense_is_refused(self, fake: FakeStripe, body: bytes) -> None:
        assert is_refused(fake, body, signed_headers(body))


@pytest.mark.database_independent
class TestMeaning:
    """What an event states."""

    def test_an_intent_states_a_whole_fact(self, fake: FakeStripe) -> None:
        event = authorization(fake)
        result = parsed(fake, event)
        assert result.fact is not None
        assert result.fact.status == SessionStatus.AUTHORIZED
        assert result.fact.authorized_amount == HUNDRED
        assert result.session_id == event["data"]["object"]["metadata"]["payment_session"]
        assert result.provider_reference == event["data"]["object"]["id"]

    def test_a_refund_of_ours_states_a_movement(self, fake: FakeStripe) -> None:
        driver = driver_for(fake)
        driver.authorize()
        driver.capture()
        driver.refund(Decimal("30.00"))
        [event] = fake.events("refund.created")
        fact = parsed(fake, event).fact
        assert fact is not None
        [movement] = fact.movements
        assert (movement.amount, movement.operation_id) == (Decimal("30.00"), driver.operation_ids[-1])

    def test_what_is_not_the_whole_truth_is_a_hint(self, fake: FakeStripe) -> None:
        driver = driver_for(fake)
        driver.authorize()
        driver.capture(Decimal("60.00"))
        fake.movements.dispute(driver.provider_reference or "", amount=1000)
        for event in fake.events("charge.refunded", "refund.created", "charge.dispute.created"):
            result = parsed(fake, event)
            assert result.fact is None, "Stripe's note of a release is no refund."
            assert result.provider_reference == driver.provider_reference

    @pytest.mark.parametrize("version", ["2022-11-15", "2026-09-30.endive", None])
    def test_another_api_version_makes_a_hint(self, fake: FakeStripe, version: str | None) -> None:
        event = {**authorization(fake), "api_version": version}
        result = parsed(fake, event)
        assert result.fact is None
        assert result.provider_reference == event["data"]["object"]["id"]

    def test_a_snapshot_that_lacks_something_makes_a_hint(self, fake: FakeStripe) -> None:
        event = authorization(fake)
        del event["data"]["object"]["amount_received"]
        assert parsed(fake, event).fact is None

    def test_a_thin_event_makes_a_hint(self, fake: FakeStripe) -> None:
        intent = authorization(fake)["data"]["object"]
        event = {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v1.payment_intent.succeeded",
            "created": "2026-11-01T10:00:00.123Z",
            "livemode": False,
            "related_object": {"id": intent["id"], "type": "payment_intent", "url": "/v1/payment_intents/x"},
        }
        result = parsed(fake, event)
        assert result.fact is None
        assert result.provider_reference == intent["id"]
        assert result.occurred_at is not None
        other = {**event, "related_object": {"id": "re_1", "type": "refund"}}
        assert parsed(fake, other).provider_reference is None

    @pytest.mark.parametrize(
        "event_type", ["customer.created", "payout.paid", "invoice.paid", "setup_intent.x"]
    )
    def test_other_events_are_nobody_s(self, fake: FakeStripe, event_type: str) -> None:
        result = parsed(fake, {**authorization(fake), "type": event_type})
        assert (result.session_id, result.provider_reference, result.fact) == (None, None, None)

    def test_an_event_of_the_other_mode_is_nobody_s(self, fake: FakeStripe) -> None:
        result = parsed(fake, {**authorization(fake), "livemode": True})
        assert (result.session_id, result.provider_reference, result.fact) == (None, None, None)

    def test_an_intent_without_our_metadata_is_nobody_s(self, fake: FakeStripe) -> None:
        event = authorization(fake)
        event["data"]["object"]["metadata"] = {"order": "7"}
        result = parsed(fake, event)
        assert (result.session_id, result.provider_reference, result.fact) == (None, None, None)

    @pytest.mark.shows(
        "The shop's account at Stripe is a platform, and an account connected to it has made something with our ids",
        "The event is ignored: what is in that account is paid to its owner",
    )
    def test_event_of_a_connected_account_is_foreign(self, fake: FakeStripe) -> None:
        result = parsed(fake, {**authorization(fake), "account": "acct_1OtherShop"})
        assert (result.session_id, result.provider_reference, result.fact) == (None, None, None)

    def test_event_that_needs_a_context_is_a_hint(self, fake: FakeStripe) -> None:
        result = parsed(fake, {**authorization(fake), "context": "acct_1PerhapsOurs"})
        assert result.fact is None
        assert result.provider_reference is not None

    def test_the_kept_payload_has_nothing_private(self, fake: FakeStripe) -> None:
        event = authorization(fake)
        kept = json.dumps(parsed(fake, event).payload)
        assert event["data"]["object"]["client_secret"] not in kept
        assert "payment_method" not in kept


def deliver(client: Client, *events: Event) -> None:
    """Deliver events to the shop, properly signed."""
    for event in events:
        body = body_of(event)
        response = client.post(
            "/payments/webhooks/stripe/",
            body,
            content_type="application/json",
            headers=signed_headers(body),
        )
        assert response.status_code == 200, response.content


@pytest.mark.django_db(transaction=True)
class TestBooks:
    """What events do to the shop's books."""

    @pytest.mark.database_independent
    def test_an_authorization_in_the_browser_is_recorded(
        self, shop: FakeStripe, session: PaymentSession, client: Client
    ) -> None:
        shop.intents.confirm(session.provider_reference or "", VISA)
        deliver(client, *shop.events())
        session.refresh_from_db()
        assert session.status == SessionStatus.AUTHORIZED
        assert session.payment is not None
        assert session.payment.amount == HUNDRED

    def test_replayed_and_reordered_events_change_nothing(
        self, shop: FakeStripe, captured: Payment, client: Client
    ) -> None:
        refund_payment(captured, amount="30.00")
        events = shop.events()
        deliver(client, *reversed(events), *events, *events)
        process_due_events()
        captured.refresh_from_db()
        assert (captured.captured_amount, captured.refunded_amount) == (HUNDRED, Decimal("30.00"))
        assert captured.captures.count() == captured.refunds.count() == 1
        assert WebhookEvent.objects.count() == len(events)

    @pytest.mark.database_independent
    def test_a_refund_in_the_dashboard_is_recorded_once(
        self, shop: FakeStripe, captured: Payment, client: Client, clock: TestClock
    ) -> None:
        shop.movements.refund({"payment_intent": captured.provider_reference, "amount": 2500})
        deliver(client, *shop.events("refund.created", "charge.refunded"))
        process_due_events()
        captured.refresh_from_db()
        assert captured.refunded_amount == Decimal("25.00")
        assert captured.refunds.get().provider_reference.startswith("re_")

    @pytest.mark.database_independent
    def test_the_release_of_the_rest_is_no_refund(
        self, shop: FakeStripe, payment: Payment, client: Client
    ) -> None:
        shop.intents.capture(payment.provider_reference or "", {"amount_to_capture": 6000})
        deliver(client, *shop.events())
        process_due_events()
        payment.refresh_from_db()
        assert (payment.captured_amount, payment.canceled_amount) == (Decimal("60.00"), Decimal("40.00"))
        assert payment.refunds.count() == 0

    @pytest.mark.database_independent
    def test_a_refund_that_fails_days_later_counts_no_more(
        self, shop: FakeStripe, captured: Payment, client: Client
    ) -> None:
        refund_payment(captured, amount="30.00")
        refund = Refund.objects.get()
        shop.movements.settle_refund(refund.provider_reference or "", succeeds=False)
        deliver(client, *shop.events("refund.failed"))
        deliver(client, *shop.events("refund.created"))
        process_due_events()
        refund.refresh_from_db()
        captured.refresh_from_db()
        assert refund.status == MovementStatus.FAILED
        assert captured.refunded_amount == 0

    def test_a_dispute_is_recorded_and_needs_a_person(
        self, shop: FakeStripe, captured: Payment, client: Client
    ) -> None:
        shop.movements.dispute(captured.provider_reference or "", amount=4000)
        deliver(client, *shop.events("charge.dispute.created"))
        process_due_events()
        captured.refresh_from_db()
        assert captured.charged_back_amount == Decimal("40.00")
        assert captured.collection.operations.filter(status="attention").count() == 1

    @pytest.mark.database_independent
    def test_a_dispute_in_another_currency_needs_a_person(
        self, shop: FakeStripe, captured: Payment, client: Client
    ) -> None:
        dispute = shop.movements.dispute(captured.provider_reference or "", amount=11000)
        shop.books.objects[dispute["id"]]["currency"] = "usd"
        deliver(client, *shop.events("charge.dispute.created"))
        process_due_events()
        operation = captured.collection.operations.get(status="attention")
        assert operation.detail == f"charged_back: expected 0, reported 110.00 usd ({dispute['id']})"

    @pytest.mark.database_independent
    def test_a_won_dispute_gives_the_money_back(
        self, shop: FakeStripe, captured: Payment, client: Client
    ) -> None:
        dispute = shop.movements.dispute(captured.provider_reference or "", amount=4000)
        deliver(client, *shop.events("charge.dispute.created"))
        process_due_events()
        shop.movements.close_dispute(dispute["id"], status="won")
        deliver(client, *shop.events("charge.dispute.closed"), *shop.events("charge.dispute.created"))
        process_due_events()
        captured.refresh_from_db()
        assert captured.charged_back_amount == captured.reinstated_amount == Decimal("40.00")
        assert captured.refundable_amount == Decimal("100.00")

    @pytest.mark.database_independent
    def test_a_slow_payment_ends_by_event(
        self, shop: FakeStripe, session: PaymentSession, client: Client
    ) -> None:
        authorize_payment_session(session, data={"payment_method": "pm_usBankAccount_success"})
        shop.intents.settle(session.provider_reference or "", succeeds=False)
        deliver(client, *shop.events("payment_intent.payment_failed"))
        session.refresh_from_db()
        assert session.status == SessionStatus.ERROR
        assert session.error_code == "card_declined"
        assert not session.operations.filter(status="pending").exists()

    def test_an_event_that_is_faster_than_the_answer_finds_its_session(
        self, shop: FakeStripe, session: PaymentSession, client: Client
    ) -> None:
        PaymentSession.objects.filter(pk=session.pk).update(
            provider_reference=None, initiated_at=None, data={}
        )
        deliver(client, *shop.events("payment_intent.created"))
        session.refresh_from_db()
        assert session.provider_reference == shop.intent_of(session.pk)["id"]
        assert session.data["client_secret"]

    @pytest.mark.database_independent
    def test_foreign_events_are_kept_and_change_nothing(
        self, shop: FakeStripe, payment: Payment, client: Client
    ) -> None:
        foreign = shop.intents.create({"amount": 500, "currency": "eur", "payment_method": "pm_card_visa"})
        shop.intents.confirm(foreign["id"], {})
        deliver(client, *shop.events(about=foreign["id"]))
        process_due_events()
        events = WebhookEvent.objects.filter(type__startswith="payment_intent.")
        assert {event.status for event in events} == {WebhookEventStatus.IGNORED}
        payment.refresh_from_db()
        assert payment.captured_amount == 0

    @pytest.mark.database_independent
    def test_an_unsigned_event_is_answered_with_400_and_not_kept(
        self, shop: FakeStripe, payment: Payment, client: Client
    ) -> None:
        response = client.post(
            "/payments/webhooks/stripe/", body_of(shop.events()[0]), content_type="application/json"
        )
        assert response.status_code == 400
        assert not WebhookEvent.objects.exists()


@pytest.mark.shows(
    "A payer's browser confirms a payment by card at Stripe, which holds it for some days",
    "The payment says until when, from the events that an endpoint has to be sent",
)
@pytest.mark.django_db(transaction=True)
def test_hold_that_the_browser_confirmed_says_until_when(
    shop: FakeStripe, session: PaymentSession, client: Client
) -> None:
    shop.intents.confirm(session.provider_reference or "", VISA)
    deliver(client, *shop.events(*EVENTS))
    process_due_events()
    assert Payment.objects.get().expires_at is not None


def test_charge_that_is_taken_at_once_needs_no_look(fake: FakeStripe) -> None:
    event = authorization(fake)
    charge = {"object": "charge", "id": "ch_1", "payment_intent": event["data"]["object"]["id"]}
    about = {**event, "type": "charge.succeeded"}
    taken = parsed(fake, {**about, "data": {"object": {**charge, "captured": True}}})
    held = parsed(fake, {**about, "data": {"object": {**charge, "captured": False}}})
    assert (taken.provider_reference, held.provider_reference) == (None, charge["payment_intent"])


@pytest.mark.shows(
    "A payer's browser confirms a bank debit at Stripe and is closed, and they come back while the debit is under way",
    "Nothing can be paid a second time; when the debit settles, it is what pays",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("succeeds", [True, False])
def test_debit_that_only_the_browser_confirmed_is_under_way(
    shop: FakeStripe, session: PaymentSession, client: Client, clock: TestClock, succeeds: bool
) -> None:
    reference = session.provider_reference or ""
    shop.intents.confirm(reference, {"payment_method": "pm_usBankAccount_success"})
    for _again in range(2):
        deliver(client, *shop.events())
        clock.advance(timedelta(minutes=10))
        process_due_events()
    assert not WebhookEvent.objects.exclude(status=WebhookEventStatus.APPLIED).exists()
    operation = session.operations.get(kind="authorize")
    assert operation.status == "pending"
    another = create_payment_session(session.collection, provider_id="stripe", by_payer=True)
    with pytest.raises(AmountError) as caught:
        authorize_payment_session(another, data=VISA, by_payer=True)
    assert caught.value.code == "exceeds_remaining"

    told = len(shop.events())
    shop.intents.settle(reference, succeeds=succeeds)
    deliver(client, *shop.events()[told:])
    process_due_events()

    session.refresh_from_db()
    operation.refresh_from_db()
    assert session.status == (SessionStatus.AUTHORIZED if succeeds else SessionStatus.ERROR)
    assert operation.status == ("succeeded" if succeeds else "declined")
