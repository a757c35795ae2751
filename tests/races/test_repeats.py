"""Transactions that the database gives up, though nothing is wrong with them: they are repeated, and nothing else is.

A deadlock, a serialization failure, a lock that wasn't had in time: the transaction was rolled back, so it can run once
more. The call to the bank can't.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError, connection, connections, transaction

from payments import services
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation
from payments.simulator import SimulatorService
from payments.states import OperationKind, OperationStatus
from tests.outbox.listeners import Listener
from tests.races.isolation import wait_until_it_waits
from tests.races.locks import connection_number
from tests.races.outages import when
from tests.races.places import Checkpoint, locks
from tests.reliability.books import (
    assert_books_agree,
    assert_invariants,
    assert_references_moved_once,
    row_counts,
)
from tests.reliability.verbs import VERBS, Payer, Verb, session_of, times_done
from tests.threads import PATIENCE, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

PAYER = Payer(provider_id="simulator")
CLAIM, RECORD = Checkpoint.CLAIMING, Checkpoint.CALLED
EACH_VERB = pytest.mark.parametrize(
    "verb",
    [pytest.param(verb, marks=() if verb.name == "capture" else pytest.mark.thorough) for verb in VERBS],
    ids=str,
)


def given_up(reason: str) -> OperationalError:
    """Return what Django raises where the database at hand gives a transaction up."""
    if connection.vendor == "postgresql":
        from psycopg import errors  # noqa: PLC0415 - only where it is needed

        kinds = {
            "deadlock": errors.DeadlockDetected,
            "serialization": errors.SerializationFailure,
            "lock_timeout": errors.LockNotAvailable,
        }
        return _caused(OperationalError(reason), kinds[reason](reason))
    if connection.vendor == "mysql":
        number = 1205 if reason == "lock_timeout" else 1213
        return _caused(OperationalError(number, reason), OSError(number, reason))
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode, busy.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
    return _caused(OperationalError("database is locked"), busy)


def _caused(error: OperationalError, cause: Exception) -> OperationalError:
    error.__cause__ = cause
    return error


class Troubles:
    """Have the database give this thread's transaction up, so many times from a moment on."""

    def __init__(self, reason: str, *, number: int) -> None:
        self.reason = reason
        self.left = number
        self.begins = threading.Event()

    def strike(self) -> None:
        """Raise, if it is time."""
        if self.begins.is_set() and self.left:
            self.left -= 1
            raise given_up(self.reason)

    @contextmanager
    def in_statements(self) -> Iterator[None]:
        """Strike at whatever is written inside a transaction."""

        def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            if connection.in_atomic_block and sql.startswith(("INSERT", "UPDATE")):
                self.strike()
            return run(sql, params, many, context)

        with connection.execute_wrapper(execute):
            yield

    @contextmanager
    def in_commits(self) -> Iterator[None]:
        """Strike at COMMIT, with everything rolled back."""
        it: Any = connections["default"]
        commit = it._commit

        def commit_or_not() -> None:
            try:
                self.strike()
            except OperationalError:
                it.rollback()
                raise
            commit()

        with mock.patch.object(it, "_commit", commit_or_not):
            yield


EACH_REASON = pytest.mark.parametrize(
    "reason",
    [
        "deadlock",
        pytest.param("serialization", marks=pytest.mark.thorough),
        pytest.param("lock_timeout", marks=pytest.mark.thorough),
    ],
)


@EACH_VERB
@EACH_REASON
def test_claim_that_was_given_up_is_repeated(
    verb: Verb, reason: str, simulator: SimulatorService, transactional_db: None
) -> None:
    collection, troubles = verb.prepare(PAYER), Troubles(reason, number=1)
    troubles.begins.set()

    with Listener() as listener, troubles.in_statements():
        verb.run(PAYER, collection)

    assert troubles.left == 0
    assert_done_once(verb, collection, simulator, listener)


@EACH_VERB
@EACH_REASON
def test_record_that_was_given_up_is_repeated_and_the_call_is_not(
    verb: Verb, reason: str, simulator: SimulatorService, transactional_db: None
) -> None:
    collection, troubles = verb.prepare(PAYER), Troubles(reason, number=1)

    with Listener() as listener, troubles.in_statements(), when(RECORD, troubles.begins.set, of=verb.kind):
        verb.run(PAYER, collection)

    assert troubles.left == 0
    assert_done_once(verb, collection, simulator, listener)


@EACH_VERB
@pytest.mark.parametrize("point", [CLAIM, Checkpoint.RECORDING])
def test_transaction_that_was_given_up_at_its_end_is_repeated(
    verb: Verb, point: Checkpoint, simulator: SimulatorService, transactional_db: None
) -> None:
    collection, troubles = verb.prepare(PAYER), Troubles("serialization", number=1)

    with Listener() as listener, troubles.in_commits(), when(point, troubles.begins.set, of=verb.kind):
        verb.run(PAYER, collection)

    assert troubles.left == 0
    assert_done_once(verb, collection, simulator, listener)


def assert_done_once(
    verb: Verb, collection: PaymentCollection, simulator: SimulatorService, listener: Listener
) -> None:
    """See that a verb was claimed, called, recorded and told once."""
    operation = PaymentOperation.objects.filter(collection=collection, kind=verb.kind).latest("created_at")
    assert operation.status == OperationStatus.SUCCEEDED
    called = simulator.calls(operation=str(verb.kind))
    assert [call.key for call in called].count(operation.pk) == 1
    assert len(called) == PaymentOperation.objects.filter(kind=verb.kind).count()
    assert verb.is_done(session_of(collection))
    assert times_done(verb, collection) == 1
    assert verb.event_type is None or listener.types(collection).count(verb.event_type) == 1
    assert len(listener.heard) == len({event.pk for event in listener.heard})
    assert_invariants(collection)
    assert_books_agree(simulator, collection)
    for session in collection.sessions.all():
        assert_references_moved_once(simulator, session)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a transaction be repeated for half a second at most."""
    monkeypatch.setattr(locks, "PATIENCE", 0.5)


def test_claim_that_is_given_up_again_and_again_leaves_nothing(
    payment: Payment, simulator: SimulatorService, impatient: None
) -> None:
    before, troubles = row_counts(payment.collection), Troubles("deadlock", number=1_000)
    troubles.begins.set()

    with troubles.in_statements(), pytest.raises(OperationalError):
        services.capture_payment(payment)

    assert row_counts(payment.collection) == before
    assert simulator.calls(operation="capture") == []


def test_record_that_is_given_up_again_and_again_is_an_unknown_outcome(
    payment: Payment, simulator: SimulatorService, impatient: None
) -> None:
    troubles = Troubles("deadlock", number=1_000)

    with (
        troubles.in_statements(),
        when(RECORD, troubles.begins.set, of=OperationKind.CAPTURE),
        pytest.raises(OutcomeUnknownError) as error,
    ):
        services.capture_payment(payment)

    assert error.value.operation_id == PaymentOperation.objects.get(kind="capture").pk
    assert len(simulator.calls(operation="capture")) == 1


def test_fact_whose_transaction_was_given_up_is_recorded_once(
    payment: Payment, simulator: SimulatorService
) -> None:
    (intent,) = simulator.intents(reference=payment.session_id)
    simulator.capture(intent.id, 3_000)
    troubles = Troubles("deadlock", number=1)
    troubles.begins.set()

    with Listener() as listener, troubles.in_statements():
        services.sync_payment_session(payment.session)

    assert troubles.left == 0
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(30)
    assert listener.types().count("payment.captured") == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.postgresql
def test_real_deadlock_with_the_shops_own_transaction_repeats_the_record(
    payment: Payment, simulator: SimulatorService
) -> None:
    has_the_payment, may_want_the_collection = threading.Event(), threading.Event()
    numbers: list[int] = []

    def shop() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '60s'")  # it is the other's to give up
                numbers.append(connection_number())
                Payment.objects.select_for_update().get(pk=payment.pk)
                has_the_payment.set()
                assert may_want_the_collection.wait(PATIENCE)
                PaymentCollection.objects.filter(pk=payment.collection_id).update(metadata={"note": "x"})
        finally:
            connections.close_all()

    thread = threading.Thread(target=shop, daemon=True)
    armed = threading.Event()

    def start_the_shop() -> None:
        thread.start()
        assert has_the_payment.wait(PATIENCE)
        armed.set()

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = run(sql, params, many, context)
        locks = "FOR UPDATE" in sql or sql.startswith("UPDATE")
        if armed.is_set() and locks and PaymentCollection._meta.db_table in sql.partition("WHERE")[0]:
            armed.clear()
            may_want_the_collection.set()
            wait_until_it_waits(numbers[0])
        return result

    with (
        connection.execute_wrapper(execute),
        when(RECORD, start_the_shop, of=OperationKind.CAPTURE),
        Listener() as listener,
    ):
        services.capture_payment(payment, amount="30.00")
    wait_for([thread])

    assert len(simulator.calls(operation="capture")) == 1
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(30)
    assert PaymentCollection.objects.get().metadata == {"note": "x"}
    assert listener.types().count("payment.captured") == 1
    assert_books_agree(simulator, payment.collection)
