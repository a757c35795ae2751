"""A person says what happened with which amount, and the books never hold more than the provider can have moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from payments import services
from payments.exceptions import (
    AmountError,
    InputError,
    OperationInProgressError,
    OutcomeUnknownError,
    PaymentError,
    TransitionError,
)
from payments.models import Capture, PaymentEvent, PaymentOperation, Refund
from payments.providers import CaptureResult, MovementFact, RefundResult, SessionFact
from payments.services.operations import foresee, reported_of
from payments.states import EventSource, MovementKind, MovementStatus, OperationKind, Outcome
from payments.testing import Script, scripted_provider
from tests.reliability.books import assert_invariants
from tests.reliability.news import thoroughly
from tests.reliability.test_resolutions import CASES, Case

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database_independent]

WEBHOOK = services.Origin(source=EventSource.WEBHOOK)
OLD = timedelta(minutes=11)
MOVEMENTS = ["capture", "refund"]
USUAL = {
    ("capture", "59.00", "unknown"),
    ("refund", "59.00", "attention"),
    ("capture", "60.00", "attention"),
    ("refund", "60.00", "unknown"),
    ("capture", "60.01", "unknown"),
    ("refund", "60.01", "attention"),
}
"""Cases in which each two of what they differ in come together once at least."""


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers."""
    with scripted_provider() as script:
        yield script


def unknown(case: Case, script: Script, *, age: timedelta = OLD) -> PaymentOperation:
    """Return an operation whose outcome has been unknown for some time; a capture or refund is of 60.00 of 100.00."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    case.prepare(collection)
    script.next(case.verb, TimeoutError())
    with pytest.raises(PaymentError):
        case.run(collection)
    operation = PaymentOperation.objects.get(collection=collection, status="unknown")
    assert operation.unclear_since is not None
    PaymentOperation.objects.filter(pk=operation.pk).update(unclear_since=operation.unclear_since - age)
    return operation


def attention(case: Case, script: Script) -> PaymentOperation:
    """Return an operation that needs a person."""
    operation = unknown(case, script, age=timedelta(0))
    operation.require_attention(detail="unresolved")
    operation.save()
    return operation


IN = {"unknown": unknown, "attention": attention}


def booked(operation: PaymentOperation) -> Decimal:
    """Return what the books hold of what an operation is about."""
    session = operation.collection.sessions.select_related("authorized_payment").get()
    if operation.kind == OperationKind.UPDATE:
        return Decimal(session.amount)
    assert session.payment is not None
    name = {"authorize": "amount", "capture": "captured_amount", "refund": "refunded_amount"}
    return Decimal(getattr(session.payment, name[operation.kind]))


def tell(operation: PaymentOperation, amount: str, reference: str | None = "tx_9") -> None:
    """Have a webhook tell of a movement that names no operation of ours."""
    movement = MovementFact(
        kind=MovementKind(operation.kind),
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(amount),
        currency_code="eur",
        provider_reference=reference,
    )
    services.record_fact(
        operation.session, SessionFact(currency_code="eur", movements=(movement,)), origin=WEBHOOK
    )


@pytest.mark.shows(
    "A person finds out that an operation in doubt was carried out with another amount",
    "The books hold what has happened, not what was asked, and the history keeps both",
)
@pytest.mark.parametrize(
    ("kind", "amount", "status"),
    [
        case if case in USUAL else thoroughly(*case)
        for case in product(MOVEMENTS, ["59.00", "60.00", "60.01"], IN)
    ],
)
def test_movement_is_booked_with_the_amount_that_has_moved(
    script: Script, kind: str, amount: str, status: str
) -> None:
    operation = IN[status](CASES[kind], script)
    resolved = services.resolve_operation(operation, has_happened=True, amount=amount, reason="Seen.")
    assert (resolved.status, resolved.amount) == ("succeeded", Decimal(60))
    assert booked(operation) == Decimal(amount)
    event = PaymentEvent.objects.get(type="operation.resolved")
    assert event.data["amount"] == f"{Decimal(amount).normalize():f}"
    assert_invariants(operation.collection)


@pytest.mark.parametrize("status", IN)
@pytest.mark.parametrize("amount", ["40.00", "100.00"])
def test_authorization_is_booked_with_what_is_held(script: Script, amount: str, status: str) -> None:
    operation = IN[status](CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, amount=amount, reason="Seen.")
    assert booked(operation) == Decimal(amount)
    assert_invariants(operation.collection)


@pytest.mark.parametrize("amount", ["55.00", "60.00"])
def test_update_is_booked_with_what_the_provider_has(script: Script, amount: str) -> None:
    operation = unknown(CASES["update"], script)
    resolved = services.resolve_operation(operation, has_happened=True, amount=amount, reason="Seen.")
    assert (resolved.status, booked(operation)) == ("succeeded", Decimal(amount))


@pytest.mark.shows(
    "A person resolves an operation with more than the provider can have moved",
    "Refused, unless they say once more that it is meant; then the books hold it and say what is too much",
)
@pytest.mark.parametrize(
    ("kind", "amount", "words"),
    [
        (
            "capture",
            "100.01",
            "Captured so far 0.00 EUR; with this 100.01 EUR, which is 0.01 EUR more than was authorized.",
        ),
        (
            "authorize",
            "110.00",
            "110.00 EUR would be held, which is 10.00 EUR more than was asked, or is left to pay.",
        ),
    ],
)
def test_more_than_possible_needs_a_second_word(script: Script, kind: str, amount: str, words: str) -> None:
    operation = unknown(CASES[kind], script)
    with pytest.raises(AmountError) as refusal:
        services.resolve_operation(operation, has_happened=True, amount=amount, reason="Seen.")
    assert (refusal.value.code, refusal.value.message) == ("exceeds_possible", words)
    operation.refresh_from_db()
    assert operation.status == "unknown"
    resolved = services.resolve_operation(
        operation, has_happened=True, amount=amount, reason="Seen.", accept_excess=True
    )
    assert resolved.status == "succeeded"
    assert booked(operation) == Decimal(amount)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.parametrize("word", [False, True])
def test_more_than_was_captured_never_went_back(script: Script, word: bool) -> None:
    operation = unknown(CASES["refund"], script)
    with pytest.raises(AmountError) as refusal:
        services.resolve_operation(
            operation, has_happened=True, amount="100.01", reason="Seen.", accept_excess=word
        )
    assert refusal.value.code == "exceeds_captured"
    assert booked(operation) == 0


def test_what_was_captured_already_counts(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    tell(operation, "60.00", "tx_1")
    with pytest.raises(PaymentError):
        services.resolve_operation(operation, has_happened=True, reason="Seen.", provider_reference="tx_2")
    outlook = foresee(
        operation, has_happened=True, provider_reference="tx_2", amount="40", accept_excess=False
    )
    assert (outlook.before, outlook.after, outlook.excess) == (Decimal(60), Decimal(100), Decimal(0))
    services.resolve_operation(
        operation, has_happened=True, amount="40", reason="Seen.", provider_reference="tx_2"
    )
    assert booked(operation) == 100
    assert_invariants(operation.collection)


@pytest.mark.parametrize(
    ("name", "fact", "how", "total"),
    [
        ("capture", SessionFact(currency_code="eur", canceled_amount=Decimal(90)), {"amount": "10.00"}, 10),
        (
            "refund",
            SessionFact(currency_code="eur", charged_back_amount=Decimal(70)),
            {"accept_excess": True},
            60,
        ),
    ],
    ids=["released", "taken back by the bank"],
)
def test_what_is_no_longer_there_counts_as_gone(
    script: Script, name: str, fact: SessionFact, how: dict[str, Any], total: int
) -> None:
    operation = unknown(CASES[name], script)
    services.record_fact(operation.session, fact, origin=WEBHOOK)
    with pytest.raises(AmountError) as refusal:
        services.resolve_operation(operation, has_happened=True, reason="Seen.")
    assert refusal.value.code == "exceeds_possible"
    services.resolve_operation(operation, has_happened=True, reason="Seen.", **how)
    assert booked(operation) == total
    assert_invariants(operation.collection)


@pytest.mark.shows(
    "A webhook has brought the same money into the books before a person resolves the operation",
    "It is booked once: the person is told of it, and its reference says that it is the same",
)
@pytest.mark.parametrize("status", IN)
@pytest.mark.parametrize("kind", MOVEMENTS)
@pytest.mark.parametrize("is_named", [True, False])
def test_same_money_is_not_booked_twice(script: Script, kind: str, status: str, is_named: bool) -> None:
    operation = IN[status](CASES[kind], script)
    tell(operation, "60.00", "tx_9")
    model = Capture if kind == "capture" else Refund
    twin = model.objects.get(provider_reference="tx_9")
    with pytest.raises(TransitionError) as refusal:
        services.resolve_operation(operation, has_happened=True, reason="Seen.")
    assert refusal.value.code == "possibly_booked"
    assert "tx_9" in refusal.value.message
    reference = "tx_9" if is_named else twin.pk
    assert foresee(operation, has_happened=True, provider_reference=reference).twin == twin
    resolved = services.resolve_operation(
        operation, has_happened=True, reason="Seen.", provider_reference=reference
    )
    assert (resolved.status, booked(operation)) == ("succeeded", Decimal(60))
    assert resolved.target_id == twin.pk
    rows = model.objects.filter(payment=twin.payment).order_by("created_at")
    assert [(row.status, row.error_code) for row in rows if row.pk != twin.pk][-1:] == [
        ("failed", "booked_otherwise")
    ]
    assert_invariants(operation.collection)


def test_other_money_of_the_same_amount_is_booked_when_that_is_said(script: Script) -> None:
    half = replace(
        CASES["capture"],
        run=lambda collection: services.capture_payment(collection.payments.get(), amount="30.00"),
    )
    operation = unknown(half, script)
    tell(operation, "30.00")
    with pytest.raises(TransitionError):
        services.resolve_operation(operation, has_happened=True, amount="30", reason="Seen.")
    services.resolve_operation(
        operation, has_happened=True, amount="30", reason="Seen.", provider_reference="tx_other"
    )
    assert booked(operation) == 60
    assert_invariants(operation.collection)


def test_reference_of_what_has_another_amount_is_refused(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    tell(operation, "50.00")
    with pytest.raises(InputError) as refusal:
        services.resolve_operation(operation, has_happened=True, reason="Seen.", provider_reference="tx_9")
    assert refusal.value.code == "reference_has_other_amount"
    services.resolve_operation(
        operation, has_happened=True, amount="50", reason="Seen.", provider_reference="tx_9"
    )
    assert booked(operation) == 50


def test_reference_of_another_operation_is_refused(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    assert operation.payment is not None
    script.next(
        "capture",
        CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=Decimal(10), currency_code="eur", provider_reference="tx_9"
        ),
    )
    services.capture_payment(operation.payment, amount="10.00")
    with pytest.raises(InputError) as refusal:
        services.resolve_operation(
            operation, has_happened=True, amount="10", reason="Seen.", provider_reference="tx_9"
        )
    assert refusal.value.code == "reference_taken"


@pytest.mark.shows(
    "The provider answers with another amount than was asked, and a person resolves it as reported",
    "What was reported is filled in, with the provider's reference, and booked; a later report of it is no news",
)
@pytest.mark.parametrize("kind", MOVEMENTS)
def test_what_was_reported_is_filled_in_and_known_afterwards(script: Script, kind: str) -> None:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    case = CASES[kind]
    case.prepare(collection)
    result_class: Any = CaptureResult if kind == "capture" else RefundResult
    wrong = result_class(
        outcome=Outcome.SUCCEEDED, amount=Decimal(55), currency_code="eur", provider_reference="tx_5"
    )
    script.next(case.verb, wrong)
    with pytest.raises(OutcomeUnknownError):
        case.run(collection)
    operation = PaymentOperation.objects.get(status="attention")
    reported = reported_of(operation)
    assert (reported.amount, reported.reference) == (Decimal(55), "tx_5")
    services.resolve_operation(
        operation,
        has_happened=True,
        amount=reported.amount,
        provider_reference=reported.reference,
        reason="Seen.",
    )
    assert booked(operation) == 55
    movement = MovementFact(
        kind=MovementKind(kind),
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(55),
        currency_code="eur",
        provider_reference="tx_5",
    )
    for known in (movement, replace(movement, operation_id=operation.pk)):
        services.record_fact(
            operation.session, SessionFact(currency_code="eur", movements=(known,)), origin=WEBHOOK
        )
    assert booked(operation) == 55
    assert not PaymentOperation.objects.open().exists()
    assert_invariants(operation.collection)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("0", "not_positive"),
        ("-1", "not_positive"),
        ("10.005", "too_many_decimals"),
        ("nothing", "invalid"),
    ],
)
def test_amount_that_cannot_be_is_refused(script: Script, amount: str, code: str) -> None:
    operation = attention(CASES["capture"], script)
    with pytest.raises(AmountError) as refusal:
        services.resolve_operation(operation, has_happened=True, amount=amount, reason="Seen.")
    assert refusal.value.code == code
    operation.refresh_from_db()
    assert operation.status == "attention"


@pytest.mark.parametrize(
    ("name", "has_happened"),
    [
        *product(CASES, [False]),
        *((name, True) for name in CASES if name not in ("update", "authorize", "capture", "refund")),
    ],
)
def test_amount_is_refused_where_none_is_expected(script: Script, name: str, has_happened: bool) -> None:
    operation = attention(CASES[name], script)
    with pytest.raises(InputError) as refusal:
        services.resolve_operation(operation, has_happened=has_happened, amount="1", reason="Seen.")
    assert (refusal.value.code, refusal.value.field) == ("amount_not_expected", "amount")


@pytest.mark.shows(
    "A person resolves an operation whose outcome has been unknown for less than ten minutes",
    "Refused: nobody can know yet; after ten minutes by the database's clock it is taken",
)
@pytest.mark.parametrize(
    ("name", "has_happened"),
    [
        case if case[0] in ("capture", "authorize") else thoroughly(*case)
        for case in product(CASES, [True, False])
    ],
)
def test_unknown_outcome_is_resolved_after_ten_minutes(script: Script, name: str, has_happened: bool) -> None:
    operation = unknown(CASES[name], script, age=timedelta(minutes=9, seconds=50))
    with pytest.raises(TransitionError) as refusal:
        services.resolve_operation(operation, has_happened=has_happened, reason="Seen.")
    assert refusal.value.code == "too_early"
    assert operation.unclear_since is not None
    PaymentOperation.objects.filter(pk=operation.pk).update(unclear_since=operation.unclear_since - OLD)
    resolved = services.resolve_operation(operation, has_happened=has_happened, reason="Seen.")
    assert resolved.status == ("succeeded" if has_happened else "declined")
    assert_invariants(operation.collection)


@pytest.mark.parametrize("status", ["processing", "pending", "succeeded", "declined", "not_sent"])
def test_nothing_else_is_resolved(script: Script, status: str) -> None:
    operation = unknown(CASES["capture"], script)
    is_open = status in ("processing", "pending")
    key, finished_at = (operation.in_flight_key, None) if is_open else (None, operation.created_at)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_paymentoperation SET status = %s, in_flight_key = %s, finished_at = %s, error_code = %s "
            "WHERE id = %s",
            [status, key, finished_at, "" if status == "succeeded" else "not_sent", operation.pk],
        )
    with pytest.raises(TransitionError) as refusal:
        services.resolve_operation(operation, has_happened=True, reason="Seen.")
    assert refusal.value.code == "not_in_attention"


@pytest.mark.shows(
    "A person resolves an operation that a worker is just sending again", "Refused until the worker is done"
)
def test_operation_that_is_being_sent_again_is_not_resolved(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    PaymentOperation.objects.filter(pk=operation.pk).update(
        lease_owner="worker", lease_expires_at=timezone.now() + timedelta(minutes=1)
    )
    with pytest.raises(OperationInProgressError):
        services.resolve_operation(operation, has_happened=False, reason="Not seen.")


def test_refund_beside_another_that_is_pending_takes_what_was_captured(script: Script) -> None:
    operation = unknown(CASES["refund"], script)
    assert operation.payment is not None
    script.next("refund", RefundResult(outcome=Outcome.PENDING))
    services.refund_payment(operation.payment, amount="40.00")
    services.resolve_operation(operation, has_happened=True, amount="50", reason="Seen.")
    assert booked(operation) == 50
    with pytest.raises(PaymentError):
        services.refund_payment(operation.payment, amount="20.00")
