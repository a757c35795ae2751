"""What a clerk has done in PayPal's dashboard before the shop has heard of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments.exceptions import DeclinedError
from payments.models import PaymentOperation, PaymentSession
from payments.services import authorize_payment_session, cancel_payment_session
from payments.services.ledger.operations import Checkpoint
from payments.states import OperationKind
from tests.paypal.fake import FakePayPal
from tests.reliability.crashes import crash_at

pytestmark = pytest.mark.django_db(transaction=True)

SIXTY, FORTY = Decimal(60), Decimal(40)


def test_a_session_of_which_a_part_was_captured_is_not_abandoned(
    shop: FakePayPal, session: PaymentSession
) -> None:
    shop.orders.approve(session.provider_reference or "")
    with crash_at(Checkpoint.CALLED, OperationKind.AUTHORIZE):
        authorize_payment_session(session)
    operation = PaymentOperation.objects.get(kind="authorize")
    operation.mark_not_sent(code="not_sent", message="")
    operation.save()
    body = {"amount": {"currency_code": "EUR", "value": "60.00"}}
    shop.movements.capture(shop.authorization_of(session.pk).id, body)
    with pytest.raises(DeclinedError):
        cancel_payment_session(session)
    session.refresh_from_db()
    assert session.payment is not None
    assert (session.payment.amount, session.payment.captured_amount) == (Decimal(100), SIXTY)
    assert not PaymentOperation.objects.open().exists()
