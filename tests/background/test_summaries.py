"""The sums of days: kept once a day is over, right whatever changes it later, and never older than their rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import services
from payments.exceptions import DeclinedError, OutcomeUnknownError
from payments.models import Capture, DaySummary, Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers import Failure, MovementFact, RefundResult, SessionFact
from payments.services.background import summaries
from payments.services.background.summaries import Answered, Day, add_up, days_between, sum_ended_days
from payments.services.ledger import books, history
from payments.states import MovementKind, MovementStatus, Outcome
from payments.stored import beginning, day_of
from payments.testing import Script
from tests.reliability.books import assert_kept_sums_are_right
from tests.reliability.clocks import TestClock
from tests.reliability.test_resolved_amounts import WEBHOOK
from tests.threads import PATIENCE, aside, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def session(collection: PaymentCollection, script: Script) -> PaymentSession:
    """Return a session with the scripted provider."""
    return services.create_payment_session(collection, provider_id="scripted")


@pytest.fixture(autouse=True)
def noon(clock: TestClock) -> None:
    """Begin at noon, so that no test begins on one day and ends on another."""
    now = timezone.now()
    clock.advance_to(beginning(day_of(now) + DAY) + 12 * HOUR)


def kept() -> list[date]:
    """Return the days whose sums are kept, oldest first."""
    return list(DaySummary.objects.filter(sums__isnull=False).order_by("day").values_list("day", flat=True))


def assert_kept(number: int) -> None:
    """Have a worker keep what can be kept, and make sure of how many days are kept, each rightly."""
    sum_ended_days(limit=100)
    assert len(kept()) == number
    assert_kept_sums_are_right()


def fail_refund(payment: Payment) -> None:
    """Have a webhook tell that the one refund of 30.00 euros has failed after all."""
    movement = MovementFact(
        kind=MovementKind.REFUND,
        status=MovementStatus.FAILED,
        amount=Decimal(30),
        currency_code="eur",
        operation_id=PaymentOperation.objects.get(kind="refund").pk,
    )
    services.record_fact(
        payment.session, SessionFact(currency_code="eur", movements=(movement,)), origin=WEBHOOK
    )


def test_day_is_kept_six_hours_after_its_end(captured: Payment, clock: TestClock) -> None:
    today = day_of(captured.created_at)
    told: list[Day] = []
    clock.advance_to(beginning(today + DAY) + 6 * HOUR - timedelta(minutes=1))
    assert sum_ended_days(limit=100) == 0
    clock.advance(timedelta(minutes=2))
    assert sum_ended_days(limit=100, progress=told.append) == 1
    assert [day.day for day in told] == kept() == [today]
    assert [(each.kind, each.count, each.amount) for each in told[0].moved] == [
        ("authorized", 1, Decimal(100)),
        ("captured", 1, Decimal(100)),
    ]
    answer = Answered(kind="capture", provider_id="scripted", status="succeeded", error_code="", count=1)
    assert answer in told[0].answered


def test_days_read_the_same_before_and_after_they_are_kept(
    captured: Payment, script: Script, clock: TestClock
) -> None:
    first = day_of(captured.created_at)
    services.refund_payment(captured, amount="10.00")
    clock.advance(3 * DAY)
    services.refund_payment(captured, amount="20.00")
    script.next("refund", RefundResult(outcome=Outcome.DECLINED, failure=Failure(code="too_late")))
    with pytest.raises(DeclinedError):
        services.refund_payment(captured, amount="5.00")
    clock.advance(2 * DAY)
    before = days_between(first, first + 5 * DAY)
    sum_ended_days(limit=100)
    DaySummary.objects.filter(day=first + DAY).delete()
    assert kept() == [first, first + 2 * DAY, first + 3 * DAY, first + 4 * DAY]
    assert days_between(first, first + 5 * DAY) == before
    refunded = [sum(each.amount for each in day.moved if each.kind == "refunded") for day in before]
    assert refunded == [10, 0, 0, 20, 0, 0]
    codes = [[each.error_code for each in day.answered if each.status == "declined"] for day in before]
    assert codes == [[], [], [], ["too_late"], [], []]


def resolve_lost(clock: TestClock) -> PaymentOperation:
    """Have a person say that the operation whose answer got lost has happened."""
    rows = PaymentOperation.objects.open()
    rows.update(unclear_since=timezone.now() - clock.offset - HOUR)  # by the database's clock
    return services.resolve_operation(rows.get(), has_happened=True, reason="Seen.")


def _refund_fails_after_all(payment: Payment, script: Script, clock: TestClock) -> None:
    services.refund_payment(payment, amount="30.00")
    clock.advance(DAY)
    assert_kept(1)
    fail_refund(payment)


def _answer_comes_days_later(payment: Payment, script: Script, clock: TestClock) -> None:
    script.next("refund", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment, amount="30.00")
    clock.advance(DAY)
    assert_kept(1)
    resolve_lost(clock)


def _person_corrects(payment: Payment, script: Script, clock: TestClock) -> None:
    _answer_comes_days_later(payment, script, clock)
    clock.advance(2 * DAY)
    assert_kept(3)
    operation = PaymentOperation.objects.get(kind="refund")
    services.correct_operation(operation, has_happened=False, reason="Another order's.")


def _held_amount_becomes_another(payment: Payment, script: Script, clock: TestClock) -> None:
    session = services.create_payment_session(
        services.create_payment_collection(amount="50.00", currency_code="eur"), provider_id="scripted"
    )
    script.next("authorize", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    operation = resolve_lost(clock)
    clock.advance(DAY)
    assert_kept(1)
    services.correct_operation(operation, has_happened=True, amount="40.00", reason="Misread.")


@pytest.mark.parametrize(
    ("happen", "remaining"),
    [
        (_refund_fails_after_all, 0),
        (_answer_comes_days_later, 0),
        (_person_corrects, 1),
        (_held_amount_becomes_another, 0),
    ],
)
@pytest.mark.shows(
    "Something that counted on a past day changes, after the day was added up",
    "The day's sums are emptied in the same transaction and added up anew",
)
def test_change_of_a_past_day_has_it_added_up_anew(
    captured: Payment,
    script: Script,
    clock: TestClock,
    happen: Callable[[Payment, Script, TestClock], None],
    remaining: int,
) -> None:
    happen(captured, script, clock)
    assert len(kept()) == remaining
    assert_kept_sums_are_right()
    sum_ended_days(limit=100)
    assert_kept_sums_are_right()


def test_usual_work_on_an_old_payment_leaves_its_day_alone(captured: Payment, clock: TestClock) -> None:
    clock.advance(DAY)
    assert_kept(1)
    services.refund_payment(captured, amount="30.00")
    assert_kept(1)


@pytest.mark.shows(
    "Something that counted on a past day changes while a worker adds the day up",
    "The worker waits for the change, or what it has read is emptied; the day is added up again",
)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="A transaction of SQLite locks the whole file.")
@pytest.mark.parametrize("is_first", [True, False], ids=["no row yet", "a row"])
@pytest.mark.parametrize("is_late", [True, False], ids=["after the worker has read", "before"])
def test_change_beside_a_worker_leaves_no_wrong_sums(
    captured: Payment, clock: TestClock, is_first: bool, is_late: bool
) -> None:
    services.refund_payment(captured, amount="30.00")
    clock.advance(DAY)
    if not is_first:
        sum_ended_days(limit=1)
        DaySummary.objects.update(sums=None)
    has_changed, may_commit = threading.Event(), threading.Event()
    real_add_up, real_forget = summaries.add_up, history.forget_summaries

    def forget(*given: Any) -> None:
        real_forget(*given)
        has_changed.set()
        may_commit.wait(0.5)

    def add_up_meanwhile(days: Sequence[date]) -> list[Day]:
        found = real_add_up(days)
        writer.start()
        writer.join(0.5)  # By then it has changed the refund, and waits for the day's row.
        return found

    writer = threading.Thread(target=lambda: aside(lambda: fail_refund(captured)))
    with mock.patch.object(books, "forget_summaries", forget):
        if is_late:
            with mock.patch.object(summaries, "add_up", add_up_meanwhile):
                sum_ended_days(limit=1)
        else:
            writer.start()
            assert has_changed.wait(PATIENCE)
            sum_ended_days(limit=1)
        wait_for([writer])

    assert captured.refunds.get().status == MovementStatus.FAILED
    assert_kept_sums_are_right()
    sum_ended_days(limit=1)
    assert len(kept()) == 1
    assert_kept_sums_are_right()


def test_days_of_another_time_zone_are_added_up_anew(
    captured: Payment, clock: TestClock, settings: Any
) -> None:
    clock.advance(3 * DAY)
    assert sum_ended_days(limit=100) == 3
    settings.TIME_ZONE = "Pacific/Kiritimati"
    assert days_between(kept()[0], kept()[0]) == add_up([kept()[0]])
    assert sum_ended_days(limit=100) in (2, 3, 4)
    assert sum_ended_days(limit=100) == 0
    assert_kept_sums_are_right()


def test_nothing_due_costs_two_statements(captured: Payment, clock: TestClock) -> None:
    clock.advance(40 * DAY)
    assert sum_ended_days(limit=100) == 40
    with CaptureQueriesContext(connection) as queries:
        assert sum_ended_days(limit=100) == 0
    assert len(queries) == 2


def test_command_adds_up_anew_what_was_changed_by_hand(captured: Payment, clock: TestClock) -> None:
    clock.advance(3 * DAY)
    sum_ended_days(limit=100)
    QuerySet(Capture).update(amount="1.00")
    with pytest.raises(AssertionError):
        assert_kept_sums_are_right()
    out = StringIO()
    call_command("payments_rebuild_summaries", stdout=out)
    assert out.getvalue().splitlines()[-1] == "Done: 3 days."
    assert_kept_sums_are_right()
