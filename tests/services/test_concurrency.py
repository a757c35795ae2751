"""Many at once: whatever the order, money moves once, and never more than there is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from payments import services
from payments.exceptions import (
    AmountError,
    OpenTransactionError,
    OperationInProgressError,
    PaymentError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import CaptureResult
from payments.services.transactions import committed, lock_collection
from payments.states import Outcome
from tests.services.facts import WEBHOOK, captured
from tests.services.scripted import Script
from tests.services.threads import TIMEOUT, at_once, errors

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.row_locks]


def repeatable_read() -> None:
    """Have this connection's transactions keep the snapshot of their first read, as MariaDB does by default."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try MariaDB with both isolation levels that shops run it with; PostgreSQL refuses an old snapshot itself."""
    if "isolation" in metafunc.fixturenames:
        is_mariadb = metafunc.config.getoption("database") == "mariadb"
        levels = {"as Django sets it": None} | ({"repeatable read": repeatable_read} if is_mariadb else {})
        metafunc.parametrize("isolation", list(levels.values()), ids=list(levels))


Isolation = Callable[[], None] | None


def assert_books_agree(collection: PaymentCollection) -> PaymentCollection:
    """Check that every sum is that of the rows below it, and that nothing is left open."""
    collection = PaymentCollection.objects.get(pk=collection.pk)
    payments = list(collection.payments.all())
    for payment in payments:
        moved = {
            kind: sum((row.amount for row in rows.filter(status="succeeded")), Decimal(0))
            for kind, rows in (("captured", payment.captures), ("refunded", payment.refunds))
        }
        assert (payment.captured_amount, payment.refunded_amount) == (moved["captured"], moved["refunded"])
        assert payment.status == payment.derive_status()
    assert collection.captured_amount == sum((row.captured_amount for row in payments), Decimal(0))
    assert collection.refunded_amount == sum((row.refunded_amount for row in payments), Decimal(0))
    assert collection.authorized_amount == sum(
        (row.amount - row.canceled_amount for row in payments), Decimal(0)
    )
    assert not PaymentOperation.objects.open().exists()
    return collection


def test_of_sixteen_full_captures_one_succeeds(payment: Payment, card: Script, isolation: Isolation) -> None:
    results = at_once([lambda: services.capture_payment(payment, amount="100.00")] * 16, prepare=isolation)
    refused = errors(results)
    assert len(refused) == 15
    assert all(isinstance(error, OperationInProgressError | AmountError) for error in refused), refused
    assert len(card.asked("capture")) == 1
    assert assert_books_agree(payment.collection).captured_amount == Decimal(100)


def test_of_two_refunds_of_more_than_half_one_succeeds(
    payment: Payment, card: Script, isolation: Isolation
) -> None:
    services.capture_payment(payment)
    results = at_once([lambda: services.refund_payment(payment, amount="60.00")] * 2, prepare=isolation)
    (refused,) = errors(results)
    assert isinstance(refused, OperationInProgressError | AmountError), refused
    assert len(card.asked("refund")) == 1
    assert assert_books_agree(payment.collection).refunded_amount == Decimal(60)


def test_ten_refunds_that_fit_all_succeed(payment: Payment, card: Script, isolation: Isolation) -> None:
    services.capture_payment(payment)
    results = at_once([lambda: services.refund_payment(payment, amount="10.00")] * 10, prepare=isolation)
    assert errors(results) == []
    assert assert_books_agree(payment.collection).refunded_amount == Decimal(100)
    with pytest.raises(AmountError):
        services.refund_payment(payment, amount="0.01")


def test_of_twenty_authorizations_the_provider_sees_one(
    session: PaymentSession, card: Script, isolation: Isolation
) -> None:
    results = at_once([lambda: services.authorize_payment_session(session)] * 20, prepare=isolation)
    refused = errors(results)
    assert all(isinstance(error, OperationInProgressError) for error in refused), refused
    assert len(card.asked("authorize")) == 1
    payment = Payment.objects.get()
    assert payment.status == "authorized"
    assert services.authorize_payment_session(session).payment == payment
    assert_books_agree(session.collection)


def new_payment() -> Payment:
    collection = services.create_payment_collection(amount=100, currency_code="eur")
    session = services.create_payment_session(collection, provider_id="card")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


@pytest.mark.parametrize("_time", range(8))
def test_capture_and_release_never_both_happen(rows: None, _time: int) -> None:
    payment = new_payment()
    results = at_once([partial(services.capture_payment, payment), partial(services.cancel_payment, payment)])
    (refused,) = errors(results)
    assert isinstance(refused, OperationInProgressError | TransitionError), refused
    settled = assert_books_agree(payment.collection)
    assert (settled.captured_amount, settled.authorized_amount) in {
        (Decimal(100), Decimal(100)),
        (Decimal(0), Decimal(0)),
    }


@pytest.mark.parametrize("_time", range(8))
def test_part_taken_while_a_session_is_canceled_is_never_followed_by_a_release(
    rows: None, _time: int
) -> None:
    payment = new_payment()
    take = partial(services.capture_payment, payment, amount="1.00")
    at_once([take, partial(services.cancel_payment_session, payment.session)])
    settled = assert_books_agree(payment.collection)
    assert (settled.captured_amount, settled.authorized_amount) in {
        (Decimal(1), Decimal(100)),
        (Decimal(0), Decimal(0)),
    }


def test_twenty_splits_never_exceed_the_collection(
    collection: PaymentCollection, isolation: Isolation
) -> None:
    results = at_once(
        [lambda: services.create_payment_session(collection, provider_id="card", amount="7.00")] * 20,
        prepare=isolation,
    )
    refused = errors(results)
    assert all(isinstance(error, AmountError) for error in refused), refused
    assert len(refused) == 6
    assert sum(collection.sessions.values_list("amount", flat=True)) == Decimal(98)


def test_twenty_sessions_without_amount_leave_one(
    collection: PaymentCollection, isolation: Isolation
) -> None:
    results = at_once(
        [lambda: services.create_payment_session(collection, provider_id="card")] * 20, prepare=isolation
    )
    assert all(isinstance(error, OperationInProgressError) for error in errors(results)), results
    assert collection.sessions.filter(status="pending").count() == 1
    assert_books_agree(collection)


def test_report_and_answer_of_one_capture_are_one_capture(payment: Payment, card: Script) -> None:
    def answer(request: Any) -> CaptureResult:
        threads = [threading.Thread(target=_report, args=(payment,)) for _count in range(4)]
        for thread in threads:
            thread.start()
        try:
            return CaptureResult(outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code="eur")
        finally:
            threads[0].join(TIMEOUT)

    card.will("capture", answer)
    services.capture_payment(payment)
    for thread in threading.enumerate():
        if thread.name.startswith("Thread-"):
            thread.join(TIMEOUT)
    assert payment.captures.count() == 1
    assert PaymentEvent.objects.filter(type="payment.captured").count() == 1
    assert assert_books_agree(payment.collection).captured_amount == Decimal(100)


def _report(payment: Payment) -> None:
    try:
        services.record_fact(payment.session, captured("100"), origin=WEBHOOK)
    finally:
        connection.close()


def test_installment_plans_and_splits_share_what_is_left(collection: PaymentCollection) -> None:
    def plan() -> Any:
        return services.create_installment_plan(collection, provider_id="card", count=4, interval="month")

    def split() -> Any:
        return services.create_payment_session(collection, provider_id="card", amount="60.00")

    results = at_once([plan, split, plan, split])
    assert all(isinstance(error, PaymentError) for error in errors(results)), results
    assert sum(collection.sessions.values_list("amount", flat=True)) <= Decimal(100)


def test_plan_in_a_transaction_that_read_before_sees_what_was_committed_meanwhile(
    collection: PaymentCollection, isolation: Isolation
) -> None:
    """A snapshot from before the lock must not make room that is taken by now."""

    def plan() -> Any:
        with transaction.atomic():
            assert not PaymentSession.objects.exists()
            at_once([lambda: services.create_payment_session(collection, provider_id="card", amount="60.00")])
            return services.create_installment_plan(collection, provider_id="card", count=4, interval="month")

    (planned,) = at_once([plan], prepare=isolation)
    if isolation is None:
        assert sum(session.amount for session in planned) == Decimal(40)
    else:
        assert isinstance(planned, OpenTransactionError)
        assert collection.sessions.count() == 1


def test_lock_makes_others_wait(collection: PaymentCollection) -> None:
    locked, released = threading.Event(), threading.Event()
    order: list[str] = []

    def hold() -> None:
        with committed():
            lock_collection(collection.pk)
            locked.set()
            time.sleep(0.5)
            PaymentCollection.objects.filter(pk=collection.pk).update(amount=Decimal(55))
            order.append("first")
        released.set()

    def wait() -> Decimal:
        assert locked.wait(TIMEOUT)
        with committed():
            row = lock_collection(collection.pk)
            order.append("second")
            return row.amount

    amount = at_once([hold, wait])[1]
    assert released.is_set()
    assert order == ["first", "second"]
    assert amount == Decimal(55)


def test_locks_of_two_collections_do_not_wait_for_each_other(
    collection: PaymentCollection, rows: None
) -> None:
    other = services.create_payment_collection(amount=100, currency_code="eur")
    with transaction.atomic():
        lock_collection(collection.pk)
        (session,) = at_once([lambda: services.create_payment_session(other, provider_id="card")])
    assert session.status == "pending"
