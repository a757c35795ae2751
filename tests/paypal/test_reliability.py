"""Faults that only PayPal can have; tests/providers/test_reliability.py has those of every payment service.

The shop's books are held against the fake's after each.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from payments.exceptions import OutcomeUnknownError, PaymentError
from payments.models import Payment, PaymentSession
from payments.services import (
    authorize_payment_session,
    cancel_payment_session,
    capture_payment,
    reconcile_due,
    refund_payment,
)
from payments.states import SessionStatus
from payments.testing import configured_provider
from tests.paypal.books import assert_books_agree
from tests.paypal.conftest import BACKEND, options_for, payer_at
from tests.paypal.fake import FakePayPal, Fault, Funding
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import VERBS, Verb, approved, authorized, payment_of, session_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

ASKED = {"capture": "capture", "refund": "refund", "cancel_payment": "void"}
"""What the verbs of payments ask PayPal for."""


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.name in ASKED], ids=str)
def test_the_keys_of_payments_protect_for_longer_than_those_of_orders(
    shop: FakePayPal, clock: TestClock, verb: Verb
) -> None:
    payer, operation = payer_at(shop), ASKED[verb.name]
    collection = verb.prepare(payer)
    shop.misbehave(operation, Fault.ERROR_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        verb.run(payer, collection)
    clock.advance(timedelta(days=7))
    reconcile_due()
    assert shop.executed.count(operation) == 1
    assert_books_agree(shop, collection)


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


def test_money_that_is_taken_at_once_is_in_the_books_once(fake: FakePayPal, clock: TestClock) -> None:
    entry = {"BACKEND": BACKEND, "OPTIONS": options_for(fake, intent="capture")}
    with configured_provider("paypal", entry):
        collection = approved(payer_at(fake))
        fake.misbehave("capture_order", Fault.CUT_OFF_AFTER)
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
