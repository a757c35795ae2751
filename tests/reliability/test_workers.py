"""Several workers side by side, each with a connection of its own: everything is done once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from payments import services
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.services.installments import create_installment_plan
from payments.simulator import SimulatorService
from payments.testing import scripted_provider
from payments.testing.factories import CustomerFactory
from tests.reliability.books import assert_books_agree, assert_invariants, event_count
from tests.reliability.clocks import TestClock
from tests.threads import times

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 4


def run_side_by_side(work: Callable[[], object]) -> None:
    """Do the same in several threads at once, and raise what any of them raised."""
    for error in times(WORKERS, work).errors:
        raise error


@pytest.fixture
def sessions(transactional_db: None, clock: TestClock) -> list[PaymentSession]:
    """Return eight sessions in collections of their own."""
    collections = [services.create_payment_collection(amount="10.00", currency_code="eur") for _ in range(8)]
    return [
        services.create_payment_session(collection, provider_id="simulator") for collection in collections
    ]


@pytest.mark.shows(
    "Four reconcilers look after the same abandoned and unknown operations",
    "Each is looked after by one, and sent again once",
)
def test_reconcilers_share_what_is_due(
    simulator: SimulatorService, clock: TestClock, sessions: list[PaymentSession]
) -> None:
    statuses = ["processing", "unknown"] * (len(sessions) // 2)
    operations = [_abandoned_cancelation(*pair) for pair in zip(sessions, statuses, strict=True)]
    clock.advance(timedelta(minutes=3))
    taken: list[str] = []
    run_side_by_side(
        lambda: services.reconcile_due(limit=5, progress=lambda operation: taken.append(operation.pk))
    )
    services.reconcile_due(progress=lambda operation: taken.append(operation.pk))
    assert sorted(taken) == sorted(operation.pk for operation in operations)
    asked = Counter(call.intent for call in simulator.calls(operation="retrieve"))
    sent = Counter(call.key for call in simulator.calls(operation="cancel"))
    assert asked == Counter(session.provider_reference for session in sessions)
    assert sent == Counter(operation.pk for operation in operations)
    for session in sessions:
        assert event_count(session.collection, "session.canceled") == 1
        assert_invariants(session.collection)
        assert_books_agree(simulator, session.collection)


def _abandoned_cancelation(session: PaymentSession, status: str) -> PaymentOperation:
    """Return an operation whose process died before it called, and that perhaps was looked after in vain before."""
    operation = PaymentOperation(
        kind="cancel",
        status=status,
        target_id=session.pk,
        collection=session.collection,
        session=session,
        provider=session.provider,
        amount=session.amount,
        lease_expires_at=session.created_at if status == "processing" else None,
        next_attempt_at=session.created_at,
    )
    operation.save(force_insert=True)
    return operation


@pytest.mark.shows(
    "Four expiry sweepers meet the same expired sessions",
    "Each session is canceled once at the provider, and one event says that it expired",
)
def test_sweepers_cancel_each_expired_session_once(
    simulator: SimulatorService, clock: TestClock, sessions: list[PaymentSession]
) -> None:
    PaymentSession.objects.update(expires_at=clock.now() + timedelta(minutes=30))
    clock.advance(timedelta(hours=1))
    run_side_by_side(services.sweep_expired)
    services.sweep_expired()
    canceled = Counter(call.reference for call in simulator.calls(operation="cancel") if call.status == 200)
    assert canceled == Counter(session.pk for session in sessions)
    for session in sessions:
        session.refresh_from_db()
        assert session.status == "canceled"
        assert event_count(session.collection, "session.expired") == 1
        assert event_count(session.collection, "session.canceled") == 1


@pytest.mark.shows("Four workers tell of the same due installments", "Each is told of once")
def test_workers_tell_of_each_due_installment_once(collection: PaymentCollection, clock: TestClock) -> None:
    create_installment_plan(collection, provider_id="simulator", count=3, interval="month")
    clock.advance(timedelta(days=40))
    run_side_by_side(services.notify_due_installments)
    assert services.notify_due_installments() == 0
    assert event_count(collection, "session.due") == 2


@pytest.mark.shows("Four workers charge the same due installments", "Each is charged once")
def test_workers_charge_each_due_installment_once(collection: PaymentCollection, clock: TestClock) -> None:
    with scripted_provider() as script:
        customer = CustomerFactory.create()
        PaymentCollection.objects.update(customer=customer)
        services.create_account_holder(customer, provider_id="scripted")
        create_installment_plan(
            collection, provider_id="scripted", count=3, interval="day", is_automatic=True
        )
        clock.advance(timedelta(hours=36))
        run_side_by_side(services.charge_due_installments)
        assert services.charge_due_installments() == 0
        assert len(script.requests("authorize")) == 2
        assert event_count(collection, "session.charging") == 2
