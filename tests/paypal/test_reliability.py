"""Every fault of the reliability table that a payment provider can have, on PayPal's side of the line.

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
)
from payments.states import OperationStatus, SessionStatus
from payments.testing import configured_provider
from tests.fakes import USELESS
from tests.paypal.conftest import BACKEND, options_for
from tests.paypal.fake import FakePayPal, Fault, Funding
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import VERBS, Payer, Verb, approved, authorized, payment_of, session_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

ASKED = {
    "initiate": "create",
    "update": "update",
    "authorize": "authorize",
    "capture": "capture",
    "refund": "refund",
    "cancel_session": "update",
    "cancel_payment": "void",
}
"""What each verb asks PayPal for."""

IDEMPOTENT = ("update", "cancel_session")
"""A change of an order has no request id: making it twice makes no difference."""

OF_PAYMENTS = ("capture", "refund", "cancel_payment")


def payer_at(fake: FakePayPal) -> Payer:
    """Return a payer who approves the order at PayPal."""
    return Payer(
        provider_id="paypal", approve=lambda session: fake.orders.approve(session.provider_reference or "")
    )


def assert_books_agree(fake: FakePayPal, collection: PaymentCollection) -> None:
    """Make sure that the shop has the same sums as PayPal, and nothing open."""
    session = collection.sessions.get()
    order = fake.order_of(session.pk)
    assert session.provider_reference == order.id
    assert session.amount == order.amount
    payment = session.payment
    authorizations = fake.books.all("authorization", parent=order.id)
    if payment is None:
        assert authorizations == []
    else:
        [authorization] = authorizations
        is_over = authorization.status in ("CAPTURED", "VOIDED")
        taken = fake.movements.captured(authorization)
        assert payment.amount == authorization.amount
        assert payment.captured_amount == taken
        assert payment.canceled_amount == (authorization.amount - taken if is_over else 0)
        captures = fake.captures_of(session.pk)
        assert payment.refunded_amount == sum(fake.movements.refunded(row) for row in captures)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.parametrize("fault", USELESS)
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_a_lost_answer_is_found_out_and_nothing_is_done_twice(
    shop: FakePayPal, clock: TestClock, verb: Verb, fault: Fault
) -> None:
    payer, operation = payer_at(shop), ASKED[verb.name]
    collection = verb.prepare(payer)
    shop.misbehave(operation, fault)
    with pytest.raises(OutcomeUnknownError):
        verb.run(payer, collection)
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    if verb.name not in IDEMPOTENT:
        assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


@pytest.mark.parametrize("verb", [verb for verb in VERBS[1:] if verb.name != "cancel_session"], ids=str)
def test_that_another_account_does_not_know_the_order_proves_nothing(
    shop: FakePayPal, clock: TestClock, verb: Verb
) -> None:
    payer, operation = payer_at(shop), ASKED[verb.name]
    collection = verb.prepare(payer)
    shop.misbehave(operation, Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        verb.run(payer, collection)
    with (
        FakePayPal() as other,
        configured_provider("paypal", {"BACKEND": BACKEND, "OPTIONS": options_for(other)}),
    ):
        clock.advance(timedelta(minutes=2))
        assert reconcile_due() == 1
    [waiting] = PaymentOperation.objects.open()
    assert waiting.status == OperationStatus.UNKNOWN
    clock.advance(timedelta(minutes=6))
    reconcile_due()
    if verb.name not in IDEMPOTENT:
        assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_what_certainly_was_not_done_can_be_asked_again_at_once(shop: FakePayPal, verb: Verb) -> None:
    payer, operation = payer_at(shop), ASKED[verb.name]
    collection = verb.prepare(payer)
    shop.misbehave(operation, Fault.TOO_MANY)
    with pytest.raises(ProviderUnavailableError):
        verb.run(payer, collection)
    if verb.name == "initiate":
        session = session_of(collection)
        assert str(session.status) == SessionStatus.ERROR
        authorize_payment_session(session)
        assert session.status == SessionStatus.REQUIRES_MORE
    else:
        verb.run(payer, collection)
    assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


def test_an_order_whose_id_never_reached_us_is_found_by_its_key(
    shop: FakePayPal, clock: TestClock, collection: PaymentCollection
) -> None:
    shop.misbehave("create", Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        create_payment_session(collection, provider_id="paypal")
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    assert len(shop.books.all("order")) == 1
    assert_books_agree(shop, collection)
    assert session_of(collection).status == SessionStatus.REQUIRES_MORE


def test_beyond_the_key_s_window_an_order_that_is_not_found_needs_a_person(
    shop: FakePayPal, clock: TestClock, collection: PaymentCollection
) -> None:
    shop.misbehave("create", Fault.SILENCE_AFTER)
    with pytest.raises(OutcomeUnknownError):
        create_payment_session(collection, provider_id="paypal")
    clock.advance(timedelta(hours=6))
    reconcile_due()
    operation = PaymentOperation.objects.get()
    assert (operation.status, operation.detail) == (OperationStatus.ATTENTION, "not_found_after_key_window")
    assert len(shop.books.all("order")) == 1


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.name in OF_PAYMENTS], ids=str)
def test_the_keys_of_payments_protect_for_longer_than_those_of_orders(
    shop: FakePayPal, clock: TestClock, verb: Verb
) -> None:
    payer, operation = payer_at(shop), ASKED[verb.name]
    collection = verb.prepare(payer)
    shop.misbehave(operation, Fault.SILENCE_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        verb.run(payer, collection)
    clock.advance(timedelta(days=7))
    reconcile_due()
    assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


def test_while_paypal_is_down_everything_waits(shop: FakePayPal, clock: TestClock, payment: Payment) -> None:
    shop.misbehave("capture", Fault.SILENCE_BEFORE)
    shop.misbehave("retrieve", Fault.SILENCE_BEFORE, after=1, times=4)
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment)
    for _look in range(3):
        clock.advance(timedelta(minutes=30))
        reconcile_due()
    assert PaymentOperation.objects.get(kind="capture").status == OperationStatus.UNKNOWN
    shop.behave()
    clock.advance(timedelta(hours=2))
    reconcile_due()
    assert shop.executed.count("capture") == 1
    assert_books_agree(shop, payment.collection)


def test_a_capture_of_a_part_that_is_lost_is_told_apart_from_one_in_the_dashboard(
    shop: FakePayPal, clock: TestClock, payment: Payment
) -> None:
    shop.misbehave("capture", Fault.SILENCE_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment, amount="60.00")
    money = {"currency_code": "EUR", "value": "30.00"}
    shop.movements.capture(
        shop.authorization_of(payment.session_id).id, {"amount": money, "final_capture": True}
    )
    clock.advance(timedelta(minutes=2))
    reconcile_due()
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal("30.00")
    assert PaymentOperation.objects.get(kind="capture").status == OperationStatus.DECLINED


def test_authorizing_twice_holds_the_money_once(shop: FakePayPal, session: PaymentSession) -> None:
    shop.orders.approve(session.provider_reference or "")
    first = authorize_payment_session(session)
    second = authorize_payment_session(session)
    assert first.payment == second.payment
    assert shop.executed.count("authorize") == 1


def test_a_new_session_sends_its_payer_to_paypal(shop: FakePayPal, session: PaymentSession) -> None:
    assert session.status == SessionStatus.REQUIRES_MORE
    assert session.next_action == {"type": "redirect", "url": session.data["approve_url"]}
    assert session.data["order_id"] == session.provider_reference


def test_a_decline_leaves_the_session_open_for_other_means(shop: FakePayPal, session: PaymentSession) -> None:
    shop.orders.approve(session.provider_reference or "", Funding.DECLINED)
    authorize_payment_session(session)
    assert (session.status, session.error_code) == (SessionStatus.ERROR, "instrument_declined")
    shop.orders.approve(session.provider_reference or "", Funding.GOOD)
    authorize_payment_session(session)
    assert session.status == SessionStatus.AUTHORIZED
    assert_books_agree(shop, session.collection)


@pytest.mark.shows(
    "A payer approves an order at PayPal after its session was canceled", "nothing is held or taken"
)
def test_a_payer_who_approves_a_canceled_session_pays_nothing(
    shop: FakePayPal, session: PaymentSession
) -> None:
    cancel_payment_session(session)
    shop.orders.approve(session.provider_reference or "")
    with suppress(PaymentError):
        authorize_payment_session(session)
    assert session.status == SessionStatus.CANCELED
    assert "authorize" not in shop.executed


def test_a_partial_capture_releases_the_rest_in_the_books_too(shop: FakePayPal, payment: Payment) -> None:
    capture_payment(payment, amount="60.00")
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal("60.00"), Decimal("40.00"))
    assert_books_agree(shop, payment.collection)


def test_books_agree_after_refunds_in_parts(shop: FakePayPal, captured_payment: Payment) -> None:
    for amount in ("10.00", "10.00", "80.00"):
        refund_payment(captured_payment, amount=amount)
    with suppress(PaymentError):
        refund_payment(captured_payment, amount="0.01")
    assert captured_payment.refunded_amount == Decimal("100.00")
    assert_books_agree(shop, captured_payment.collection)


def test_money_that_is_taken_at_once_is_in_the_books_once(fake: FakePayPal, clock: TestClock) -> None:
    entry = {"BACKEND": BACKEND, "OPTIONS": options_for(fake, intent="capture")}
    with configured_provider("paypal", entry):
        collection = approved(payer_at(fake))
        fake.misbehave("capture_order", Fault.SILENCE_AFTER)
        with pytest.raises(OutcomeUnknownError):
            authorize_payment_session(session_of(collection))
        for _look in range(2):
            clock.advance(timedelta(minutes=10))
            reconcile_due()
        payment = payment_of(collection)
        assert (payment.captured_amount, payment.captures.count()) == (Decimal("100.00"), 1)
        refund_payment(payment)
        assert payment.refunded_amount == Decimal("100.00")


class TestRefundOfSeveralCaptures:
    """A refund that takes several of PayPal's is one in the books, whatever happens in between."""

    @pytest.fixture(autouse=True)
    def several_captures(self, shop: FakePayPal) -> object:
        entry = {"BACKEND": BACKEND, "OPTIONS": options_for(shop, multicapture=True)}
        with configured_provider("paypal", entry):
            yield

    def in_two_parts(self, shop: FakePayPal) -> Payment:
        payment = payment_of(authorized(payer_at(shop)))
        capture_payment(payment, amount="60.00")
        return capture_payment(payment, amount="40.00")

    def test_it_is_one_refund(self, shop: FakePayPal) -> None:
        payment = refund_payment(self.in_two_parts(shop))
        refund = payment.refunds.get()
        assert (refund.amount, shop.executed.count("refund")) == (Decimal("100.00"), 2)
        assert_books_agree(shop, payment.collection)

    @pytest.mark.shows(
        "A refund that takes two refunds at PayPal breaks off between them",
        "completed under its own keys, once",
    )
    @pytest.mark.parametrize("fault", Fault)
    @pytest.mark.parametrize("after", [0, 1])
    def test_one_that_breaks_off_is_completed(
        self, shop: FakePayPal, clock: TestClock, fault: Fault, after: int
    ) -> None:
        if fault == Fault.TOO_MANY and not after:
            pytest.skip("nothing was done yet")
        payment = self.in_two_parts(shop)
        shop.misbehave("refund", fault, after=after)
        with pytest.raises(OutcomeUnknownError):
            refund_payment(payment, amount="80.00")
        clock.advance(timedelta(minutes=2))
        reconcile_due()
        payment.refresh_from_db()
        assert payment.refunded_amount == Decimal("80.00")
        assert payment.refunds.count() == 1
        assert_books_agree(shop, payment.collection)
