"""What a clerk has done in Stripe's dashboard, or the payer's browser with Stripe, before the shop has heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from payments.exceptions import AmountError, DeclinedError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.services import (
    cancel_payment,
    cancel_payment_session,
    create_payment_session,
    mark_payment_collection_as_paid,
)
from payments.testing.settings import configured_provider
from tests.stripe.conftest import BACKEND, options_for
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.django_db(transaction=True)

SIXTY, FORTY = Decimal(60), Decimal(40)


@pytest.fixture
def paid(fake: FakeStripe, collection: PaymentCollection) -> Iterator[PaymentSession]:
    """Return a session that the payer's browser has paid with at once, and nobody has told us."""
    options = options_for(fake, capture_method="automatic")
    with configured_provider("stripe", {"BACKEND": BACKEND, "OPTIONS": options}):
        session = create_payment_session(collection, provider_id="stripe")
        fake.intents.confirm(session.provider_reference or "", {"payment_method": "pm_card_visa"})
        yield session


def test_a_release_keeps_what_was_captured_in_the_dashboard(shop: FakeStripe, payment: Payment) -> None:
    shop.intents.capture(payment.provider_reference or "", {"amount_to_capture": 6000})
    cancel_payment(payment)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (SIXTY, FORTY)
    assert payment.session.status == "authorized"
    assert not PaymentOperation.objects.open().exists()


def test_a_payment_that_was_captured_in_the_dashboard_is_not_released(
    shop: FakeStripe, payment: Payment
) -> None:
    shop.intents.capture(payment.provider_reference or "", {})
    with pytest.raises(DeclinedError):
        cancel_payment(payment)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal(100), Decimal(0))
    assert not PaymentOperation.objects.open().exists()


def test_a_session_of_which_a_part_was_captured_is_not_abandoned(
    shop: FakeStripe, session: PaymentSession
) -> None:
    intent_id = session.provider_reference or ""
    shop.intents.confirm(intent_id, {"payment_method": "pm_card_visa"})
    shop.intents.capture(intent_id, {"amount_to_capture": 6000})
    with pytest.raises(DeclinedError):
        cancel_payment_session(session)
    session.refresh_from_db()
    assert session.payment is not None
    assert (session.payment.captured_amount, session.payment.canceled_amount) == (SIXTY, FORTY)
    assert not PaymentOperation.objects.open().exists()


def test_what_the_browser_has_paid_is_not_paid_twice(
    fake: FakeStripe, collection: PaymentCollection, paid: PaymentSession
) -> None:
    with pytest.raises(AmountError):
        mark_payment_collection_as_paid(collection)
    collection.refresh_from_db()
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert Payment.objects.get().session_id == paid.pk
    assert len(fake.books.all("payment_intent")) == 1
