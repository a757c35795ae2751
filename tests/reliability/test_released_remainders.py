"""A bank that takes a part lets go of the rest: the books say how much, whoever tells of the capture first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest

from payments.exceptions import PaymentError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.providers import SessionFact
from payments.services import (
    capture_payment,
    record_fact,
    sync_payment_session,
)
from payments.states import OperationKind, OperationStatus, PaymentStatus
from tests.reliability import banks
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_invariants, event_count
from tests.reliability.clocks import TestClock
from tests.reliability.news import thoroughly

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]


@pytest.fixture
def bank() -> Iterator[banks.Bank]:
    """Return a bank that lets go of what a capture leaves."""
    with banks.open_bank(lets_go=True) as bank:
        yield bank


def by_its_operation(bank: banks.Bank, session: PaymentSession) -> SessionFact:
    """Return the report of the capture alone, as ours."""
    movements = bank.fact(session).movements
    return SessionFact(currency_code="eur", movements=movements)


def by_its_total(bank: banks.Bank, session: PaymentSession) -> SessionFact:
    """Return the report of how much was captured in all."""
    return SessionFact(currency_code="eur", captured_amount=bank.of(session).captured)


def by_both(bank: banks.Bank, session: PaymentSession) -> SessionFact:
    """Return the report of the capture, and of the total."""
    return replace(by_its_total(bank, session), movements=bank.fact(session).movements)


def by_all_that_is_known(bank: banks.Bank, session: PaymentSession) -> SessionFact:
    """Return the report of all that the bank knows, also of what it let go of."""
    return bank.fact(session)


REPORTS: Final = (by_its_operation, by_its_total, by_both, by_all_that_is_known)

Report = Callable[[banks.Bank, PaymentSession], SessionFact]


def assert_over(bank: banks.Bank, payment: Payment, *, captured: str) -> None:
    """See that books and bank have captured this much of 100.00, and that nothing is held or open any more."""
    payment.refresh_from_db()
    released = Decimal(100) - Decimal(captured)
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal(captured), released)
    assert payment.capturable_amount == 0
    assert payment.status == PaymentStatus.CAPTURED
    assert bank.of(payment.session).released == released
    bank.assert_agrees(payment.collection)
    assert_invariants(payment.collection)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.shows(
    "A bank takes 40.00 of 100.00 and lets go of the rest, and an event tells of the capture before the answer",
    "60.00 are released in the books too: nothing can be captured of what is gone",
)
@pytest.mark.parametrize("times", [2, thoroughly(1)])
@pytest.mark.parametrize("report", REPORTS)
def test_remainder_is_released_when_an_event_comes_before_the_answer(
    bank: banks.Bank, payment: Payment, report: Report, times: int
) -> None:
    def tell() -> None:
        for _each in range(times):
            record_fact(payment.session, report(bank, payment.session), origin=banks.WEBHOOK)

    bank.next("capture", banks.before_answering(tell))
    capture_payment(payment, amount="40.00")
    assert_over(bank, payment, captured="40.00")
    assert event_count(payment.collection, "payment.captured") == 1
    assert event_count(payment.collection, "payment.released") == 1


@pytest.mark.parametrize("report", [by_its_operation, by_all_that_is_known])
def test_remainder_is_released_once_when_the_answer_comes_before_the_event(
    bank: banks.Bank, payment: Payment, report: Report
) -> None:
    capture_payment(payment, amount="40.00")
    for _each in range(2):
        record_fact(payment.session, report(bank, payment.session), origin=banks.WEBHOOK)
    assert_over(bank, payment, captured="40.00")
    assert event_count(payment.collection, "payment.captured") == 1
    assert event_count(payment.collection, "payment.released") == 1


@pytest.mark.shows(
    "A last part is captured, the bank lets go of what is left, and an event tells of it before the answer",
    "What is released is what neither part has taken",
)
@pytest.mark.parametrize("report", REPORTS)
def test_remainder_after_several_captures_is_what_none_of_them_has_taken(
    bank: banks.Bank, payment: Payment, report: Report
) -> None:
    bank.lets_go = False
    capture_payment(payment, amount="30.00")
    bank.lets_go = True
    bank.next(
        "capture",
        banks.before_answering(
            lambda: record_fact(payment.session, report(bank, payment.session), origin=banks.WEBHOOK)
        ),
    )
    capture_payment(payment, amount="50.00")
    assert_over(bank, payment, captured="80.00")
    assert event_count(payment.collection, "payment.captured") == 2


def test_remainder_is_what_a_capture_at_the_bank_itself_has_left_too(
    bank: banks.Bank, payment: Payment
) -> None:
    def tell() -> None:
        record_fact(payment.session, by_both(bank, payment.session), origin=banks.WEBHOOK)

    bank.take(payment.session, "10.00")
    bank.next("capture", banks.before_answering(tell))
    capture_payment(payment, amount="40.00")
    assert_over(bank, payment, captured="50.00")


@pytest.mark.shows(
    "The answer to a capture that lets go of the rest never comes",
    "The reconciler asks, and the books say what was captured and what was released",
)
def test_remainder_is_released_when_the_answer_never_comes(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    bank.next("capture", banks.unanswered)
    with pytest.raises(PaymentError):
        capture_payment(payment, amount="40.00")
    let_time_pass(clock)
    assert_over(bank, payment, captured="40.00")


def test_remainder_is_released_when_an_event_outruns_a_capture_sent_again(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    def tell() -> None:
        record_fact(payment.session, by_its_operation(bank, payment.session), origin=banks.WEBHOOK)

    bank.next("capture", banks.lost, banks.before_answering(tell))
    with pytest.raises(PaymentError):
        capture_payment(payment, amount="40.00")
    let_time_pass(clock)
    assert_over(bank, payment, captured="40.00")


@pytest.mark.shows(
    "A first capture was made and its answer got lost, and a second one lets go of the rest",
    "The first isn't counted as released: both are in the books, and nobody is needed",
)
def test_remainder_is_not_what_a_capture_in_doubt_may_have_taken(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    bank.lets_go = False
    bank.next("capture", banks.unanswered)
    with pytest.raises(PaymentError):
        capture_payment(payment, amount="20.00")
    bank.lets_go = True
    capture_payment(payment, amount="40.00")
    let_time_pass(clock)
    assert_over(bank, payment, captured="60.00")
    assert event_count(payment.collection, "fact.discrepancy") == 0


def test_remainder_of_a_capture_in_doubt_that_came_to_nothing_is_released(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    bank.next("capture", banks.lost)
    with pytest.raises(PaymentError):
        capture_payment(payment, amount="20.00")
    capture_payment(payment, amount="40.00")
    sync_payment_session(payment.session)
    let_time_pass(clock)
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.canceled_amount) == (Decimal(40), Decimal(60))
    bank.assert_agrees(payment.collection)
    doubtful = payment.session.operations.filter(kind=OperationKind.CAPTURE).order_by("created_at", "id")[0]
    assert doubtful.status in (OperationStatus.ATTENTION, OperationStatus.DECLINED)
