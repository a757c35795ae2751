"""Faults that only Stripe can have; tests/providers/test_reliability.py has those of every payment service.

The shop's books are held against the fake's after each.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.states import OperationStatus, SessionStatus
from payments.testing import configured_provider
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import authorized, payment_of, session_of
from tests.stripe.books import assert_books_agree
from tests.stripe.conftest import BACKEND, PAYER, VISA, options_for
from tests.stripe.fake import FakeStripe, Fault

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]


def test_a_stored_error_is_never_sent_under_another_key(
    shop: FakeStripe, clock: TestClock, payment: Payment
) -> None:
    shop.misbehave("capture", Fault.ERROR_BEFORE)
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    for _look in range(8):
        clock.advance(timedelta(hours=25))
        services.reconcile_due()
    operation = PaymentOperation.objects.get(kind="capture")
    assert operation.status == OperationStatus.ATTENTION
    keys = {request.key for request in shop.requests if request.path.endswith("/capture")}
    assert keys == {operation.pk}
    assert shop.intent_of(payment.session_id)["amount_received"] == 0


def test_an_intent_whose_id_never_reached_us_is_found_by_search(
    shop: FakeStripe, clock: TestClock, collection: PaymentCollection
) -> None:
    shop.misbehave("create", Fault.CUT_OFF_AFTER)
    with pytest.raises(OutcomeUnknownError):
        services.create_payment_session(collection, provider_id="stripe")
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    assert "search" in shop.executed
    assert shop.executed.count("create") == 1
    services.authorize_payment_session(session_of(collection), data=VISA)
    assert_books_agree(shop, collection)


def test_a_capture_after_one_in_the_dashboard_is_recorded_as_it_was_asked(
    shop: FakeStripe,
) -> None:
    options = options_for(shop, multicapture=True)
    with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options}):
        payment = payment_of(authorized(PAYER))
        shop.intents.capture(
            payment.provider_reference or "", {"amount_to_capture": 1000, "final_capture": False}
        )
        services.sync_payment_session(payment.session)
        services.capture_payment(payment, amount="20.00")
        assert payment.captured_amount == Decimal("30.00")
        services.capture_payment(payment)
    assert payment.captured_amount == Decimal("100.00")
    assert_books_agree(shop, payment.collection)


def test_payer_who_confirms_in_the_browser_while_the_session_is_canceled(
    shop: FakeStripe, session: PaymentSession
) -> None:
    shop.intents.confirm(session.provider_reference or "", VISA)
    services.cancel_payment_session(session)
    assert session.status == SessionStatus.CANCELED
    assert_books_agree(shop, session.collection)


def test_a_decline_leaves_the_session_open_for_another_card(
    shop: FakeStripe, session: PaymentSession
) -> None:
    services.authorize_payment_session(
        session, data={"payment_method": "pm_card_visa_chargeDeclinedStolenCard"}
    )
    assert (session.status, session.error_code) == (SessionStatus.ERROR, "card_declined")
    assert "stolen" not in session.error_message
    operation = PaymentOperation.objects.get(kind="authorize")
    assert "stolen_card" in operation.detail
    services.authorize_payment_session(session, data=VISA)
    assert session.status == SessionStatus.AUTHORIZED
