"""A key that was taken over: the request that it was taken from may still be alive, and can't do anything any more.

A request that waits longer than its key is kept for it, say for a lock that somebody else's transaction has, is taken
for dead: the same request sent again takes its place. Only one of the two may ask the bank.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

from payments.models import (
    IdempotencyRecord,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
)
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.admin.acting import confirm, open_form
from tests.api.client import Answer, Visitor
from tests.races.locks import locked_elsewhere
from tests.races.meanwhile import before_the_next_transaction
from tests.races.places import KEY_LOCK, Checkpoint, watching
from tests.reliability.books import assert_books_agree, assert_references_moved_once
from tests.reliability.clocks import TestClock
from tests.threads import PATIENCE, aside, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

TOO_LONG = KEY_LOCK + timedelta(seconds=1)
PATIENT = {200, 201, 202, 409}
"""What a request may be answered that isn't the one which did it."""


@dataclass
class Requests:
    """Send one request under one key, again and again, each time as another process would."""

    user: Any
    path: str
    body: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)

    def send(self) -> Answer:
        """Send it."""
        visitor = Visitor(user=self.user)
        visitor.headers["Idempotency-Key"] = "once"
        answer = visitor.post(self.path, self.body)
        self.answers.append(answer)
        return answer

    def send_and_be_overtaken(self, clock: TestClock) -> None:
        """Send it, and once more when it has taken its key and waits for too long before it does anything."""

        def send_again() -> None:
            clock.advance(TOO_LONG)
            self.send()

        with before_the_next_transaction(send_again, after_writing=IdempotencyRecord):
            self.send()


@pytest.fixture
def capture(payment: Payment, admin_user: Any) -> Requests:
    """Return a request that captures 30.00 of 100.00 euros."""
    return Requests(user=admin_user, path=f"staff/payments/{payment.pk}/capture/", body={"amount": "30.00"})


def assert_done_once(
    requests: Requests, payment: Payment, simulator: SimulatorService, kind: OperationKind
) -> None:
    """See that 30.00 euros were moved once, and that the key stands for the answer of who did it."""
    totals = simulator.totals(payment.session_id)
    moved = totals.captured if kind == OperationKind.CAPTURE else totals.refunded
    assert moved == 3_000
    assert PaymentOperation.objects.filter(kind=kind, amount=30).count() == 1
    assert_references_moved_once(simulator, payment.session)
    assert_books_agree(simulator, payment.collection)
    assert {answer.status for answer in requests.answers} <= PATIENT
    done = next(answer for answer in requests.answers if answer.status == 200)
    again = requests.send()
    assert (again.status, again.headers.get("Idempotent-Replayed"), again.body) == (200, "true", done.body)


def test_request_whose_key_was_taken_over_captures_nothing(
    capture: Requests, payment: Payment, simulator: SimulatorService, clock: TestClock
) -> None:
    capture.send_and_be_overtaken(clock)

    assert_done_once(capture, payment, simulator, OperationKind.CAPTURE)


def test_request_whose_key_was_taken_over_refunds_nothing(
    captured: Payment, admin_user: Any, simulator: SimulatorService, clock: TestClock
) -> None:
    path = f"staff/payments/{captured.pk}/refund/"
    refund = Requests(user=admin_user, path=path, body={"amount": "30.00"})

    refund.send_and_be_overtaken(clock)

    assert_done_once(refund, captured, simulator, OperationKind.REFUND)


def test_request_whose_key_was_taken_over_replaces_no_session(
    collection: PaymentCollection, admin_user: Any, simulator: SimulatorService, clock: TestClock
) -> None:
    PaymentCollection.objects.update(customer=admin_user)
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    create = Requests(user=admin_user, path=path, body={"provider_id": "simulator"})

    create.send_and_be_overtaken(clock)

    session = PaymentSession.objects.get()
    assert session.status == "pending"
    assert [intent.reference for intent in simulator.intents()] == [session.pk]
    assert {answer.status for answer in create.answers} <= PATIENT
    assert create.send().body["id"] == session.pk


@pytest.mark.usefixtures("transactional_db")
def test_request_whose_key_was_taken_over_creates_no_collection(admin_user: Any, clock: TestClock) -> None:
    body = {"amount": "5.00", "currency_code": "eur"}
    create = Requests(user=admin_user, path="staff/payment-collections/", body=body)

    create.send_and_be_overtaken(clock)

    collection = PaymentCollection.objects.get()
    assert {answer.status for answer in create.answers} <= PATIENT
    assert create.send().body["id"] == collection.pk


def test_click_whose_turn_was_taken_over_captures_nothing(
    payment: Payment, admin_user: Any, simulator: SimulatorService, clock: TestClock
) -> None:
    first, second = Client(), Client()
    for client in (first, second):
        client.force_login(admin_user)
    form = open_form(first, payment, "capture")

    def click_again() -> None:
        clock.advance(TOO_LONG)
        confirm(second, payment, "capture", form, amount="30.00")

    with before_the_next_transaction(click_again, after_writing=IdempotencyRecord):
        confirm(first, payment, "capture", form, amount="30.00")

    assert simulator.totals(payment.session_id).captured == 3_000
    assert_books_agree(simulator, payment.collection)


@pytest.mark.row_locks
def test_of_two_that_wait_for_one_lock_under_one_key_one_captures(
    capture: Requests, payment: Payment, simulator: SimulatorService, clock: TestClock
) -> None:
    with locked_elsewhere(payment.collection):
        threads = []
        for _each in range(2):
            thread, waits = start_waiting(capture.send)
            threads.append(thread)
            assert waits.wait(PATIENCE)
            clock.advance(TOO_LONG)
    wait_for(threads)

    assert len(capture.answers) == 2
    assert_done_once(capture, payment, simulator, OperationKind.CAPTURE)


def start_waiting(work: Callable[[], Any]) -> tuple[threading.Thread, threading.Event]:
    """Start a thread; the event says that it asks for a collection's lock, or that it has ended."""
    waits = threading.Event()
    table = PaymentCollection._meta.db_table

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if "FOR UPDATE" in sql and table in sql:
            waits.set()
        return run(sql, params, many, context)

    def go() -> None:
        try:
            with connection.execute_wrapper(execute):
                work()
        finally:
            waits.set()
            connections.close_all()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    return thread, waits


def test_request_that_was_taken_over_does_not_let_a_third_one_in(
    capture: Requests, payment: Payment, simulator: SimulatorService, clock: TestClock
) -> None:
    calls, may_go_on = threading.Event(), threading.Event()

    def hold_the_first_claim(point: Checkpoint, operation: PaymentOperation) -> None:
        if (point, operation.kind) == (Checkpoint.CLAIMED, OperationKind.CAPTURE) and not calls.is_set():
            calls.set()
            assert may_go_on.wait(PATIENCE)

    def go() -> None:
        try:
            capture.send()
        finally:
            connections.close_all()

    second = threading.Thread(target=go, daemon=True)

    def start_the_second() -> None:
        clock.advance(TOO_LONG)
        second.start()
        assert calls.wait(PATIENCE)

    try:
        with watching(hold_the_first_claim):
            with before_the_next_transaction(start_the_second, after_writing=IdempotencyRecord):
                first = capture.send()
            third = aside(capture.send)
    finally:
        may_go_on.set()
        wait_for([second])

    assert {first.status, third.status} <= {202, 409}
    assert_done_once(capture, payment, simulator, OperationKind.CAPTURE)


def test_key_that_is_taken_over_during_the_call_asks_for_nothing_new(
    capture: Requests, payment: Payment, simulator: SimulatorService, clock: TestClock
) -> None:
    came = threading.Event()

    def look(point: Checkpoint, operation: PaymentOperation) -> None:
        if point == Checkpoint.CALLED and operation.kind == OperationKind.CAPTURE and not came.is_set():
            came.set()
            clock.advance(TOO_LONG)
            aside(capture.send)

    with watching(look):
        capture.send()

    assert [answer.status for answer in capture.answers] == [202, 200]
    assert_done_once(capture, payment, simulator, OperationKind.CAPTURE)
