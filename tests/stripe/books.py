"""The shop's books, held against the fake's."""

from __future__ import annotations

from payments.models import PaymentCollection, PaymentOperation
from tests.stripe.fake import FakeStripe


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
