"""A payer may authorize what is being canceled: what is held in the end is what the books say."""

from __future__ import annotations

import pytest

from payments.models import PaymentOperation, PaymentSession
from payments.services import cancel_payment_session, sync_payment_session
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_books_agree, assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import crash_at

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def forgotten(session: PaymentSession) -> PaymentSession:
    """Return a session that its provider has canceled for a process that died of it."""
    with crash_at(Checkpoint.CALLED, OperationKind.CANCEL):
        cancel_payment_session(session)
    return session


@pytest.mark.shows(
    "A session is canceled, the process dies, and then its payer's bank authorizes it all the same",
    "The repeated answer “canceled” isn't believed: the money is held, and a person has to see to it",
)
def test_authorization_after_a_forgotten_cancelation_stays_in_the_books(
    simulator: SimulatorService, clock: TestClock, forgotten: PaymentSession
) -> None:
    simulator.authorize(simulator.intents()[0].id)
    sync_payment_session(forgotten)
    let_time_pass(clock)
    operation = PaymentOperation.objects.get(kind="cancel")
    assert (operation.status, operation.detail) == ("attention", "late_authorization")
    forgotten.refresh_from_db()
    assert forgotten.status == "authorized"
    assert_invariants(forgotten.collection)
    assert_books_agree(simulator, forgotten.collection)


@pytest.mark.shows(
    "A payer authorizes before a cancelation that got lost is sent again",
    "It isn't sent: the money stays held, and a person has to decide",
)
def test_cancelation_that_never_arrived_is_not_sent_once_the_payer_has_paid(
    simulator: SimulatorService, clock: TestClock, session: PaymentSession
) -> None:
    with crash_at(Checkpoint.CLAIMED, OperationKind.CANCEL):
        cancel_payment_session(session)
    simulator.authorize(simulator.intents()[0].id)
    sync_payment_session(session)
    let_time_pass(clock)
    session.refresh_from_db()
    assert session.status == "authorized"
    operation = PaymentOperation.objects.get(kind="cancel")
    assert (operation.status, operation.detail) == ("attention", "late_authorization")
    assert simulator.calls(operation="cancel") == []
    assert_books_agree(simulator, session.collection)


def test_provider_that_cannot_be_asked_then_is_asked_later(
    simulator: SimulatorService, clock: TestClock, forgotten: PaymentSession
) -> None:
    simulator.authorize(simulator.intents()[0].id)
    sync_payment_session(forgotten)
    simulator.script(operation="retrieve", fault="latency", seconds=0, times=1)
    simulator.script(operation="retrieve", fault="error_500_before", times=1)
    let_time_pass(clock)
    assert PaymentOperation.objects.get(kind="cancel").detail == "late_authorization"
    assert_books_agree(simulator, forgotten.collection)
