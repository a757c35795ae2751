"""What was not authorized or captured in time is canceled, once, and what the provider says about it wins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from payments import signals
from payments.exceptions import DeclinedError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_session,
    sweep_expired,
    sync_payment_session,
)
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_books_agree, assert_invariants, event_count
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import crash_at

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def expired(clock: TestClock, session: PaymentSession) -> PaymentSession:
    """Return a session that nobody authorized in time."""
    PaymentSession.objects.update(expires_at=clock.now() + HOUR / 2)
    clock.advance(HOUR)
    session.refresh_from_db()
    return session


@pytest.fixture
def overdue(clock: TestClock, payment: Payment) -> Payment:
    """Return a payment of which 40.00 were captured in time, and 60.00 not."""
    capture_payment(payment, amount="40.00")
    Payment.objects.update(expires_at=clock.now() + HOUR / 2)
    clock.advance(HOUR)
    payment.refresh_from_db()
    return payment


def assert_expired(service: SimulatorService, session: PaymentSession) -> None:
    """Make sure that a session is canceled on both sides, and that one event says that it expired."""
    session.refresh_from_db()
    assert session.status == "canceled"
    assert event_count(session.collection, "session.expired") == 1
    assert event_count(session.collection, "session.canceled") == 1
    assert not PaymentOperation.objects.open().exists()
    assert service.intents()[0].status == "canceled"
    assert_invariants(session.collection)
    assert_books_agree(service, session.collection)


@pytest.mark.shows(
    "A session is not authorized in time", "Canceled at the provider and here, and one event says why"
)
def test_expired_session_is_canceled(simulator: SimulatorService, expired: PaymentSession) -> None:
    with pytest.raises(TransitionError) as refusal:
        authorize_payment_session(expired)
    assert refusal.value.code == "session_expired"
    assert sweep_expired().canceled == 1
    assert_expired(simulator, expired)
    assert sweep_expired().canceled == 0


@pytest.mark.shows(
    "What is left of an authorization is not captured in time", "The rest is released, and one event says why"
)
def test_overdue_payment_is_released(simulator: SimulatorService, overdue: Payment) -> None:
    assert sweep_expired().canceled == 1
    overdue.refresh_from_db()
    assert (overdue.status, str(overdue.canceled_amount)) == ("captured", "60.0000")
    assert event_count(overdue.collection, "payment.expired") == 1
    assert sweep_expired().canceled == 0
    assert_books_agree(simulator, overdue.collection)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
@pytest.mark.shows(
    "The answer to the sweeper's cancelation is lost",
    "Found out later, and one event still says that it expired",
)
def test_lost_answer_to_the_sweeper_is_found_out(
    simulator: SimulatorService, clock: TestClock, expired: PaymentSession, fault: str
) -> None:
    simulator.script(operation="cancel", fault=fault)
    simulator.script(operation="retrieve", fault="error_500_before")
    assert sweep_expired().canceled == 0
    let_time_pass(clock)
    sweep_expired()
    assert_expired(simulator, expired)


@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDED])
@pytest.mark.shows(
    "The sweeper's process dies", "The next one finishes it, and one event still says that it expired"
)
def test_sweeper_that_dies_is_replaced_by_the_next(
    simulator: SimulatorService, clock: TestClock, expired: PaymentSession, point: Checkpoint
) -> None:
    with crash_at(point, OperationKind.CANCEL):
        sweep_expired()
    let_time_pass(clock)
    sweep_expired()
    assert_expired(simulator, expired)


@pytest.mark.shows("The provider can't be reached when a session expires", "It is left for the next sweep")
def test_unreachable_provider_is_left_for_the_next_sweep(
    simulator: SimulatorService, expired: PaymentSession
) -> None:
    simulator.script(operation="*", fault="rate_limited", times=2)
    assert sweep_expired().left == 1
    expired.refresh_from_db()
    assert expired.status == "pending"
    sweep_expired()
    assert_expired(simulator, expired)


@pytest.mark.shows(
    "More expired sessions can't be canceled than one sweep takes",
    "The next sweep begins with those that were not tried yet",
)
def test_sessions_that_cannot_be_canceled_keep_no_others_waiting(
    simulator: SimulatorService, clock: TestClock, collection: PaymentCollection
) -> None:
    sessions = [
        create_payment_session(collection, provider_id="simulator", amount=amount) for amount in (10, 20, 30)
    ]
    for minutes, session in enumerate(sessions, start=1):
        PaymentSession.objects.filter(pk=session.pk).update(expires_at=clock.now() + HOUR * minutes / 60)
    clock.advance(HOUR)
    simulator.script(operation="*", fault="rate_limited", times=2)
    assert (sweep_expired(limit=1).left, sweep_expired(limit=1).canceled) == (1, 1)
    assert [PaymentSession.objects.get(pk=session.pk).status for session in sessions] == [
        "pending",
        "canceled",
        "pending",
    ]
    assert sweep_expired(limit=2).canceled == 2
    assert not PaymentSession.objects.unauthorized().exists()


@pytest.mark.shows(
    "The shopper authorizes on the bank's page, nobody tells us, and the session expires",
    "The cancelation releases what is held: nothing stays held, and both sides say so",
)
def test_unnoticed_authorization_is_released_with_its_session(
    simulator: SimulatorService, clock: TestClock, session: PaymentSession
) -> None:
    authorize_payment_session(session, data={"card": "card_3ds"})
    simulator.answer_challenge(simulator.intents()[0].id)
    PaymentSession.objects.update(expires_at=clock.now() + HOUR / 2)
    clock.advance(HOUR)
    sweep_expired()
    assert_expired(simulator, session)


@pytest.mark.shows(
    "The bank authorizes after the session has expired and was canceled",
    "The payment is recorded, and a person has to see to it",
)
def test_authorization_after_expiry_is_recorded(simulator: SimulatorService, expired: PaymentSession) -> None:
    sweep_expired()
    simulator.authorize(simulator.intents()[0].id)
    sync_payment_session(expired)
    report = PaymentOperation.objects.get(status="attention")
    assert report.detail.startswith("late_authorization")
    assert_invariants(expired.collection)
    assert_books_agree(simulator, expired.collection)


@pytest.mark.shows(
    "The provider lets an authorization expire",
    "A capture is declined, nothing is taken, and the books follow",
)
def test_authorization_that_expired_at_the_provider(
    simulator: SimulatorService, clock: TestClock, payment: Payment
) -> None:
    clock.advance(timedelta(days=8))
    with pytest.raises(DeclinedError) as refusal:
        capture_payment(payment)
    assert refusal.value.code == "authorization_expired"
    sync_payment_session(payment.session)
    payment.refresh_from_db()
    assert payment.status == "canceled"
    assert event_count(payment.collection, "payment.canceled") == 1
    assert not PaymentOperation.objects.open().exists()
    assert_invariants(payment.collection)
    assert_books_agree(simulator, payment.collection)


@pytest.fixture
def dying_receiver() -> Iterator[list[str]]:
    """Listen to captures and die once while being told; return what was heard."""
    heard: list[str] = []

    def receiver(sender: object, event: object, **_: object) -> None:
        heard.append(str(event))
        if len(heard) == 1:
            raise KeyboardInterrupt

    signals.payment_captured.connect(receiver)
    yield heard
    signals.payment_captured.disconnect(receiver)


@pytest.mark.shows(
    "The process dies while it tells the shop of a capture",
    "The shop is told again: at least once, and in order",
)
def test_event_that_nobody_finished_hearing_is_told_again(
    simulator: SimulatorService, clock: TestClock, payment: Payment, dying_receiver: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        capture_payment(payment)
    let_time_pass(clock)
    assert len(dying_receiver) == 2
    assert payment.collection.events.filter(published_at=None).count() == 0
    assert event_count(payment.collection, "payment.captured") == 1
