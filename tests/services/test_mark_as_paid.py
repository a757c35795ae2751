"""Marking a collection as paid: what is left was settled outside of any provider."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from payments import services
from payments.exceptions import AmountError, OutcomeUnknownError
from payments.models import Payment, PaymentCollection
from tests.services.scripted import Script

pytestmark = pytest.mark.django_db


def test_unpaid_collection_is_completed_by_the_system_provider(
    collection: PaymentCollection, staff: Any
) -> None:
    services.mark_payment_collection_as_paid(collection, actor=staff, source="admin")
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    payment = Payment.objects.get()
    assert (payment.provider_id, payment.status, payment.amount) == ("system", "captured", Decimal(100))
    sources = set(collection.events.exclude(type="collection.created").values_list("source", "actor_label"))
    assert sources == {("admin", "alice")}


def test_open_sessions_are_canceled_whether_splits_or_not(
    collection: PaymentCollection, card: Script
) -> None:
    services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.create_payment_session(collection, provider_id="card")
    services.mark_payment_collection_as_paid(collection)
    assert collection.status == "completed"
    assert (
        list(collection.sessions.filter(provider="card").values_list("status", flat=True)) == ["canceled"] * 2
    )
    assert Payment.objects.get().amount == Decimal(100)


def test_installments_that_are_due_later_are_canceled(collection: PaymentCollection, card: Script) -> None:
    services.create_installment_plan(collection, provider_id="card", count=3, interval="month")
    services.mark_payment_collection_as_paid(collection)
    assert collection.status == "completed"
    assert card.verbs == []


def test_what_another_provider_holds_stays_for_its_own_capture(collection: PaymentCollection) -> None:
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.authorize_payment_session(held)
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount, collection.authorized_amount) == (
        "partially_captured",
        Decimal(40),
        Decimal(100),
    )
    assert held.payment is not None
    services.capture_payment(held.payment)
    collection.refresh_from_db()
    assert collection.status == "completed"


def test_cash_that_was_expected_is_taken_together_with_what_is_left(collection: PaymentCollection) -> None:
    cash = services.create_payment_session(collection, provider_id="system", amount="40.00")
    services.authorize_payment_session(cash)
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert sorted(Payment.objects.values_list("amount", flat=True)) == [Decimal(40), Decimal(60)]


def test_nothing_left_is_refused(payment: Payment) -> None:
    for move_on in (services.capture_payment, services.refund_payment, None):
        with pytest.raises(AmountError) as refusal:
            services.mark_payment_collection_as_paid(payment.collection)
        assert refusal.value.code == "nothing_left"
        if move_on is not None:
            move_on(payment)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("point", ["initiate", "authorize", "capture"])
def test_interrupted_marking_goes_on_when_it_is_asked_for_again(
    collection: PaymentCollection, settings: Any, wallet: Script, point: str
) -> None:
    settings.PAYMENTS = settings.PAYMENTS | {"MARK_AS_PAID_PROVIDER": "wallet"}
    wallet.will(point, MemoryError())
    with pytest.raises(OutcomeUnknownError):
        services.mark_payment_collection_as_paid(collection)
    _settle_by_hand(collection)
    services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert Payment.objects.count() == 1


def _settle_by_hand(collection: PaymentCollection) -> None:
    """Have a person find out that nothing has happened."""
    operation = collection.operations.get(status="unknown")
    operation.require_attention(detail="unresolved")
    operation.save_fields("status", "detail", "in_flight_key")
    services.resolve_operation(operation, has_happened=False, reason="Nothing on the statement.")
