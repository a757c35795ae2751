"""PayPal's events: what they are about, and what becomes of them in the shop's books."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client

from payments.models import Payment, PaymentSession, WebhookEvent
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
from tests.paypal.conftest import BACKEND, authorized, captured, options_for
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

    def test_what_is_kept_has_nothing_of_the_payer(self, fake: FakePayPal) -> None:
        event = authorization(fake)
        event["resource"]["payer"] = {"email_address": "payer@example.com"}
        assert "payer@example.com" not in repr(parsed(fake, event))


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
