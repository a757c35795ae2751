"""PayPal's events: what they are about, and what becomes of them in the shop's books."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from payments import services
from payments.models import Payment, PaymentSession, WebhookEvent
from payments.services.background.inbox import PAUSES
from payments.states import SessionStatus, WebhookEventStatus
from payments.testing import configured_provider
from tests.fakes import Json
from tests.paypal.conftest import BACKEND, authorized, captured, driver_for, options_for
from tests.paypal.deliveries import authorization, deliver, parsed
from tests.paypal.fake import FakePayPal, Fault
from tests.reliability.clocks import TestClock


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

    @pytest.mark.parametrize("made", ["refund_in_dashboard", "reverse"])
    def test_a_refund_that_carries_no_mark_names_its_capture(self, fake: FakePayPal, made: str) -> None:
        [capture] = fake.captures_of(captured(fake).session_id)
        refund = getattr(fake.movements, made)(capture.id, "10.00")
        [event] = [each for each in fake.events() if each["resource"].get("id") == refund["id"]]
        assert not {"custom_id", "invoice_id", "supplementary_data"} & set(event["resource"])
        result = parsed(fake, event)
        assert (result.session_id, result.provider_reference) == (None, None)
        assert result.capture_reference == capture.id

    @pytest.mark.parametrize(
        "links",
        [
            [],
            "?",
            [{"rel": "up"}],
            [{"rel": "up", "href": None}],
            [{"rel": "self", "href": "https://api.paypal.com/v2/payments/captures/4X"}],
            [{"rel": "up", "href": "https://api.paypal.com/v2/payments/authorizations/4X"}],
            [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/"}],
            [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/../4X"}],
        ],
    )
    def test_a_link_that_leads_to_no_capture_names_none(self, fake: FakePayPal, links: Any) -> None:
        [capture] = fake.captures_of(captured(fake).session_id)
        fake.movements.refund_in_dashboard(capture.id, "10.00")
        event = fake.events("PAYMENT.CAPTURE.REFUNDED")[-1]
        event["resource"]["links"] = links
        assert parsed(fake, event).capture_reference is None

    def test_a_refund_by_another_program_names_its_capture_and_nothing_else(self, fake: FakePayPal) -> None:
        [capture] = fake.captures_of(captured(fake).session_id)
        fake.movements.refund(capture.id, {"custom_id": "another-system-4711"})
        result = parsed(fake, fake.events("PAYMENT.CAPTURE.REFUNDED")[-1])
        assert (result.session_id, result.provider_reference) == (None, None)
        assert result.capture_reference == capture.id

    def test_a_dispute_that_does_not_quote_our_mark_names_its_capture(self, fake: FakePayPal) -> None:
        [capture] = fake.captures_of(captured(fake).session_id)
        fake.movements.dispute(capture.id, amount="20.00")
        event = fake.events("CUSTOMER.DISPUTE.CREATED")[-1]
        del event["resource"]["disputed_transactions"][0]["custom"]
        result = parsed(fake, event)
        assert (result.session_id, result.capture_reference) == (None, capture.id)

    def test_an_approval_that_was_reversed_names_its_order(self, fake: FakePayPal) -> None:
        driver = driver_for(fake)
        fake.orders.approve(driver.provider_reference or "")
        event = fake.events("CHECKOUT.ORDER.APPROVED")[-1]
        event["event_type"] = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
        event["resource"]["order_id"] = event["resource"].pop("id")
        result = parsed(fake, event)
        assert (result.session_id, result.provider_reference) == (
            driver.session_id,
            driver.provider_reference,
        )

    def test_what_is_kept_has_nothing_of_the_payer(self, fake: FakePayPal) -> None:
        event = authorization(fake)
        event["resource"]["payer"] = {"email_address": "payer@example.com"}
        assert "payer@example.com" not in repr(parsed(fake, event))


@pytest.mark.django_db(transaction=True)
class TestBooks:
    """What becomes of events in the shop."""

    @pytest.mark.database_independent
    def test_a_capture_in_the_dashboard_gets_into_the_books(self, shop: FakePayPal, payment: Payment) -> None:
        authorization_id = shop.authorization_of(payment.session_id).id
        shop.movements.capture(authorization_id, {"final_capture": True})
        assert deliver(shop, shop.events("PAYMENT.CAPTURE.COMPLETED")[-1]).status_code == 200
        services.process_due_events()
        payment.refresh_from_db()
        assert payment.captured_amount == Decimal("100.00")

    @pytest.mark.database_independent
    def test_the_same_event_again_changes_nothing(self, shop: FakePayPal, payment: Payment) -> None:
        shop.movements.capture(shop.authorization_of(payment.session_id).id, {"final_capture": True})
        event = shop.events("PAYMENT.CAPTURE.COMPLETED")[-1]
        answers = [deliver(shop, event).json()["duplicate"] for _time in range(3)]
        services.process_due_events()
        assert answers == [False, True, True]
        assert payment.captures.count() == 1

    def test_events_in_the_wrong_order_lead_to_the_same_books(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        services.capture_payment(payment)
        services.refund_payment(payment, amount="30.00")
        for event in reversed(shop.events()):
            deliver(shop, event)
        services.process_due_events()
        payment.refresh_from_db()
        assert (payment.captured_amount, payment.refunded_amount) == (Decimal("100.00"), Decimal("30.00"))
        assert (payment.captures.count(), payment.refunds.count()) == (1, 1)
        assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}

    @pytest.mark.database_independent
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
        services.process_due_events()
        payment.refresh_from_db()
        assert payment.captured_amount == 0

    @pytest.mark.database_independent
    def test_a_bad_signature_is_answered_with_400_and_nothing_is_stored(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        answer = Client().post("/payments/webhooks/paypal/", data=event, content_type="application/json")
        assert answer.status_code == 400
        assert not WebhookEvent.objects.exists()

    @pytest.mark.database_independent
    def test_an_event_that_cannot_be_proven_right_now_is_to_be_sent_again(
        self, shop: FakePayPal, payment: Payment
    ) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        shop.misbehave("certificate", Fault.ERROR_BEFORE)
        answer = deliver(shop, event)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert deliver(shop, event).status_code == 200

    @pytest.mark.database_independent
    def test_an_event_that_is_not_ours_is_kept_and_ignored(self, shop: FakePayPal, payment: Payment) -> None:
        event = shop.events("PAYMENT.AUTHORIZATION.CREATED")[-1]
        event["resource"]["custom_id"] = "another-system-4711"
        deliver(shop, event)
        services.process_due_events()
        assert WebhookEvent.objects.get().status == WebhookEventStatus.IGNORED

    @pytest.mark.shows(
        "Somebody refunds in PayPal's dashboard, and the event says nothing but of which capture",
        "a worker asks PayPal at once, and the refund is booked as it is there",
    )
    @pytest.mark.parametrize("made", ["refund_in_dashboard", "reverse"])
    def test_a_refund_that_carries_no_mark_gets_into_the_books(
        self, shop: FakePayPal, captured_payment: Payment, made: str
    ) -> None:
        [capture] = shop.captures_of(captured_payment.session_id)
        refund = getattr(shop.movements, made)(capture.id, "30.00")
        [event] = [each for each in shop.events() if each["resource"].get("id") == refund["id"]]
        event["resource"]["amount"]["value"] = "99.00"
        assert deliver(shop, event).status_code == 200, "As if its checksum had been made to fit."
        services.process_due_events()
        captured_payment.refresh_from_db()
        assert captured_payment.refunded_amount == Decimal("30.00"), "What PayPal says when asked."
        assert captured_payment.refunds.get().provider_reference == refund["id"]
        assert WebhookEvent.objects.get().session == captured_payment.session

    @pytest.mark.database_independent
    @pytest.mark.shows(
        "Another program that shares the PayPal account refunds one of its own captures",
        "200; nobody is asked, nothing is booked, and the event is ignored in the end",
    )
    @pytest.mark.parametrize("mark", [{}, {"custom_id": "another-system-4711"}])
    def test_a_refund_of_a_capture_that_is_not_ours_is_left_alone(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock, mark: Json
    ) -> None:
        [capture] = shop.captures_of(captured_payment.session_id)
        shop.movements.refund_in_dashboard(capture.id, "30.00")
        event = shop.events("PAYMENT.CAPTURE.REFUNDED")[-1]
        event["resource"] |= mark
        event["resource"]["links"] = [
            {"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/0JF852973C016714D"}
        ]
        seen = len(shop.requests)
        assert deliver(shop, event).status_code == 200
        while (due_at := WebhookEvent.objects.get().next_attempt_at) is not None:
            clock.advance_to(due_at)
            services.process_due_events()
        assert WebhookEvent.objects.get().status == WebhookEventStatus.IGNORED
        assert [each.path for each in shop.requests[seen:]] == ["/v1/notifications/certs/CERT-good"]
        captured_payment.refresh_from_db()
        assert captured_payment.refunded_amount == 0

    def test_a_refund_that_is_told_before_its_capture_waits_for_it(
        self, shop: FakePayPal, clock: TestClock
    ) -> None:
        entry = {"BACKEND": BACKEND, "OPTIONS": options_for(shop, intent="capture")}
        with configured_provider("paypal", entry):
            collection = services.create_payment_collection(amount="100.00", currency_code="eur")
            session = services.create_payment_session(collection, provider_id="paypal")
            shop.orders.approve(session.provider_reference or "")
            payment = services.authorize_payment_session(session).payment
            assert payment is not None
            assert payment.captures.get().provider_reference is None, "The order's answer only has a total."
            [capture] = shop.captures_of(session.pk)
            shop.movements.refund_in_dashboard(capture.id, "30.00")
            deliver(shop, shop.events("PAYMENT.CAPTURE.REFUNDED")[-1])
            services.process_due_events()
            assert WebhookEvent.objects.get().status == WebhookEventStatus.DEFERRED
            deliver(shop, shop.events("PAYMENT.CAPTURE.COMPLETED")[-1])
            clock.advance(PAUSES[1])
            services.process_due_events()
            payment.refresh_from_db()
            assert payment.captures.get().provider_reference == capture.id
            assert payment.refunded_amount == Decimal("30.00")
            assert payment.refunds.count() == 1

    @pytest.mark.database_independent
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
        services.process_due_events()
        session.refresh_from_db()
        assert session.status == SessionStatus.AUTHORIZED
        assert WebhookEvent.objects.get().status == WebhookEventStatus.APPLIED
        services.authorize_payment_session(session)
        assert shop.executed.count("authorize") == 1

    @pytest.mark.database_independent
    def test_an_approval_is_no_payment_where_the_shop_says_so(self, shop: FakePayPal) -> None:
        entry = {"BACKEND": BACKEND, "OPTIONS": options_for(shop, authorize_on_approval=False)}
        with configured_provider("paypal", entry):
            collection = services.create_payment_collection(amount="100.00", currency_code="eur")
            session = services.create_payment_session(collection, provider_id="paypal")
            shop.orders.approve(session.provider_reference or "")
            deliver(shop, shop.events("CHECKOUT.ORDER.APPROVED")[-1])
            services.process_due_events()
            session.refresh_from_db()
            assert session.status == SessionStatus.REQUIRES_MORE
            assert "authorize" not in shop.executed

    @pytest.mark.database_independent
    def test_a_lost_dispute_is_charged_back(
        self, shop: FakePayPal, captured_payment: Payment, clock: TestClock
    ) -> None:
        [capture] = shop.captures_of(captured_payment.session_id)
        dispute = shop.movements.dispute(capture.id, amount="40.00", stage="INQUIRY")
        deliver(shop, shop.events("CUSTOMER.DISPUTE.CREATED")[-1])
        services.process_due_events()
        captured_payment.refresh_from_db()
        assert captured_payment.charged_back_amount == 0
        shop.movements.resolve(dispute, "RESOLVED_BUYER_FAVOUR")
        deliver(shop, shop.events("CUSTOMER.DISPUTE.RESOLVED")[-1])
        services.process_due_events()
        captured_payment.refresh_from_db()
        assert captured_payment.charged_back_amount == Decimal("40.00")
