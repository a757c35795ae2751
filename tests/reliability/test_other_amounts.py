"""A bank that does less than it was asked, and says so: a person decides, and then the books have the bank's amount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.providers import SessionFact
from payments.services import (
    capture_payment,
    record_fact,
    refund_payment,
    resolve_operation,
    sync_payment_session,
)
from payments.states import MovementStatus, OperationStatus
from tests.reliability.banks import WEBHOOK, Act, Bank
from tests.reliability.books import assert_invariants

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]


def half_done(bank: Bank, session: PaymentSession, verb: str) -> Callable[[Act], Any]:
    """Have the bank do half of what it is asked, and answer with that amount."""

    def fault(act: Act) -> Any:
        result = act()
        rows = bank.of(session).captures if verb == "capture" else bank.of(session).refunds
        rows[-1].amount /= 2
        return replace(result, amount=rows[-1].amount)

    return fault


def by_total(fact: SessionFact) -> SessionFact:
    """Return a report as a bank makes it that knows totals only."""
    return replace(fact, movements=())


def by_reference(fact: SessionFact) -> SessionFact:
    """Return a report as a bank makes it that doesn't keep our references."""
    return replace(fact, movements=tuple(replace(row, operation_id=None) for row in fact.movements))


def by_operation(fact: SessionFact) -> SessionFact:
    """Return a report as a bank makes it that keeps our references."""
    return fact


REPORTS: Final = (by_total, by_reference, by_operation)


@pytest.mark.shows(
    "A bank captures or refunds half of what it was asked, a person calls that “not done”, and the bank is asked again",
    "The books have the bank's amount, and nobody is needed any more",
)
@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("verb", ["capture", "refund"])
def test_half_of_what_was_asked_is_booked_after_it_was_resolved_as_not_done(
    bank: Bank, payment: Payment, verb: str, report: Callable[[SessionFact], SessionFact]
) -> None:
    if verb == "refund":
        capture_payment(payment)
    bank.next(verb, half_done(bank, payment.session, verb))
    with pytest.raises(OutcomeUnknownError):
        (capture_payment if verb == "capture" else refund_payment)(payment, amount="40.00")
    (operation,) = PaymentOperation.objects.open()
    assert operation.detail.startswith(f"{verb}_amount_mismatch: expected 40, reported 20 ")
    resolve_operation(operation, has_happened=False, reason="Only a half of it was done.")
    bank.next("retrieve", lambda act: replace(act(), fact=report(act().fact)))
    sync_payment_session(payment.session)
    payment.refresh_from_db()
    captured, refunded = (20, 0) if verb == "capture" else (100, 20)
    assert payment.captured_amount == captured
    assert payment.refunded_amount == refunded
    bank.assert_agrees(payment.collection)
    assert_invariants(payment.collection)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.parametrize("verb", ["capture", "refund"])
def test_half_of_what_was_asked_keeps_the_whole_reserved_until_a_decision(
    bank: Bank, payment: Payment, verb: str
) -> None:
    if verb == "refund":
        capture_payment(payment)
    bank.next(verb, half_done(bank, payment.session, verb))
    with pytest.raises(OutcomeUnknownError):
        (capture_payment if verb == "capture" else refund_payment)(payment, amount="40.00")
    record_fact(payment.session, bank.fact(payment.session), origin=WEBHOOK)
    (operation,) = PaymentOperation.objects.open()
    assert operation.status == OperationStatus.ATTENTION
    movement = operation.capture or operation.refund
    assert movement is not None
    assert (movement.status, movement.amount) == (MovementStatus.PENDING, Decimal(40))
