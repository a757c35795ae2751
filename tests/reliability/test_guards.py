"""The guards that everything else leans on, each tried alone: take one away, and its test fails (mutations.py does)."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connections

from payments.exceptions import AmountError, OperationInProgressError
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, WebhookEvent
from payments.services import authorize_payment_session, capture_payment
from payments.services.ledger.operations import Checkpoint, watching
from payments.simulator import SimulatorService
from tests.reliability.books import assert_books_agree, assert_invariants
from tests.reliability.operators import deliver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.shows(
    "A second capture is asked for while the first is being claimed and not committed yet",
    "It waits for the collection's lock, and then sees what the first has reserved",
)
def test_second_claim_waits_for_the_first(simulator: SimulatorService, payment: Payment) -> None:
    claiming, may_commit = threading.Event(), threading.Event()

    def hold_the_first(point: Checkpoint, operation: PaymentOperation) -> None:
        if point == Checkpoint.CLAIMING and not claiming.is_set():
            claiming.set()
            assert may_commit.wait(timeout=30)

    errors: list[Exception] = []

    def capture() -> None:
        try:
            capture_payment(Payment.objects.get(pk=payment.pk), amount="60.00")
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)
        finally:
            connections.close_all()

    first, second = threading.Thread(target=capture), threading.Thread(target=capture)
    with watching(hold_the_first):
        first.start()
        assert claiming.wait(timeout=30)
        second.start()
        # Long enough for the second to get past a lock that isn't there.
        second.join(timeout=0.5)
        may_commit.set()
        first.join(timeout=30)
        second.join(timeout=30)
    # The first may be under way or done by the time the second gets the lock.
    assert [type(error) in (OperationInProgressError, AmountError) for error in errors] == [True]
    assert [row.amount for row in Capture.objects.all()] == [60]
    assert_invariants(payment.collection)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "The provider delivers one event twice", "It is stored and applied once, and both are answered"
)
def test_event_delivered_twice_is_stored_once(simulator: SimulatorService, session: PaymentSession) -> None:
    authorize_payment_session(session)
    [event] = simulator.events()
    deliver(simulator, event)
    deliver(simulator, event)
    assert WebhookEvent.objects.count() == 1


@pytest.mark.shows(
    "Two operations of one kind on one row, past every check", "The database itself refuses the second"
)
def test_database_allows_one_open_operation_of_a_kind(payment: Payment) -> None:
    rows = [
        PaymentOperation(
            kind="cancel",
            target_id=payment.pk,
            collection=payment.collection,
            session=payment.session,
            payment=payment,
            provider=payment.provider,
            amount=payment.amount,
        )
        for number in range(2)
    ]
    rows[0].save(force_insert=True)
    with pytest.raises(IntegrityError):
        rows[1].save(force_insert=True)
