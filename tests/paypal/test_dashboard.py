"""What a clerk has done in PayPal's dashboard before the shop has heard of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments.exceptions import DeclinedError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.services import authorize_payment_session, cancel_payment, cancel_payment_session
from payments.services.ledger.operations import Checkpoint
from payments.states import OperationKind
from tests.paypal.fake import FakePayPal
from tests.reliability.crashes import crash_at

pytestmark = pytest.mark.django_db(transaction=True)

SIXTY, FORTY = Decimal(60), Decimal(40)


@pytest.mark.parametrize("is_final", [True, False], ids=["all that is captured", "a part"])
def test_a_release_keeps_what_was_captured_in_the_dashboard(
    shop: FakePayPal, payment: Payment, is_final: bool
) -> None:
    body = {"amount": {"currency_code": "EUR", "value": "60.00"}, "final_capture": is_final}
    shop.movements.capture(shop.authorization_of(payment.session_id).id, body)
    cancel_payment(payment)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (SIXTY, FORTY)
    assert payment.session.status == "authorized"
    assert not PaymentOperation.objects.open().exists()


def test_a_payment_that_was_captured_in_the_dashboard_is_not_released(
    shop: FakePayPal, payment: Payment
) -> None:
    shop.movements.capture(shop.authorization_of(payment.session_id).id, {"final_capture": True})
    with pytest.raises(DeclinedError):
        cancel_payment(payment)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal(100), Decimal(0))
    assert not PaymentOperation.objects.open().exists()


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
