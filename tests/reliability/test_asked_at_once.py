"""Somebody who does not want to wait for the reconciler has its next step done at once, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from payments.exceptions import (
    OpenTransactionError,
    OperationInProgressError,
    OutcomeUnknownError,
    PaymentError,
)
from payments.models import PaymentEvent, PaymentOperation
from payments.providers import CaptureResult, MovementFact, RetrieveResult, SessionFact
from payments.services import Origin, check_operation, create_payment_collection, reconcile_due
from payments.services.ledger.locks import LEASE
from payments.services.operations import look_into
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import Script, scripted_provider
from tests.reliability.books import assert_invariants
from tests.reliability.test_resolutions import CASES, Case

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers; it knows of no session unless it is told to."""
    with scripted_provider() as script:
        yield script


def unknown(case: Case, script: Script) -> PaymentOperation:
    """Return an operation whose answer got lost."""
    collection = create_payment_collection(amount="100.00", currency_code="eur")
    case.prepare(collection)
    script.next(case.verb, TimeoutError())
    with pytest.raises(PaymentError):
        case.run(collection)
    return PaymentOperation.objects.get(collection=collection, status="unknown")


def schedule_of(operation: PaymentOperation) -> tuple[Any, ...]:
    """Return what says when the reconciler looks at an operation, and how often it has."""
    row = PaymentOperation.objects.get(pk=operation.pk)
    return row.status, row.checks, row.next_attempt_at, row.lease_owner, row.lease_expires_at


def reported(operation: PaymentOperation) -> RetrieveResult:
    """Return the answer of a provider that has done a capture."""
    movement = MovementFact(
        kind=MovementKind.CAPTURE,
        status=MovementStatus.SUCCEEDED,
        amount=operation.amount,
        currency_code="eur",
        operation_id=operation.pk,
        provider_reference="cap_1",
    )
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, movements=(movement,))
    return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)


@pytest.mark.shows(
    "Somebody presses “Check now” on an operation in doubt that the provider doesn't know of",
    "It is sent again at once, under its own key, and happens once",
)
@pytest.mark.parametrize("name", CASES)
def test_what_the_provider_does_not_know_of_is_sent_again_under_its_key(script: Script, name: str) -> None:
    case = CASES[name]
    operation = unknown(case, script)
    checked = check_operation(operation)
    assert checked.status == "succeeded"
    keys = [request.idempotency_key for request in script.requests(case.verb)]
    assert keys[-2:] == [operation.pk] * 2
    assert case.is_done(operation.collection.sessions.select_related("authorized_payment").get())
    assert_invariants(operation.collection)


@pytest.mark.shows(
    "Somebody presses “Check now” on an operation in doubt that the provider has carried out",
    "What the provider knows is recorded, and nothing is sent again",
)
def test_what_the_provider_has_done_is_recorded_and_not_sent_again(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    script.next("retrieve", reported(operation))
    finding = look_into(operation, origin=Origin())
    assert finding.operation.status == "succeeded"
    assert [event.type for event in finding.news] == ["payment.captured"]
    assert len(script.requests("capture")) == 1
    assert_invariants(operation.collection)


@pytest.mark.shows(
    "Somebody presses “Check now” again and again while the provider is away",
    "The operation stays in doubt, and the reconciler's own looks are neither used up nor put off",
)
@pytest.mark.parametrize("answer", [TimeoutError(), RetrieveResult(outcome=Outcome.NOT_SENT)])
def test_asking_in_vain_changes_nothing(script: Script, answer: Any) -> None:
    operation = unknown(CASES["refund"], script)
    before, events = schedule_of(operation), PaymentEvent.objects.count()
    script.next("retrieve", *[answer] * 10)
    for _time in range(10):
        check_operation(operation)
    assert schedule_of(operation) == before
    assert PaymentEvent.objects.count() == events


def test_another_lost_answer_leaves_the_looks_that_are_to_come(script: Script) -> None:
    operation = unknown(CASES["refund"], script)
    for _time in range(10):
        script.next("refund", TimeoutError())
        check_operation(operation)
    checked = PaymentOperation.objects.get(pk=operation.pk)
    assert (checked.status, checked.checks, checked.lease_owner) == ("unknown", 0, "")
    assert checked.next_attempt_at is not None


@pytest.mark.shows(
    "Somebody presses “Check now” while a worker, or the first caller, is at the operation",
    "Refused: nothing is sent beside them",
)
@pytest.mark.parametrize("status", ["processing", "unknown", "pending"])
def test_operation_that_is_being_worked_on_is_left_alone(script: Script, status: str) -> None:
    operation = unknown(CASES["capture"], script)
    calls = len(script.calls)
    PaymentOperation.objects.filter(pk=operation.pk).update(
        lease_owner="" if status == "processing" else "worker", lease_expires_at=timezone.now() + LEASE
    )
    _put_into(operation, status)
    with pytest.raises(OperationInProgressError) as refusal:
        check_operation(operation)
    assert refusal.value.operation_id == operation.pk
    assert len(script.calls) == calls


@pytest.mark.shows(
    "Somebody presses “Check now” on a call whose caller has vanished, or whose worker has",
    "It is taken over",
)
@pytest.mark.parametrize("status", ["processing", "unknown"])
def test_abandoned_operation_is_taken_over(script: Script, status: str) -> None:
    operation = unknown(CASES["capture"], script)
    PaymentOperation.objects.filter(pk=operation.pk).update(
        lease_owner="worker", lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    _put_into(operation, status)
    assert check_operation(operation).status == "succeeded"


def test_worker_and_second_asker_stay_away_meanwhile(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    PaymentOperation.objects.filter(pk=operation.pk).update(next_attempt_at=timezone.now())

    def meanwhile(request: Any) -> CaptureResult:
        assert reconcile_due() == 0
        with pytest.raises(OperationInProgressError):
            check_operation(operation)
        return CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code=request.currency_code
        )

    script.next("capture", meanwhile)
    assert check_operation(operation).status == "succeeded"
    assert len(script.requests("capture")) == 2


@pytest.mark.shows(
    "Somebody presses “Check now” on what needs a person",
    "The provider is asked, and what it reports settles it; nothing is ever sent again",
)
def test_what_needs_a_person_is_asked_about_and_not_sent(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    operation.require_attention(detail="unresolved")
    operation.save()
    assert check_operation(operation).status == "attention"
    script.next("retrieve", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        check_operation(operation)
    script.next("retrieve", reported(operation))
    checked = check_operation(operation)
    assert (checked.status, len(script.requests("capture"))) == ("succeeded", 1)
    assert checked.payment is not None
    assert checked.payment.captured_amount == Decimal(60)


def test_what_is_over_is_not_asked_about(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    check_operation(operation)
    calls = len(script.calls)
    assert check_operation(operation).status == "succeeded"
    assert len(script.calls) == calls


def test_transaction_of_the_caller_is_refused(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    with transaction.atomic(), pytest.raises(OpenTransactionError):
        check_operation(operation)


def _put_into(operation: PaymentOperation, status: str) -> None:
    """Have an operation in a status that it can't be brought into by itself."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_paymentoperation SET status = %s WHERE id = %s", [status, operation.pk]
        )
