"""The shop's books, held against the fake's."""

from __future__ import annotations

from payments.models import PaymentCollection, PaymentOperation
from tests.paypal.fake import FakePayPal


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
