"""Every fault of the reliability table that a payment provider can have, on Stripe's side of the line.

The shop's books are held against the fake's after each.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from payments.exceptions import OutcomeUnknownError, PaymentError, ProviderUnavailableError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.services import (
    authorize_payment_session,
    cancel_payment_session,
    capture_payment,
    create_payment_session,
    reconcile_due,
    refund_payment,
    sync_payment_session,
)
from payments.states import OperationStatus, SessionStatus
from payments.testing import configured_provider
from tests.fakes import USELESS
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import VERBS, Payer, Verb, authorized, payment_of, session_of
from tests.stripe.conftest import BACKEND, VISA, options_for
from tests.stripe.fake import FakeStripe, Fault

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

PAYER = Payer(provider_id="stripe", sent=VISA)

ASKED = {
    "initiate": "create",
    "update": "update",
    "authorize": "confirm",
    "capture": "capture",
    "refund": "refund",
    "cancel_session": "cancel",
    "cancel_payment": "cancel",
}
"""What each verb asks Stripe for."""

LOST = [fault for fault in USELESS if fault != Fault.ERROR_BEFORE]
"""What Stripe failed at before it began stays failed under its key, so there is nothing to find out."""


def assert_books_agree(fake: FakeStripe, collection: PaymentCollection) -> None:
    """Make sure that the shop has the same sums as Stripe, and nothing open."""
    session = collection.sessions.get()
    intent = fake.intent_of(session.pk)
    assert session.provider_reference == intent["id"]
    assert session.amount * 100 == intent["amount"]
    payment = session.payment
    if payment is None:
        assert intent["amount_capturable"] == intent["amount_received"] == 0
    else:
        held = payment.amount - payment.captured_amount - payment.canceled_amount
        assert held * 100 == intent["amount_capturable"]
        assert payment.captured_amount * 100 == intent["amount_received"]
        assert payment.refunded_amount * 100 == fake.movements.refunded(intent)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_a_lost_answer_is_found_out_and_nothing_is_done_twice(
    shop: FakeStripe, clock: TestClock, verb: Verb, fault: Fault
) -> None:
    collection, operation = verb.prepare(PAYER), ASKED[verb.name]
    shop.misbehave(operation, fault)
    with pytest.raises(OutcomeUnknownError):
        verb.run(PAYER, collection)
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


@pytest.mark.parametrize("verb", VERBS[1:], ids=str)
def test_that_another_account_does_not_know_the_intent_proves_nothing(
    shop: FakeStripe, clock: TestClock, verb: Verb
) -> None:
    collection, operation = verb.prepare(PAYER), ASKED[verb.name]
    shop.misbehave(operation, Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        verb.run(PAYER, collection)
    with (
        FakeStripe() as other,
        configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options_for(other)}),
    ):
        clock.advance(timedelta(minutes=2))
        assert reconcile_due() == 1
    [waiting] = PaymentOperation.objects.open()
    assert waiting.status == OperationStatus.UNKNOWN
    clock.advance(timedelta(minutes=6))
    reconcile_due()
    assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_what_certainly_was_not_done_can_be_asked_again_at_once(shop: FakeStripe, verb: Verb) -> None:
    collection, operation = verb.prepare(PAYER), ASKED[verb.name]
    shop.misbehave(operation, Fault.TOO_MANY)
    with pytest.raises(ProviderUnavailableError):
        verb.run(PAYER, collection)
    if verb.name == "initiate":
        session = session_of(collection)
        assert session.status == SessionStatus.ERROR
        authorize_payment_session(session, data=VISA)
    else:
        verb.run(PAYER, collection)
    assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


def test_a_stored_error_is_never_sent_under_another_key(
    shop: FakeStripe, clock: TestClock, payment: Payment
) -> None:
    shop.misbehave("capture", Fault.ERROR_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment)
    for _look in range(8):
        clock.advance(timedelta(hours=25))
        reconcile_due()
    operation = PaymentOperation.objects.get(kind="capture")
    assert operation.status == OperationStatus.ATTENTION
    keys = {request.key for request in shop.requests if request.path.endswith("/capture")}
    assert keys == {operation.idempotency_key}
    assert shop.intent_of(payment.session_id)["amount_received"] == 0


def test_an_intent_whose_id_never_reached_us_is_found_by_search(
    shop: FakeStripe, clock: TestClock, collection: PaymentCollection
) -> None:
    shop.misbehave("create", Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        create_payment_session(collection, provider_id="stripe")
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    assert "search" in shop.executed
    assert shop.executed.count("create") == 1
    authorize_payment_session(session_of(collection), data=VISA)
    assert_books_agree(shop, collection)


def test_an_intent_that_the_search_does_not_know_yet_is_found_by_its_key(
    shop: FakeStripe, clock: TestClock, collection: PaymentCollection
) -> None:
    shop.books.is_searchable = False
    shop.misbehave("create", Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        create_payment_session(collection, provider_id="stripe")
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    assert len(shop.books.all("payment_intent")) == 1
    assert_books_agree(shop, collection)


def test_beyond_the_key_s_window_an_intent_that_is_not_found_needs_a_person(
    shop: FakeStripe, clock: TestClock, collection: PaymentCollection
) -> None:
    shop.books.is_searchable = False
    shop.misbehave("create", Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        create_payment_session(collection, provider_id="stripe")
    clock.advance(timedelta(hours=25))
    reconcile_due()
    operation = PaymentOperation.objects.get()
    assert (operation.status, operation.detail) == (OperationStatus.ATTENTION, "not_found_after_key_window")
    assert len(shop.books.all("payment_intent")) == 1


def test_while_stripe_is_down_everything_waits(shop: FakeStripe, clock: TestClock, payment: Payment) -> None:
    for operation in ("capture", "retrieve"):
        shop.misbehave(operation, Fault.SILENCE_BEFORE, times=3)
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment)
    for _look in range(4):
        clock.advance(timedelta(minutes=30))
        reconcile_due()
    shop.behave()
    clock.advance(timedelta(hours=2))
    reconcile_due()
    assert shop.executed.count("capture") == 1
    assert_books_agree(shop, payment.collection)


def test_a_capture_of_a_part_that_is_lost_is_told_apart_from_one_in_the_dashboard(
    shop: FakeStripe, clock: TestClock, payment: Payment
) -> None:
    shop.misbehave("capture", Fault.SILENCE_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment, amount="60.00")
    shop.intents.capture(payment.provider_reference or "", {"amount_to_capture": 3000})
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal("30.00")
    assert PaymentOperation.objects.get(kind="capture").status == OperationStatus.DECLINED


def test_a_capture_after_one_in_the_dashboard_is_recorded_as_it_was_asked(
    shop: FakeStripe,
) -> None:
    options = options_for(shop, multicapture=True)
    with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options}):
        payment = payment_of(authorized(PAYER))
        shop.intents.capture(
            payment.provider_reference or "", {"amount_to_capture": 1000, "final_capture": False}
        )
        sync_payment_session(payment.session)
        capture_payment(payment, amount="20.00")
        assert payment.captured_amount == Decimal("30.00")
        capture_payment(payment)
    assert payment.captured_amount == Decimal("100.00")
    assert_books_agree(shop, payment.collection)


def test_payer_who_confirms_in_the_browser_while_the_session_is_canceled(
    shop: FakeStripe, session: PaymentSession
) -> None:
    shop.intents.confirm(session.provider_reference or "", VISA)
    cancel_payment_session(session)
    assert session.status == SessionStatus.CANCELED
    assert_books_agree(shop, session.collection)


def test_authorizing_twice_holds_the_money_once(shop: FakeStripe, session: PaymentSession) -> None:
    first = authorize_payment_session(session, data=VISA)
    second = authorize_payment_session(session, data=VISA)
    assert first.payment == second.payment
    assert shop.executed.count("confirm") == 1


def test_a_decline_leaves_the_session_open_for_another_card(
    shop: FakeStripe, session: PaymentSession
) -> None:
    authorize_payment_session(session, data={"payment_method": "pm_card_visa_chargeDeclinedStolenCard"})
    assert (session.status, session.error_code) == (SessionStatus.ERROR, "card_declined")
    assert "stolen" not in session.error_message
    operation = PaymentOperation.objects.get(kind="authorize")
    assert "stolen_card" in operation.detail
    authorize_payment_session(session, data=VISA)
    assert session.status == SessionStatus.AUTHORIZED


def test_a_partial_capture_releases_the_rest_in_the_books_too(shop: FakeStripe, payment: Payment) -> None:
    capture_payment(payment, amount="60.00")
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal("60.00"), Decimal("40.00"))
    assert_books_agree(shop, payment.collection)


def test_books_agree_after_refunds_in_parts(shop: FakeStripe, captured: Payment) -> None:
    for amount in ("10.00", "10.00", "80.00"):
        refund_payment(captured, amount=amount)
    with suppress(PaymentError):
        refund_payment(captured, amount="0.01")
    assert captured.refunded_amount == Decimal("100.00")
    assert_books_agree(shop, captured.collection)
