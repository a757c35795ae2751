"""Locks that others hold, statements that fail, connections that break: clear errors, nothing lost or doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection

from payments import services
from payments.exceptions import OutcomeUnknownError
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, WebhookEvent
from payments.providers import SessionFact
from payments.services.background import inbox
from payments.services.ledger.history import Origin
from payments.services.ledger.operations import Checkpoint, watching
from payments.simulator import SimulatorService
from payments.states import EventSource, OperationKind, PaymentStatus, SessionStatus, WebhookEventStatus
from payments.testing import scripted_provider
from tests.api.client import Visitor
from tests.races.locks import connection_number, failing_statements, kill_connection, locked_elsewhere
from tests.reliability.books import assert_books_agree
from tests.reliability.clocks import moving_clock
from tests.threads import aside, together
from tests.webhooks.deliveries import bodies, books, deliver, intent_of

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 50


@pytest.mark.shows(
    "A collection locked by somebody else for longer than the lock timeout", "an error; nothing reserved"
)
def test_a_lock_that_cannot_be_had_reserves_nothing(payment: Payment, simulator: SimulatorService) -> None:
    before = books()
    with locked_elsewhere(payment.collection), pytest.raises(OperationalError):
        services.capture_payment(payment)
    assert books() == before
    assert simulator.calls(operation="capture") == []
    assert services.capture_payment(payment).status == PaymentStatus.CAPTURED
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("The same, over HTTP", "503 with Retry-After; nothing reserved; the next try succeeds")
def test_a_lock_that_cannot_be_had_is_503_over_http(payment: Payment, simulator: SimulatorService) -> None:
    boss = Visitor(user=get_user_model().objects.create_superuser("boss"))
    with locked_elsewhere(payment.collection):
        answer = boss.post(f"staff/payments/{payment.pk}/capture/", {})
    assert (answer.status, answer.body["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert not Capture.objects.exists()
    assert simulator.calls(operation="capture") == []
    assert boss.post(f"staff/payments/{payment.pk}/capture/", {}).status == 200
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "A webhook for a collection that somebody else has locked", "200: stored; the worker applies it"
)
@pytest.mark.usefixtures("row_locks")
def test_a_webhook_does_not_depend_on_a_lock(session: PaymentSession, simulator: SimulatorService) -> None:
    simulator.authorize(intent_of(session))
    (body,) = bodies(simulator, session)
    with locked_elsewhere(session.collection):
        assert deliver(body).status == 200
    assert WebhookEvent.objects.get().status == WebhookEventStatus.RECEIVED
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        services.process_due_events()
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows(
    "Two collections with two payments each, locked in opposite orders 1,000 times", "no deadlock"
)
@pytest.mark.usefixtures("row_locks")
@pytest.mark.parametrize("turns", [1, pytest.param(5, marks=pytest.mark.thorough)])
def test_opposite_orders_never_deadlock(turns: int) -> None:
    with scripted_provider():
        one, two = ([_paid() for _each in range(2)] for _collection in range(2))
        forth, back = [one[0], two[0], one[1], two[1]], [two[1], one[1], two[0], one[0]]

        def rounds(sessions: list[PaymentSession]) -> int:
            for number in range(ROUNDS):
                fact = SessionFact(
                    currency_code="eur", authorized_amount=Decimal(50), status=SessionStatus.AUTHORIZED
                )
                for session in sessions[2 * (number % 2) :][:2]:
                    services.record_fact(session, fact, origin=Origin(source=EventSource.SYSTEM))
            return 2 * ROUNDS

        locked = 0
        for _turn in range(turns):
            came = together(lambda: rounds(forth), lambda: rounds(back))
            assert came.raised() == []
            locked += sum(came.values)
    assert locked == 200 * turns


@pytest.mark.shows(
    "The database fails while a capture is claimed", "an error; nothing reserved, nothing sent"
)
@pytest.mark.parametrize(
    "table", ["payments_capture", "payments_paymentoperation", "payments_paymentcollection"]
)
def test_an_error_during_the_claim_leaves_nothing(
    table: str, payment: Payment, simulator: SimulatorService
) -> None:
    before, now = books(), threading.Event()
    now.set()
    with failing_statements(OperationalError("disk full"), table, now), pytest.raises(OperationalError):
        services.capture_payment(payment)
    assert books() == before
    assert simulator.calls(operation="capture") == []
    services.capture_payment(payment)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "The database fails while a capture is recorded", "reserved; the reconciler records it, once"
)
@pytest.mark.parametrize(
    "table",
    [
        "payments_capture",
        "payments_payment",
        "payments_paymentcollection",
        "payments_paymentoperation",
        "payments_paymentevent",
    ],
)
def test_an_error_during_the_record_is_made_good(
    table: str, payment: Payment, simulator: SimulatorService
) -> None:
    called = threading.Event()
    with failing_statements(OperationalError("disk full"), table, called), pytest.raises(OutcomeUnknownError):
        _at(Checkpoint.CALLED, called.set, lambda: services.capture_payment(payment))
    assert [capture.status for capture in Capture.objects.all()] == ["pending"]
    _reconciled()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.CAPTURED
    assert len(simulator.calls(operation="capture")) == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "The database fails while an authorization is recorded", "found and attached, never canceled"
)
@pytest.mark.parametrize(
    "table", ["payments_paymentsession", "payments_payment", "payments_paymentcollection"]
)
def test_an_authorization_that_could_not_be_recorded_is_found(
    table: str, session: PaymentSession, simulator: SimulatorService
) -> None:
    called = threading.Event()
    with failing_statements(OperationalError("disk full"), table, called), pytest.raises(OutcomeUnknownError):
        _at(Checkpoint.CALLED, called.set, lambda: services.authorize_payment_session(session))
    _reconciled()
    session.refresh_from_db()
    assert session.payment is not None
    assert services.capture_payment(session.payment).status == PaymentStatus.CAPTURED
    assert simulator.calls(operation="cancel") == []
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "The connection to the database breaks while the provider acts", "the reconciler records it, once"
)
@pytest.mark.usefixtures("row_locks")
def test_a_connection_that_breaks_during_the_call_loses_nothing(
    payment: Payment, simulator: SimulatorService
) -> None:
    number = connection_number()
    with pytest.raises(OutcomeUnknownError):
        _at(
            Checkpoint.CALLED,
            lambda: aside(lambda: kill_connection(number)),
            lambda: services.capture_payment(payment),
        )
    connection.close()  # as Django does at the end of a request
    _reconciled()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.CAPTURED
    assert len(simulator.calls(operation="capture")) == 1
    assert_books_agree(simulator, payment.collection)


def _paid() -> PaymentSession:
    collection = services.create_payment_collection(amount="50.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="scripted")
    return services.authorize_payment_session(session)


def _at(point: Checkpoint, action: Callable[[], Any], verb: Callable[[], Any]) -> None:
    """Run a verb, and do something when its operation has come to a point."""

    def look(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == point and operation.kind != OperationKind.INITIATE:
            action()

    with watching(look):
        verb()


def _reconciled() -> None:
    """Let the abandoned operation's lease run out, and have the reconciler look after it."""
    with moving_clock() as clock:
        clock.advance(timedelta(minutes=3))
        assert services.reconcile_due() == 1
    assert not PaymentOperation.objects.open().exists()
