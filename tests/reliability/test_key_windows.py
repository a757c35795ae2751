"""A key's window counts from its first sending by the database's clock, whatever the clocks of the machines say.

The bank of these tests has captured, has lost its answer, doesn't tell of the capture when it is asked, and knows a key
for a day: what is sent again by then is captured once, and what is sent again later is captured twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from payments.exceptions import OutcomeUnknownError, PaymentError
from payments.models import Payment, PaymentOperation
from payments.services import capture_payment, reconcile_due
from payments.states import MovementStatus, OperationKind, OperationStatus
from payments.testing import Script
from tests.reliability.banks import Act, Bank, lost, unanswered
from tests.reliability.clocks import TestClock
from tests.reliability.news import thoroughly
from tests.reliability.test_resolutions import CASES as DOUBTS
from tests.reliability.test_resolved_amounts import unknown
from tests.reliability.verbs import VERBS, Payer, Verb

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bank")]

HAS_SENT_AT: Final = "sent_at" in {field.name for field in PaymentOperation._meta.get_fields()}

HOUR: Final = timedelta(hours=1)
WINDOW: Final = timedelta(hours=24)

PAYER: Final = Payer(provider_id="bank")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Say how long ago a request was sent, and how fast the clocks of two machines are."""

    name: str
    age: timedelta
    is_sent_again: bool
    claimed_fast_by: timedelta = timedelta(0)
    reconciled_fast_by: timedelta = timedelta(0)


CASES: Final = (
    Case(name="an hour ago", age=HOUR, is_sent_again=True),
    Case(name="shortly before the margin", age=WINDOW - HOUR / 4, is_sent_again=True),
    Case(name="shortly after the margin", age=WINDOW - HOUR / 12, is_sent_again=False),
    Case(
        name="over, by a clock that was fast",
        age=WINDOW + HOUR / 2,
        claimed_fast_by=2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="over, by a clock that was slow",
        age=WINDOW + HOUR / 2,
        claimed_fast_by=-2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="over, for a clock that is slow",
        age=WINDOW + HOUR / 2,
        reconciled_fast_by=-2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="over, for a clock that is fast",
        age=WINDOW + HOUR / 2,
        reconciled_fast_by=2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="over, by and for clocks that are slow",
        age=WINDOW + HOUR / 2,
        claimed_fast_by=-2 * HOUR,
        reconciled_fast_by=-2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="over, by a fast clock and for a slow one",
        age=WINDOW + HOUR / 2,
        claimed_fast_by=2 * HOUR,
        reconciled_fast_by=-2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="not over, by a clock that was slow",
        age=23 * HOUR,
        claimed_fast_by=-2 * HOUR,
        is_sent_again=False,
    ),
    Case(
        name="not over, for a clock that is fast",
        age=23 * HOUR,
        reconciled_fast_by=2 * HOUR,
        is_sent_again=False,
    ),
    Case(name="not over, by a clock that was fast", age=22 * HOUR, claimed_fast_by=HOUR, is_sent_again=True),
)


def knowing_of_no_capture(act: Act) -> Any:
    """Have the bank's lists be behind its ledger."""
    answer = act()
    return replace(answer, fact=replace(answer.fact, captured_amount=None, movements=()))


def set_times(operation: PaymentOperation, **times: datetime) -> None:
    """Have an operation's row hold other times, as far as it holds them, past the house's managers."""
    if not HAS_SENT_AT:
        times.pop("sent_at", None)
    QuerySet(PaymentOperation).filter(pk=operation.pk).update(**times)


@pytest.mark.shows(
    "A capture got lost, and it is hours later that a worker runs; clocks of machines are two hours fast or slow",
    "It is sent again only while its key is known for sure; after that a person decides, and nothing is captured twice",
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_key_is_used_only_while_it_protects_by_every_clock(
    bank: Bank, clock: TestClock, payment: Payment, case: Case
) -> None:
    bank.next("capture", unanswered)
    with pytest.raises(OutcomeUnknownError):
        capture_payment(payment, amount="30.00")
    operation = PaymentOperation.objects.get(kind=OperationKind.CAPTURE)
    sent_at = datetime.now(UTC) - case.age
    set_times(
        operation,
        sent_at=sent_at,
        created_at=sent_at + case.claimed_fast_by,
        next_attempt_at=sent_at,
    )
    if case.age >= WINDOW:
        bank.forget_keys()
    bank.next("retrieve", knowing_of_no_capture)
    clock.advance(case.reconciled_fast_by)
    assert reconcile_due() == 1
    operation.refresh_from_db()
    assert bank.of(payment.session).captured == 30
    assert len(bank.requests("capture")) == (2 if case.is_sent_again else 1)
    if case.is_sent_again:
        assert operation.status == OperationStatus.SUCCEEDED
        bank.assert_agrees(payment.collection)
    else:
        assert operation.status == OperationStatus.ATTENTION
        assert operation.detail.startswith("not_found_after_key_window")
        assert operation.capture is not None
        assert operation.capture.status == MovementStatus.PENDING


needs_sent_at = pytest.mark.skipif(not HAS_SENT_AT, reason="operations don't hold yet when they were sent")


def sent_at(operation: PaymentOperation) -> datetime:
    """Return when an operation was sent, as its row has it."""
    rows: QuerySet[PaymentOperation, Any] = PaymentOperation.objects.filter(pk=operation.pk).values()
    moment: datetime = rows.get()["sent_at"]
    return moment


@needs_sent_at
@pytest.mark.parametrize("fast_by", [2 * HOUR, thoroughly(-2 * HOUR)], ids=["fast", "slow"])
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_time_of_sending_is_the_database_s(
    bank: Bank, clock: TestClock, verb: Verb, fast_by: timedelta, db: None
) -> None:
    collection = verb.prepare(PAYER)
    clock.advance(fast_by)
    verb.run(PAYER, collection)
    operation = PaymentOperation.objects.filter(collection=collection, kind=verb.kind).latest("created_at")
    assert abs(sent_at(operation) - datetime.now(UTC)) < timedelta(minutes=2)
    assert abs(operation.created_at - datetime.now(UTC)) > HOUR


@needs_sent_at
def test_time_of_sending_stays_that_of_the_first(bank: Bank, clock: TestClock, payment: Payment) -> None:
    bank.next("capture", lost, lost)
    with pytest.raises(PaymentError):
        capture_payment(payment, amount="30.00")
    operation = PaymentOperation.objects.get(kind=OperationKind.CAPTURE)
    set_times(operation, sent_at=datetime.now(UTC) - HOUR)
    first = sent_at(operation)
    clock.advance(timedelta(minutes=2))
    assert reconcile_due() == 1
    assert len(bank.requests("capture")) == 2
    assert sent_at(operation) == first


def test_moment_of_not_knowing_is_by_the_databases_clock(
    transactional_db: None, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timezone.now() + timedelta(hours=3)
    monkeypatch.setattr("payments.services.ledger.records.timezone.now", lambda: ahead)
    operation = unknown(DOUBTS["capture"], script, age=timedelta(0))
    monkeypatch.undo()
    assert operation.unclear_since is not None
    assert abs(operation.unclear_since - timezone.now()) < timedelta(minutes=5)
