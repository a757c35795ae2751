"""Workers count a collection's version up too: with a lease, a look, a second sending, and whatever comes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import pytest

from payments import services
from payments.exceptions import PaymentError
from payments.models import (
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
)
from payments.states import OperationKind, OperationStatus
from payments.testing import Script, configured_provider
from payments.testing.factories import CustomerFactory
from tests.reliability import banks
from tests.reliability.afterwards import let_time_pass
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import crash_at
from tests.reliability.news import named, thoroughly
from tests.reliability.observers import HAVE_VERSIONS, Observer, observed
from tests.reliability.places import Checkpoint
from tests.reliability.verbs import VERBS, Payer, Verb

if not HAVE_VERSIONS:
    pytest.skip("collections don't count their changes yet", allow_module_level=True)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

PAYER: Final = Payer(provider_id="bank")
SOME_VERBS: Final = tuple(verb for verb in VERBS if verb.name in ("authorize", "capture", "cancel_session"))


def lose(bank: banks.Bank, verb: str, act: Callable[[], object], *, times: int = 1) -> PaymentOperation:
    """Do something whose request gets lost, so often, and return its operation."""
    bank.next(verb, *[banks.lost] * times)
    with suppress(PaymentError):
        act()
    return PaymentOperation.objects.get(status=OperationStatus.UNKNOWN)


# The reconciler


def test_lease_of_an_operation_counts(bank: banks.Bank, clock: TestClock, payment: Payment) -> None:
    operation = lose(bank, "capture", lambda: services.capture_payment(payment, amount="30.00"))
    clock.advance(timedelta(minutes=2))
    with observed(bank, payment.collection) as observer:
        bank.next("retrieve", lambda act: _see_the_lease(operation, observer, act))
        assert services.reconcile_due() == 1


def _see_the_lease(operation: PaymentOperation, observer: Observer, act: banks.Act) -> Any:
    operation.refresh_from_db()
    assert operation.lease_expires_at is not None
    assert "PaymentOperation" in observer.changes
    return act()


def test_operation_that_is_lost_track_of_counts(bank: banks.Bank, clock: TestClock, payment: Payment) -> None:
    with crash_at(Checkpoint.CLAIMED, OperationKind.CAPTURE):
        services.capture_payment(payment, amount="30.00")
    clock.advance(timedelta(minutes=3))
    bank.next("retrieve", banks.lost)
    with observed(bank, payment.collection):
        assert services.reconcile_due() == 1
    assert PaymentOperation.objects.get(kind=OperationKind.CAPTURE).status == OperationStatus.UNKNOWN


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        *((verb, banks.done) for verb in SOME_VERBS),
        *(thoroughly(verb, banks.done) for verb in VERBS if verb not in SOME_VERBS),
        *(thoroughly(verb, fault) for verb in SOME_VERBS for fault in (banks.lost, banks.refused)),
    ],
    ids=named,
)
def test_operation_that_is_sent_again_counts(
    bank: banks.Bank, clock: TestClock, db: None, verb: Verb, fault: banks.Fault
) -> None:
    collection = verb.prepare(PAYER)
    lose(bank, verb.kind, lambda: verb.run(PAYER, collection))
    bank.next(verb.kind, fault)
    clock.advance(timedelta(minutes=2))
    with observed(bank, collection):
        assert services.reconcile_due() == 1


def test_operation_that_is_looked_at_again_later_counts(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    lose(bank, "capture", lambda: services.capture_payment(payment, amount="30.00"))
    clock.advance(timedelta(minutes=2))
    bank.next("retrieve", banks.lost)
    with observed(bank, payment.collection):
        assert services.reconcile_due() == 1


def test_operation_that_the_bank_has_done_counts(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    bank.next("capture", banks.unanswered)
    with suppress(PaymentError):
        services.capture_payment(payment, amount="30.00")
    clock.advance(timedelta(minutes=2))
    with observed(bank, payment.collection):
        assert services.reconcile_due() == 1


def test_operation_that_is_left_to_a_person_counts(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    lose(bank, "capture", lambda: services.capture_payment(payment, amount="30.00"))
    bank.next("retrieve", *[banks.lost] * 6)
    with observed(bank, payment.collection):
        let_time_pass(clock)
    assert PaymentOperation.objects.get(kind=OperationKind.CAPTURE).status == OperationStatus.ATTENTION


def test_operation_that_cannot_even_be_looked_at_counts(
    bank: banks.Bank, clock: TestClock, payment: Payment
) -> None:
    lose(bank, "capture", lambda: services.capture_payment(payment, amount="30.00"))
    clock.advance(timedelta(minutes=2))
    missing = {"BACKEND": "tests.reliability.banks.MissingProvider"}
    with observed(bank, payment.collection), configured_provider("bank", missing):
        assert services.reconcile_due() == 1


@pytest.mark.parametrize("has_happened", [True, False])
@pytest.mark.parametrize(
    "verb", [verb if verb.kind == OperationKind.CAPTURE else thoroughly(verb) for verb in SOME_VERBS], ids=str
)
def test_resolution_counts(
    bank: banks.Bank, clock: TestClock, db: None, verb: Verb, has_happened: bool
) -> None:
    collection = verb.prepare(PAYER)
    lose(bank, verb.kind, lambda: verb.run(PAYER, collection))
    bank.next("retrieve", *[banks.lost] * 6)
    let_time_pass(clock)
    operation = PaymentOperation.objects.get(status=OperationStatus.ATTENTION)
    with observed(bank, collection):
        services.resolve_operation(operation, has_happened=has_happened, reason="Seen in the bank's list.")


# What happens with time


def test_sweep_counts(bank: banks.Bank, clock: TestClock, session: PaymentSession) -> None:
    PaymentSession.objects.filter(pk=session.pk).update(expires_at=session.created_at)
    with observed(bank, session.collection):
        assert services.sweep_expired().canceled == 1


def test_sweep_of_a_payment_counts(bank: banks.Bank, clock: TestClock, payment: Payment) -> None:
    Payment.objects.filter(pk=payment.pk).update(expires_at=payment.created_at)
    with observed(bank, payment.collection):
        assert services.sweep_expired().canceled == 1


def test_notice_of_a_due_installment_counts(bank: banks.Bank, collection: PaymentCollection) -> None:
    services.create_installment_plan(collection, provider_id="bank", count=3, interval="month")
    with observed(bank, collection):
        assert services.notify_due_installments() == 1


@pytest.mark.parametrize("has_account", [True, False])
def test_charge_of_a_due_installment_counts(
    bank: banks.Bank, collection: PaymentCollection, script: Script, has_account: bool
) -> None:
    customer = CustomerFactory.create()
    PaymentCollection.objects.filter(pk=collection.pk).update(customer=customer)
    if has_account:
        services.create_account_holder(customer, provider_id="scripted")
    services.create_installment_plan(
        collection, provider_id="scripted", count=3, interval="month", is_automatic=True
    )
    with observed(bank, collection):
        assert services.charge_due_installments() == 1
    last = "session.authorized" if has_account else "session.not_charged"
    assert collection.events.filter(type=last).exists()
