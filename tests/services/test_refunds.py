"""Refunding a payment: whole, in parts, with a reason, and when the provider doesn't answer."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import (
    AmountError,
    DeclinedError,
    NotSupportedError,
    OperationInProgressError,
    OutcomeUnknownError,
)
from payments.models import Payment, PaymentSession, Refund, RefundReason
from payments.providers import RefundResult
from payments.states import MovementKind
from payments.testing import Script
from tests.services.facts import WEBHOOK, moved
from tests.services.results import authorized, declined

pytestmark = pytest.mark.django_db


def test_refund_without_amount_gives_back_all_that_is_left(captured: Payment, card: Script) -> None:
    services.refund_payment(captured, amount="15.00")
    assert (captured.status, captured.refunded_amount) == ("partially_refunded", Decimal(15))
    captured.collection.refresh_from_db()
    assert (captured.collection.status, captured.collection.refunded_amount) == ("completed", Decimal(15))
    services.refund_payment(captured)
    assert (captured.status, captured.refunded_amount) == ("refunded", Decimal(100))
    assert [request.amount for request in card.requests("refund")] == [Decimal(15), Decimal(85)]


def test_fully_refunded_collection_does_not_stay_completed(captured: Payment) -> None:
    services.refund_payment(captured)
    captured.collection.refresh_from_db()
    assert (captured.collection.status, captured.collection.is_fully_refunded) == ("canceled", True)
    assert (captured.collection.completed_at, captured.collection.is_canceled) == (None, False)


def test_partly_paid_collection_can_still_be_paid_after_a_refund(
    session: PaymentSession, card: Script
) -> None:
    card.next("authorize", authorized("60.00"))
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.refund_payment(services.capture_payment(payment))
    collection = payment.collection
    collection.refresh_from_db()
    assert (collection.status, collection.refunded_amount) == ("partially_captured", Decimal(60))
    assert services.create_payment_session(collection, provider_id="wallet").amount == Decimal(40)
    services.cancel_payment_collection(collection)
    assert collection.status == "canceled"


def test_parts_add_up_exactly(captured: Payment) -> None:
    for amount in ("33.33", "33.33", "33.33", "0.01"):
        services.refund_payment(captured, amount=amount)
    assert captured.refunded_amount == Decimal(100)


def test_reason_and_note_are_kept_and_the_provider_is_told_why(captured: Payment, card: Script) -> None:
    reason = RefundReason.objects.create(label="Damaged")
    services.refund_payment(captured, amount="15.00", reason=reason, note="A scratch on the lid.")
    refund = captured.refunds.get()
    assert (refund.reason, refund.note, refund.status) == (reason, "A scratch on the lid.", "succeeded")
    (request,) = card.requests("refund")
    assert (request.reason, request.payment_id, request.refund_id) == ("Damaged", captured.pk, refund.pk)


def test_only_captured_money_can_be_refunded(payment: Payment, card: Script) -> None:
    with pytest.raises(AmountError) as refusal:
        services.refund_payment(payment)
    assert (refusal.value.code, refusal.value.field) == ("nothing_left", "amount")
    services.capture_payment(payment, amount="60.00")
    with pytest.raises(AmountError) as refusal:
        services.refund_payment(payment, amount="60.01")
    assert refusal.value.code == "exceeds_remaining"
    services.refund_payment(payment, amount="60.00")
    assert (payment.status, payment.capturable_amount) == ("partially_refunded", Decimal(40))
    services.capture_payment(payment)
    services.refund_payment(payment)
    assert payment.status == "refunded"
    assert len(card.requests("refund")) == 2


def test_canceled_payment_has_nothing_to_refund(payment: Payment) -> None:
    services.cancel_payment(payment)
    with pytest.raises(AmountError) as refusal:
        services.refund_payment(payment)
    assert refusal.value.code == "nothing_left"


def test_refund_of_unknown_outcome_keeps_its_amount(captured: Payment, card: Script) -> None:
    card.next("refund", TimeoutError())
    with pytest.raises(OutcomeUnknownError) as unknown:
        services.refund_payment(captured, amount="60.00")
    refund = captured.refunds.get()
    assert (refund.status, unknown.value.operation_id) == ("pending", refund.operations.get().pk)
    with pytest.raises(OperationInProgressError):
        services.refund_payment(captured, amount="60.00")
    services.refund_payment(captured)
    assert captured.refunded_amount == Decimal(40)


def test_declined_refund_frees_its_amount(captured: Payment, card: Script) -> None:
    card.next("refund", declined(RefundResult, "account_closed"))
    with pytest.raises(DeclinedError) as refusal:
        services.refund_payment(captured, amount="60.00")
    assert refusal.value.code == "account_closed"
    assert Refund.objects.get().status == "failed"
    assert services.refund_payment(captured).status == "refunded"


def test_declined_refund_of_which_a_part_went_back_is_in_the_books_at_once(
    captured: Payment, card: Script
) -> None:
    part = moved(MovementKind.REFUND, "40.00", provider_reference="re_1")
    card.next("refund", replace(declined(RefundResult, "refunded_in_part"), fact=part))
    with pytest.raises(DeclinedError) as refusal:
        services.refund_payment(captured)
    assert refusal.value.code == "refunded_in_part"
    rows = Refund.objects.order_by("pk").values_list("status", "amount", "provider_reference")
    assert list(rows) == [("failed", Decimal(100), None), ("succeeded", Decimal(40), "re_1")]
    captured.refresh_from_db()
    assert captured.refunded_amount == Decimal(40)
    services.record_fact(captured.session, part, origin=WEBHOOK)
    assert services.refund_payment(captured, amount="60.00").status == "refunded"


def test_provider_that_cannot_refund_says_so(captured: Payment, card: Script) -> None:
    card.lacks.add("refund")
    with pytest.raises(NotSupportedError):
        services.refund_payment(captured)
    assert not Refund.objects.exists()


def test_provider_that_only_refunds_the_whole(captured: Payment, card: Script) -> None:
    card.lacks.add("partial_refund")
    with pytest.raises(NotSupportedError) as refusal:
        services.refund_payment(captured, amount="60.00")
    assert refusal.value.field == "amount"
    assert services.refund_payment(captured).status == "refunded"
