"""What a clerk has done in Stripe's dashboard, or the payer's browser with Stripe, before the shop has heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.test import Client

from payments.exceptions import AmountError, DeclinedError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.services import (
    cancel_payment_session,
    create_payment_session,
    mark_payment_collection_as_paid,
    sync_payment_session,
)
from payments.states import OperationStatus
from payments.testing import configured_provider
from tests.stripe.conftest import BACKEND, options_for
from tests.stripe.fake import FakeStripe
from tests.stripe.test_webhooks import deliver

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


@pytest.mark.database_independent
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


def capture_more(shop: FakeStripe, payment: Payment) -> None:
    """Take 110.00 of the 100.00 that are held, which Stripe allows to some merchants."""
    intent = shop.books.objects[payment.provider_reference or ""]
    intent.update(status="succeeded", amount_received=11000, amount_capturable=0)
    shop.books.objects[intent["latest_charge"]].update(captured=True, amount_captured=11000)
    shop.books.emit("payment_intent.succeeded", intent)


@pytest.mark.parametrize("is_told", [True, pytest.param(False, marks=pytest.mark.database_independent)])
def test_a_capture_of_more_than_was_held_is_in_the_books_and_before_a_person(
    shop: FakeStripe, payment: Payment, client: Client, is_told: bool
) -> None:
    capture_more(shop, payment)
    if is_told:
        deliver(client, *shop.events("payment_intent.succeeded"))
    else:
        sync_payment_session(payment.session)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal(110), Decimal(0))
    [operation] = PaymentOperation.objects.filter(status=OperationStatus.ATTENTION)
    assert operation.detail == "captured_more_than_authorized: expected 100, reported 110"
    payment.collection.refresh_from_db()
    assert payment.collection.captured_amount == Decimal(110)


@pytest.mark.database_independent
def test_hearing_of_such_a_capture_in_both_ways_tells_of_it_once(
    shop: FakeStripe, payment: Payment, client: Client
) -> None:
    capture_more(shop, payment)
    deliver(client, *shop.events("payment_intent.succeeded"))
    sync_payment_session(payment.session)
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(110)
    assert payment.captures.count() == 1
    assert PaymentOperation.objects.filter(status=OperationStatus.ATTENTION).count() == 1


@pytest.mark.database_independent
def test_what_a_partial_capture_lets_go_is_known_with_its_first_event(
    shop: FakeStripe, payment: Payment, client: Client
) -> None:
    shop.intents.capture(payment.provider_reference or "", {"amount_to_capture": 6000})
    deliver(client, *shop.events("payment_intent.succeeded"))
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (SIXTY, FORTY)
    assert payment.capturable_amount == 0
