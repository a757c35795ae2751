"""What a clerk has done in a payment service's dashboard before the shop has heard of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments.exceptions import DeclinedError
from payments.models import Payment, PaymentOperation
from payments.services import cancel_payment
from tests.providers.peers import PayPalPeer, Peer, StripePeer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("peer", "is_final"),
    [(StripePeer, True), (PayPalPeer, True), (PayPalPeer, False)],
    indirect=["peer"],
    ids=["Stripe", "PayPal, all that is captured", "PayPal, a part"],
)
def test_a_release_keeps_what_was_captured_in_the_dashboard(
    peer: Peer, held: Payment, is_final: bool
) -> None:
    peer.capture(held.session, "60", is_final=is_final)
    cancel_payment(held)
    held.refresh_from_db()
    assert (held.captured_amount, held.canceled_amount) == (Decimal(60), Decimal(40))
    assert held.session.status == "authorized"
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.database_independent
def test_a_payment_that_was_captured_in_the_dashboard_is_not_released(peer: Peer, held: Payment) -> None:
    peer.capture(held.session)
    with pytest.raises(DeclinedError):
        cancel_payment(held)
    held.refresh_from_db()
    assert (held.captured_amount, held.canceled_amount) == (Decimal(100), Decimal(0))
    assert not PaymentOperation.objects.open().exists()
