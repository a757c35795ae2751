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
from django.db.models import QuerySet

from payments import services
from payments.exceptions import (
    OpenTransactionError,
    PaymentError,
)
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import CaptureResult
from payments.services.ledger.locks import committed, lock_collection
from payments.states import Outcome
from payments.testing import Script
from tests.services.facts import WEBHOOK, captured
from tests.threads import PATIENCE, aside, together, wait_for

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


def new_payment() -> Payment:
    collection = services.create_payment_collection(amount=100, currency_code="eur")
    session = services.create_payment_session(collection, provider_id="card")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


@pytest.mark.parametrize("_time", range(8))
def test_part_taken_while_a_session_is_canceled_is_never_followed_by_a_release(
    rows: None, _time: int
) -> None:
    payment = new_payment()
    take = partial(services.capture_payment, payment, amount="1.00")
    together(take, partial(services.cancel_payment_session, payment.session))
    settled = assert_books_agree(payment.collection)
    assert (settled.captured_amount, settled.authorized_amount) in {
        (Decimal(1), Decimal(100)),
        (Decimal(0), Decimal(0)),
    }


def test_report_and_answer_of_one_capture_are_one_capture(payment: Payment, card: Script) -> None:
    threads = [threading.Thread(target=_report, args=(payment,), daemon=True) for _count in range(4)]

    def answer(request: Any) -> CaptureResult:
        for thread in threads:
            thread.start()
        try:
            return CaptureResult(outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code="eur")
        finally:
            threads[0].join(PATIENCE)

    card.next("capture", answer)
    services.capture_payment(payment)
    wait_for(threads)
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

    together(plan, split, plan, split).raised(PaymentError)
    assert sum(collection.sessions.values_list("amount", flat=True)) <= Decimal(100)


def test_plan_sees_what_was_committed_after_its_transaction_began_to_read(
    collection: PaymentCollection, isolation: Isolation
) -> None:
    """A snapshot from before the lock must not make room that is taken by now."""

    def plan() -> Any:
        with transaction.atomic():
            assert not PaymentSession.objects.exists()
            aside(lambda: services.create_payment_session(collection, provider_id="card", amount="60.00"))
            return services.create_installment_plan(collection, provider_id="card", count=4, interval="month")

    (planned,) = together(plan, prepare=isolation).results
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
            QuerySet(PaymentCollection).filter(pk=collection.pk).update(amount=Decimal(55))
            order.append("first")
        released.set()

    def wait() -> Decimal:
        assert locked.wait(PATIENCE)
        with committed():
            row = lock_collection(collection.pk)
            order.append("second")
            return row.amount

    amount = together(hold, wait).results[1]
    assert released.is_set()
    assert order == ["first", "second"]
    assert amount == Decimal(55)


def test_locks_of_two_collections_do_not_wait_for_each_other(
    collection: PaymentCollection, rows: None
) -> None:
    other = services.create_payment_collection(amount=100, currency_code="eur")
    with transaction.atomic():
        lock_collection(collection.pk)
        session = aside(lambda: services.create_payment_session(other, provider_id="card"))
    assert session.status == "pending"
