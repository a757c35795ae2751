"""Refunds and releases that got lost are looked at again before they are sent: they may not fit any more.

By then the bank may have let go of the money, somebody may have taken it, or the payer may have it back. A capture is
left to the bank, which takes no more than it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from payments.models import Payment, PaymentOperation, PaymentSession
from payments.services import cancel_payment, capture_payment, refund_payment
from payments.states import MovementStatus, OperationKind, OperationStatus
from tests.reliability.afterwards import let_time_pass
from tests.reliability.banks import Bank, lost
from tests.reliability.books import assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.news import (
    Learn,
    assert_left_to_a_person,
    by_an_event,
    by_asking,
    by_the_reconciler_itself,
    named,
    only,
    thoroughly,
    try_to,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

Happen = Callable[[Bank, PaymentSession], None]


def _released(bank: Bank, session: PaymentSession) -> None:
    bank.let_go(session)


def _half_released(bank: Bank, session: PaymentSession) -> None:
    bank.let_go(session, "50.00")


def _captured_elsewhere(bank: Bank, session: PaymentSession) -> None:
    bank.take(session, "50.00")


@pytest.mark.shows(
    "A capture got lost, and before it is sent again the bank has let go of the money, or somebody has taken it",
    "The bank refuses: nothing is taken that was let go of, and what was reserved is free",
)
@pytest.mark.parametrize(
    ("happen", "learn"),
    [
        (_half_released, by_an_event),
        (_captured_elsewhere, by_an_event),
        (_released, by_the_reconciler_itself),
        thoroughly(_released, by_an_event),
        thoroughly(_released, by_asking),
    ],
    ids=named,
)
def test_lost_capture_is_refused_once_less_is_held(
    bank: Bank,
    clock: TestClock,
    payment: Payment,
    happen: Happen,
    learn: Learn,
) -> None:
    bank.next("capture", lost)
    try_to(lambda: capture_payment(payment, amount="60.00"))
    happen(bank, payment.session)
    learn(bank, payment.session)
    let_time_pass(clock)
    operation = only(payment.session, OperationKind.CAPTURE)
    assert operation.status == OperationStatus.DECLINED
    assert operation.capture is not None
    assert operation.capture.status == MovementStatus.FAILED
    bank.assert_agrees(payment.collection)
    assert_invariants(payment.collection)


def test_lost_capture_is_sent_again_while_enough_is_held(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    bank.next("capture", lost)
    try_to(lambda: capture_payment(payment, amount="60.00"))
    bank.let_go(payment.session, "40.00")
    bank.tell(payment.session)
    let_time_pass(clock)
    assert len(bank.requests("capture")) == 2
    assert bank.of(payment.session).captured == 60
    bank.assert_agrees(payment.collection)
    assert not PaymentOperation.objects.open().exists()


def _charged_back(bank: Bank, session: PaymentSession) -> None:
    bank.of(session).charged_back = Decimal(100)


def _refunded_elsewhere(bank: Bank, session: PaymentSession) -> None:
    bank.give_back(session, "50.00")


@pytest.mark.shows(
    "A refund got lost, and before it is sent again the payer has their money back in another way",
    "It isn't sent: nobody gets their money twice, and a person decides",
)
@pytest.mark.parametrize(
    ("happen", "learn"),
    [
        (_refunded_elsewhere, by_an_event),
        (_charged_back, by_the_reconciler_itself),
        thoroughly(_charged_back, by_an_event),
        thoroughly(_charged_back, by_asking),
    ],
    ids=named,
)
def test_lost_refund_is_not_sent_again_once_the_payer_has_the_money_back(
    bank: Bank,
    clock: TestClock,
    payment: Payment,
    happen: Happen,
    learn: Learn,
) -> None:
    capture_payment(payment)
    bank.next("refund", lost)
    try_to(lambda: refund_payment(payment, amount="60.00"))
    happen(bank, payment.session)
    learn(bank, payment.session)
    let_time_pass(clock)
    assert len(bank.requests("refund")) == 1
    operation = only(payment.session, OperationKind.REFUND)
    assert_left_to_a_person(operation)
    assert operation.refund is not None
    assert operation.refund.status == MovementStatus.PENDING
    bank.assert_agrees(payment.collection)


@pytest.mark.parametrize("learn", [by_an_event, by_the_reconciler_itself], ids=named)
def test_lost_release_is_not_sent_again_once_everything_is_captured(
    bank: Bank, clock: TestClock, payment: Payment, learn: Learn
) -> None:
    bank.next("cancel", lost)
    try_to(lambda: cancel_payment(payment))
    bank.take(payment.session, "100.00")
    learn(bank, payment.session)
    let_time_pass(clock)
    assert len(bank.requests("cancel")) == 1
    assert_left_to_a_person(only(payment.session, OperationKind.CANCEL))
    payment.refresh_from_db()
    assert payment.captured_amount == 100
    bank.assert_agrees(payment.collection)


def test_lost_release_is_sent_again_while_something_is_held(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    bank.next("cancel", lost)
    try_to(lambda: cancel_payment(payment))
    bank.take(payment.session, "40.00")
    bank.tell(payment.session)
    let_time_pass(clock)
    assert len(bank.requests("cancel")) == 2
    assert bank.of(payment.session).captured == 40
    assert bank.of(payment.session).released == 60
    bank.assert_agrees(payment.collection)
    assert not PaymentOperation.objects.open().exists()
