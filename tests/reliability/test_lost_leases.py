"""Who has lost a lease leaves what it was for to whoever has it now, and writes nothing over what they found out.

Only a success is always recorded: money that has moved has moved, whoever hears of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from payments.exceptions import DeclinedError, PaymentError
from payments.models import (
    Payment,
    PaymentOperation,
    PaymentSession,
)
from payments.providers import CaptureResult, MovementFact, SessionFact
from payments.services import (
    cancel_payment_session,
    capture_payment,
    reconcile_due,
    sync_payment_session,
)
from payments.states import (
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
)
from tests.reliability import banks
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.pauses import Pause, row_of, working
from tests.threads import aside, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bank")]

NAP: Final = timedelta(minutes=3)
"""Longer than a lease."""


def lose_cancelation(bank: banks.Bank, session: PaymentSession) -> PaymentOperation:
    """Return an operation that got lost, and that a reconciler will look after soon."""
    bank.next("cancel", banks.lost)
    with suppress(PaymentError):
        cancel_payment_session(session)
    return session.operations.get(kind=OperationKind.CANCEL)


# Operations, among reconcilers


@pytest.mark.shows(
    "A reconciler waits so long for the bank that another takes over, and then it gets no answer",
    "It leaves the operation, and the other's lease, as they are",
)
@pytest.mark.parametrize("owners", [("a", "b"), ("a", "a")], ids=["another", "one of the same name"])
def test_reconciler_that_lost_its_lease_reschedules_nothing(
    bank: banks.Bank, clock: TestClock, session: PaymentSession, owners: tuple[str, str]
) -> None:
    operation = lose_cancelation(bank, session)
    clock.advance(NAP)
    slow, busy = Pause(), Pause()
    bank.next("retrieve", slow.in_vain, busy)
    first, second = owners
    with working(lambda: reconcile_due(owner=first), slow) as thread:
        slow.is_there()
        clock.advance(NAP)
        with working(lambda: reconcile_due(owner=second), busy):
            busy.is_there()
            before = row_of(operation)
            slow.go_on()
            wait_for([thread])
            assert row_of(operation) == before
            assert before["lease_owner"].startswith(second)
    session.refresh_from_db()
    assert session.status == SessionStatus.CANCELED
    assert len(bank.requests("cancel")) == 2


@pytest.mark.shows(
    "A reconciler is slow with one operation; another of the same name takes over the rest, and is at it",
    "It leaves what the other is at to the other: the bank is asked once",
)
@pytest.mark.parametrize("owners", [("a", "b"), ("a", "a")], ids=["another", "one of the same name"])
def test_reconciler_leaves_alone_what_another_is_at(
    bank: banks.Bank, clock: TestClock, session: PaymentSession, owners: tuple[str, str]
) -> None:
    lose_cancelation(bank, session)
    other = banks.open_session(banks.open_collection())
    lose_cancelation(bank, other)
    clock.advance(NAP)
    slow, busy = Pause(), Pause()

    def answer_at_once(act: banks.Act) -> Any:
        return act()

    bank.next("retrieve", slow, answer_at_once, busy)
    first, second = owners
    with working(lambda: reconcile_due(owner=first), slow) as thread:
        slow.is_there()
        clock.advance(NAP)
        with working(lambda: reconcile_due(owner=second), busy):
            busy.is_there()
            slow.go_on()
            wait_for([thread])
    assert [len(bank.requests("cancel", row)) for row in (session, other)] == [2, 2]
    assert len(bank.requests("retrieve", other)) == 2  # Before it was canceled, and after.
    assert not PaymentOperation.objects.open().exists()


def pending(bank: banks.Bank, session: PaymentSession) -> SessionFact:
    """Return the report that the bank has a capture and hasn't decided on it."""
    operation = PaymentOperation.objects.get(session=session, kind=OperationKind.CAPTURE)
    movement = MovementFact(
        kind=MovementKind.CAPTURE,
        status=MovementStatus.PENDING,
        amount=operation.amount,
        currency_code="eur",
        operation_id=operation.pk,
        provider_reference="capture_1",
    )
    return replace(bank.fact(session), captured_amount=None, movements=(movement,))


def telling_that_it_is_pending(bank: banks.Bank, session: PaymentSession) -> banks.Fault:
    """Have the bank say, when it is asked, that a capture is pending."""
    return lambda act: replace(act(), fact=pending(bank, session))


def by_its_caller(bank: banks.Bank, clock: TestClock, payment: Payment, fault: banks.Fault) -> None:
    """Capture 30.00 while something happens to the request."""
    bank.next("capture", fault)
    with suppress(PaymentError):
        capture_payment(payment, amount="30.00")


def by_a_reconciler(bank: banks.Bank, clock: TestClock, payment: Payment, fault: banks.Fault) -> None:
    """Have a reconciler send a lost capture of 30.00 again while something happens to the request."""
    bank.next("capture", banks.lost, fault)
    with suppress(PaymentError):
        capture_payment(payment, amount="30.00")
    clock.advance(NAP)
    reconcile_due()


Send = Callable[[banks.Bank, TestClock, Payment, banks.Fault], None]

every_sender = pytest.mark.parametrize("send", [by_its_caller, by_a_reconciler])


@pytest.mark.shows(
    "Who sends a capture waits for ever and gets no answer; meanwhile a reconciler hears that it is pending",
    "It stays pending, and is looked at when the reconciler said",
)
@every_sender
def test_lost_answer_is_not_written_over_what_another_has_found_out(
    bank: banks.Bank, clock: TestClock, payment: Payment, send: Send
) -> None:
    found: list[dict[str, Any]] = []

    def find_out() -> None:
        clock.advance(NAP)
        bank.next("retrieve", telling_that_it_is_pending(bank, payment.session))
        assert aside(reconcile_due) == 1
        found.append(row_of(PaymentOperation.objects.get(kind=OperationKind.CAPTURE)))
        raise TimeoutError

    send(bank, clock, payment, banks.before_answering(find_out))
    operation = PaymentOperation.objects.get(kind=OperationKind.CAPTURE)
    assert operation.status == OperationStatus.PENDING
    assert [row_of(operation)] == found
    let_time_pass(clock)
    payment.refresh_from_db()
    assert payment.captured_amount == 30
    bank.assert_agrees(payment.collection)


@pytest.mark.shows(
    "Who sends a capture is refused after minutes; meanwhile a reconciler has sent it again, and the bank has taken it",
    "The late refusal frees nothing: the capture is found, and nobody captures the same again",
)
@every_sender
def test_late_refusal_is_not_written_over_what_another_has_sent(
    bank: banks.Bank, clock: TestClock, payment: Payment, send: Send
) -> None:
    def be_late(act: banks.Act) -> Any:
        clock.advance(NAP)
        bank.next("capture", banks.unanswered)
        assert aside(reconcile_due) == 1
        bank.next("retrieve", banks.lost)  # so that nobody finds out at once
        raise DeclinedError("Another request with this key is under way.", code="conflict")

    send(bank, clock, payment, be_late)
    operation = PaymentOperation.objects.get(kind=OperationKind.CAPTURE)
    assert operation.status == OperationStatus.UNKNOWN
    assert operation.capture is not None
    assert operation.capture.status == MovementStatus.PENDING
    let_time_pass(clock)
    payment.refresh_from_db()
    assert bank.of(payment.session).captured == payment.captured_amount == 30
    bank.assert_agrees(payment.collection)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.shows(
    "Who sends a capture is refused after minutes; meanwhile a reconciler has sent it again, and the bank waits",
    "The late refusal frees nothing: the capture stays pending",
)
@every_sender
def test_late_refusal_is_not_written_over_what_the_bank_has_accepted(
    bank: banks.Bank, clock: TestClock, payment: Payment, send: Send
) -> None:
    def think_it_over(act: banks.Act) -> Any:
        return CaptureResult(outcome=Outcome.PENDING, amount=Decimal(30), currency_code="eur")

    def be_late(act: banks.Act) -> Any:
        clock.advance(NAP)
        bank.next("capture", think_it_over)
        assert aside(reconcile_due) == 1
        raise DeclinedError("Another request with this key is under way.", code="conflict")

    send(bank, clock, payment, be_late)
    operation = PaymentOperation.objects.get(kind=OperationKind.CAPTURE)
    assert operation.status == OperationStatus.PENDING
    assert operation.capture is not None
    assert operation.capture.status == MovementStatus.PENDING
    payment.refresh_from_db()
    with pytest.raises(PaymentError):
        capture_payment(payment, amount="100.00")
    assert_invariants(payment.collection)


@pytest.mark.shows(
    "Who sends a capture is told after minutes that it was made; meanwhile a reconciler was refused",
    "It is in the books: money that has moved has moved",
)
@every_sender
def test_late_success_is_recorded_whoever_has_the_lease(
    bank: banks.Bank, clock: TestClock, payment: Payment, send: Send
) -> None:
    def be_late(act: banks.Act) -> Any:
        def refuse(other: banks.Act) -> Any:
            raise DeclinedError("Another request with this key is under way.", code="conflict")

        clock.advance(NAP)
        bank.next("capture", refuse)
        assert aside(reconcile_due) == 1
        return act()

    send(bank, clock, payment, be_late)
    sync_payment_session(payment.session)
    payment.refresh_from_db()
    assert bank.of(payment.session).captured == payment.captured_amount == 30
    bank.assert_agrees(payment.collection)
    assert not PaymentOperation.objects.open().exists()
