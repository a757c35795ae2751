"""A process that stops for minutes before it asks the bank looks again when it wakes up, and doesn't ask twice.

Its operation may have been taken over meanwhile: sent by the reconciler, refused, or decided by a person, and then
asked for anew. The bank of these tests keeps no refusal under a key, so what was refused is done if it is sent again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings
from django.db import connection

from payments import services
from payments.exceptions import DeclinedError, PaymentError
from payments.models import Payment, PaymentOperation
from payments.simulator import SimulatorService
from payments.states import OperationStatus, SessionStatus
from tests.programs import killed_if_late
from tests.reliability.afterwards import let_time_pass
from tests.reliability.banks import Bank, before_answering, lost, open_collection, open_session, refused
from tests.reliability.books import assert_books_agree, assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.news import thoroughly
from tests.reliability.places import LATE, Checkpoint, watching
from tests.reliability.verbs import VERBS, Payer, Verb, session_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bank")]

PAYER: Final = Payer(provider_id="bank")

NAP: Final = timedelta(minutes=3)
"""Longer than an operation is kept for whoever claimed it."""

ROOT: Final = Path(__file__).resolve().parents[2]

USUAL: Final = ("initiate", "capture", "cancel_session")

every_verb = pytest.mark.parametrize(
    "verb", [verb if verb.name in USUAL else thoroughly(verb) for verb in VERBS], ids=str
)


@contextmanager
def waking_up_after(action: Callable[[], object]) -> Iterator[None]:
    """Have the first operation of the block that is about to be sent wait until an action is done."""
    waiting = iter([action])

    def watcher(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == Checkpoint.CLAIMED:
            for act in waiting:
                act()

    with watching(watcher):
        yield


def assert_captured_once(bank: Bank, payment: Payment) -> None:
    """See that 30.00 were taken, once, and that books and bank agree on that."""
    payment.refresh_from_db()
    assert bank.of(payment.session).captured == payment.captured_amount == 30
    bank.assert_agrees(payment.collection)
    assert_invariants(payment.collection)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.shows(
    "A process stops before it asks; the reconciler is refused in its place, and a clerk asks again",
    "It doesn't ask any more when it wakes up: 30.00 are captured, not 60.00, and it is told of the refusal",
)
def test_capture_that_was_refused_meanwhile_is_not_sent_by_who_wakes_up(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    def take_over() -> None:
        clock.advance(NAP)
        bank.next("capture", refused)
        assert services.reconcile_due() == 1
        services.capture_payment(payment, amount="30.00")

    with waking_up_after(take_over), pytest.raises(DeclinedError):
        services.capture_payment(payment, amount="30.00")
    assert len(bank.requests("capture")) == 2
    assert_captured_once(bank, payment)


@every_verb
def test_nothing_that_was_refused_meanwhile_is_sent_by_who_wakes_up(
    bank: Bank, clock: TestClock, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    before = len(bank.requests(verb.kind))

    def take_over() -> None:
        clock.advance(NAP)
        bank.next(verb.kind, refused)
        assert services.reconcile_due() == 1
        verb.run(PAYER, collection)

    with waking_up_after(take_over), suppress(PaymentError):
        verb.run(PAYER, collection)
    assert len(bank.requests(verb.kind)) == before + 2
    assert verb.is_done(session_of(collection))
    bank.assert_agrees(collection)
    assert_invariants(collection)


@pytest.mark.shows(
    "A process stops before it asks, and the reconciler asks in its place",
    "It doesn't ask any more when it wakes up: the bank is asked once, and the caller is told what came of it",
)
@every_verb
def test_what_the_reconciler_has_sent_is_not_sent_by_who_wakes_up(
    bank: Bank, clock: TestClock, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    before = len(bank.requests(verb.kind))

    def take_over() -> None:
        clock.advance(NAP)
        assert services.reconcile_due() == 1

    with waking_up_after(take_over):
        verb.run(PAYER, collection)
    assert len(bank.requests(verb.kind)) == before + 1
    assert verb.is_done(session_of(collection))
    bank.assert_agrees(collection)
    assert_invariants(collection)


@pytest.mark.shows(
    "A process stops before it asks, and nobody finds out what became of that but a person, who says: nothing",
    "It doesn't ask any more when it wakes up",
)
def test_what_a_person_has_decided_is_not_sent_by_who_wakes_up(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    def decide() -> None:
        clock.advance(NAP)
        bank.next("retrieve", *[lost] * 6)
        let_time_pass(clock)
        (operation,) = PaymentOperation.objects.filter(status=OperationStatus.ATTENTION)
        services.resolve_operation(operation, has_happened=False, reason="The process hangs.")
        services.capture_payment(payment, amount="30.00")

    with waking_up_after(decide), pytest.raises(DeclinedError):
        services.capture_payment(payment, amount="30.00")
    assert len(bank.requests("capture")) == 1
    assert_captured_once(bank, payment)


def test_cancelation_refused_meanwhile_does_not_release_what_was_paid_since(
    bank: Bank, clock: TestClock, db: None
) -> None:
    session = open_session(open_collection())

    def pay() -> None:
        clock.advance(NAP)
        bank.next("cancel", refused)
        assert services.reconcile_due() == 1
        services.authorize_payment_session(session)

    with waking_up_after(pay), suppress(PaymentError):
        services.cancel_payment_session(session)
    assert len(bank.requests("cancel")) == 1
    assert bank.of(session).held == 100
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    bank.assert_agrees(session.collection)


@pytest.mark.parametrize("can_ask", [True, False], ids=["in doubt", "untouched"])
def test_what_nobody_has_sent_meanwhile_is_sent_once(
    bank: Bank, clock: TestClock, payment: Payment, can_ask: bool
) -> None:
    def leave_it() -> None:
        clock.advance(NAP)
        if can_ask:
            bank.next("retrieve", lost)
            assert services.reconcile_due() == 1

    with waking_up_after(leave_it), suppress(PaymentError):
        services.capture_payment(payment, amount="30.00")
    let_time_pass(clock)
    assert len(bank.requests("capture")) == 1
    assert_captured_once(bank, payment)


@pytest.mark.shows(
    "The reconciler itself stops before it sends again; another is refused in its place, and a clerk asks again",
    "It doesn't ask any more when it wakes up: 30.00 are captured, not 60.00",
)
def test_reconciler_that_wakes_up_does_not_send_what_another_has_ended(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    bank.next("capture", lost)
    with suppress(PaymentError):
        services.capture_payment(payment, amount="30.00")

    def take_over() -> None:
        clock.advance(NAP)
        bank.next("capture", refused)
        assert services.reconcile_due() == 1
        services.capture_payment(payment, amount="30.00")

    clock.advance(NAP)
    with waking_up_after(take_over):
        services.reconcile_due()
    assert len(bank.requests("capture")) == 3
    assert_captured_once(bank, payment)


# One of several operations that were claimed together


@pytest.mark.shows(
    "A collection is canceled; the bank takes minutes for the first session, and the reconciler does the others",
    "The bank is asked once for each",
)
def test_session_that_waits_for_its_turn_is_canceled_once(bank: Bank, clock: TestClock, db: None) -> None:
    collection = open_collection()
    sessions = [open_session(collection, amount) for amount in ("50.00", "30.00", "20.00")]

    def dawdle() -> None:
        clock.advance(NAP)
        assert services.reconcile_due() == 3

    bank.next("cancel", before_answering(dawdle))
    services.cancel_payment_collection(collection)
    for session in sessions:
        session.refresh_from_db()
        assert session.status == SessionStatus.CANCELED
        assert len(bank.requests("cancel", session)) == 1
    bank.assert_agrees(collection)
    assert not PaymentOperation.objects.open().exists()


def test_session_that_waits_for_the_one_before_it_is_initiated_once(
    bank: Bank, clock: TestClock, db: None
) -> None:
    collection = open_collection()
    open_session(collection)

    def dawdle() -> None:
        clock.advance(NAP)
        assert services.reconcile_due() == 2

    bank.next("cancel", before_answering(dawdle))
    session = open_session(collection)
    assert len(bank.requests("initiate", session)) == 1
    assert session.provider_reference == bank.of(session).reference
    assert not PaymentOperation.objects.open().exists()


# A real process


@pytest.fixture
def held(transactional_db: None, simulator: SimulatorService, monkeypatch: pytest.MonkeyPatch) -> Payment:
    """Return a payment that the simulator holds, which keeps no answer under a key."""
    monkeypatch.setattr(simulator.settings, "key_window", 0.0)
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    payment = services.authorize_payment_session(
        services.create_payment_session(collection, provider_id="simulator")
    ).payment
    assert payment is not None
    return payment


@contextmanager
def sleeping_caller(payment: Payment) -> Iterator[subprocess.Popen[str]]:
    """Have a process that has claimed a capture of 30.00 be stopped in the block; kill it if it is there still."""
    order = {
        "database": {name: value for name, value in connection.settings_dict.items() if name != "TEST"},
        "payments": settings.PAYMENTS,
        "payment": payment.pk,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.sleeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(order, default=str))
        process.stdin.close()
        process.stdin = None
        with killed_if_late(process):
            _pid, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield process
    finally:
        process.kill()
        process.communicate()


def expire_the_lease() -> None:
    """Have the time be over for which an operation is kept for whoever claimed it."""
    operation = PaymentOperation.objects.get(status=OperationStatus.PROCESSING)
    assert operation.lease_expires_at is not None
    PaymentOperation.objects.filter(pk=operation.pk).update(lease_expires_at=operation.created_at - NAP)


def wake_up(process: subprocess.Popen[str]) -> str:
    """Have a process go on that was stopped for a while, and return what came of it."""
    time.sleep(LATE.total_seconds())
    process.send_signal(signal.SIGCONT)
    output, _errors = process.communicate(timeout=120)
    assert process.returncode == 0
    return output


@pytest.mark.thorough
@pytest.mark.shows(
    "A real process is stopped (SIGSTOP) before it asks; the reconciler is refused, a clerk asks again; SIGCONT",
    "30.00 are captured, once, and the process is told of the refusal",
)
def test_stopped_process_does_not_capture_what_was_refused_meanwhile(
    simulator: SimulatorService, held: Payment
) -> None:
    with sleeping_caller(held) as process:
        expire_the_lease()
        simulator.script(operation="capture", fault="decline")
        assert services.reconcile_due() == 1
        services.capture_payment(held, amount="30.00")
        assert wake_up(process) == "DeclinedError"
    assert simulator.totals(held.session_id).captured == 3_000
    assert len(simulator.calls(operation="capture")) == 2
    assert_books_agree(simulator, held.collection)
    assert_invariants(held.collection)


@pytest.mark.thorough
@pytest.mark.shows(
    "A real process is stopped (SIGSTOP) before it asks, and the reconciler captures in its place; SIGCONT",
    "30.00 are captured, once, and the process is told so",
)
def test_stopped_process_does_not_capture_what_was_captured_meanwhile(
    simulator: SimulatorService, held: Payment
) -> None:
    with sleeping_caller(held) as process:
        expire_the_lease()
        assert services.reconcile_due() == 1
        assert wake_up(process) == "partially_captured"
    assert simulator.totals(held.session_id).captured == 3_000
    assert len(simulator.calls(operation="capture")) == 1
    assert_books_agree(simulator, held.collection)
    assert_invariants(held.collection)
