"""What a person has booked by mistake a person can correct: a new entry, with the sums as if it had never been."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.utils import timezone
from django_fsm import TransitionNotAllowed

from payments import services
from payments.exceptions import (
    AmountError,
    InputError,
    OutcomeUnknownError,
    PaymentError,
    TransitionError,
)
from payments.models import Capture, Payment, PaymentCollection, PaymentEvent, PaymentOperation
from payments.providers import CaptureResult, MovementFact, RefundResult, SessionFact
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import Script, scripted_provider
from tests.reliability.books import assert_invariants
from tests.reliability.test_resolutions import CASES
from tests.reliability.test_resolved_amounts import OLD, WEBHOOK, booked, tell, unknown

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database_independent]

MONEY = ["authorize", "capture", "refund"]


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers."""
    with scripted_provider() as script:
        yield script


@pytest.fixture
def staff(transactional_db: None) -> Any:
    """Return a user who works at the shop."""
    return get_user_model().objects.create_user("alice", is_staff=True)


def decided(script: Script, kind: str, *, has_happened: bool = True, **said: Any) -> PaymentOperation:
    """Return an operation of 60.00 of 100.00 euros, or an authorization of 100.00, that a person has decided about."""
    operation = unknown(CASES[kind], script)
    return services.resolve_operation(operation, has_happened=has_happened, reason="Seen.", **said)


def sums(collection: PaymentCollection) -> tuple[Any, ...]:
    """Return what the books say in all."""
    collection.refresh_from_db()
    figures = collection.payments.order_by("created_at", "id").values_list(
        "status", "amount", "captured_amount", "refunded_amount", "canceled_amount"
    )
    totals = (collection.authorized_amount, collection.captured_amount, collection.refunded_amount)
    return collection.status, totals, list(figures)


def amounts(payment: Payment) -> list[Decimal]:
    """Return what a payment is for, what of it is captured, and what is released."""
    payment.refresh_from_db()
    return [payment.amount, payment.captured_amount, payment.canceled_amount]


@pytest.mark.shows(
    "A person said by mistake that a capture, a refund or an authorization has happened, and corrects that",
    "The sums are as if it had never been booked, and the history keeps both",
)
@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_yes_becomes_no(script: Script, staff: Any, kind: str) -> None:
    operation = unknown(CASES[kind], script)
    before = sums(operation.collection)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    corrected = services.correct_operation(
        operation, has_happened=False, reason="It was another order's.", actor=staff, source="admin"
    )
    assert (corrected.status, corrected.error_code) == ("declined", "resolved_as_not_done")
    assert sums(operation.collection) == before
    assert corrected.resolved_by == staff
    event = PaymentEvent.objects.get(type="operation.corrected")
    assert (event.source, event.actor, event.data["has_happened"]) == ("admin", staff, False)
    assert event.data["before"] == {"has_happened": True, "reason": "Seen.", "amount": "60"}
    assert PaymentEvent.objects.filter(type="operation.resolved").count() == 1
    assert PaymentEvent.objects.get(type=f"{kind}.failed").data == {"code": "corrected"}
    assert_invariants(operation.collection)


@pytest.mark.parametrize("kind", ["capture", "refund"])
@pytest.mark.parametrize("amount", ["10.00", "60.01", "100.00"])
def test_amount_becomes_another(script: Script, kind: str, amount: str) -> None:
    operation = decided(script, kind)
    corrected = services.correct_operation(operation, has_happened=True, amount=amount, reason="Misread.")
    assert corrected.status == "succeeded"
    assert booked(operation) == Decimal(amount)
    again = services.correct_operation(operation, has_happened=True, amount="60.00", reason="Not misread.")
    assert (again.status, booked(operation)) == ("succeeded", Decimal(60))
    assert_invariants(operation.collection)


@pytest.mark.parametrize("kind", MONEY)
def test_no_becomes_yes(script: Script, kind: str) -> None:
    operation = decided(script, kind, has_happened=False)
    corrected = services.correct_operation(operation, has_happened=True, reason="Found it.")
    assert (corrected.status, corrected.error_code) == ("succeeded", "")
    assert booked(operation) == (100 if kind == "authorize" else 60)
    assert_invariants(operation.collection)
    services.correct_operation(operation, has_happened=False, reason="It wasn't it.")
    assert_invariants(operation.collection)


def test_authorization_becomes_none_and_the_rest_is_to_be_paid_again(script: Script) -> None:
    operation = decided(script, "authorize")
    services.correct_operation(operation, has_happened=False, reason="Another order's.")
    assert sums(operation.collection) == (
        "not_paid",
        (0, 0, 0),
        [("canceled", Decimal(100), 0, 0, Decimal(100))],
    )
    assert_invariants(operation.collection)


def test_authorization_becomes_one_of_another_amount(script: Script) -> None:
    operation = decided(script, "authorize")
    services.correct_operation(operation, has_happened=True, amount="70", reason="Misread.")
    assert booked(operation) == 70
    with pytest.raises(AmountError) as refusal:
        services.correct_operation(operation, has_happened=True, amount="101", reason="Misread.")
    assert refusal.value.code == "exceeds_possible"
    services.correct_operation(operation, has_happened=True, amount="80", reason="Misread.")
    assert booked(operation) == 80
    assert_invariants(operation.collection)


@pytest.mark.shows(
    "What the provider has reported since is corrected by a person",
    "Refused: only a refund or a cancelation undoes what the provider has told of",
)
@pytest.mark.parametrize("kind", ["capture", "refund"])
@pytest.mark.parametrize("way", ["operation", "reference", "total"])
def test_what_the_provider_has_told_of_cannot_be_corrected(script: Script, kind: str, way: str) -> None:
    operation = decided(script, kind, provider_reference="tx_1")
    movement = MovementFact(
        kind=MovementKind(kind),
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(60),
        currency_code="eur",
        operation_id=operation.pk if way == "operation" else None,
        provider_reference="tx_1",
    )
    total: Any = {f"{'captured' if kind == 'capture' else 'refunded'}_amount": Decimal(60)}
    fact = (
        SessionFact(currency_code="eur", **total)
        if way == "total"
        else SessionFact(currency_code="eur", movements=(movement,))
    )
    services.record_fact(operation.session, fact, origin=WEBHOOK)
    for has_happened in (True, False):
        with pytest.raises(TransitionError) as refusal:
            services.correct_operation(operation, has_happened=has_happened, reason="No.")
        assert refusal.value.code == "already_recorded"
    assert booked(operation) == 60


def test_authorization_that_the_provider_has_told_of_cannot_be_corrected(script: Script) -> None:
    operation = decided(script, "authorize")
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(100))
    services.record_fact(operation.session, fact, origin=WEBHOOK)
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "already_recorded"


@pytest.mark.shows(
    "A provider reports after all what a person has corrected to not done", "The report is recorded"
)
@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_later_report_outdoes_a_correction(script: Script, kind: str) -> None:
    operation = decided(script, kind, provider_reference="tx_9")
    services.correct_operation(operation, has_happened=False, reason="Another order's.")
    tell(operation, "60.00", "tx_9")
    operation.refresh_from_db()
    assert booked(operation) == 60
    assert_invariants(operation.collection)
    with pytest.raises(TransitionError):
        services.correct_operation(operation, has_happened=False, reason="No.")


@pytest.mark.shows(
    "Money that a person has booked by mistake was refunded, captured or released since",
    "The correction is refused until that is undone",
)
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.PENDING, Outcome.UNKNOWN])
def test_capture_that_was_refunded_is_not_corrected_away(script: Script, outcome: Outcome) -> None:
    operation = decided(script, "capture")
    assert operation.payment is not None
    script.next("refund", RefundResult(outcome=outcome, amount=Decimal(1), currency_code="eur"))
    try:
        services.refund_payment(operation.payment, amount="1.00")
    except PaymentError:
        assert outcome == Outcome.UNKNOWN
    for said in ({"has_happened": False}, {"has_happened": True, "amount": "0.50"}):
        with pytest.raises(PaymentError) as refusal:
            services.correct_operation(operation, reason="No.", **said)
        assert refusal.value.code == "depended_on"
    assert booked(operation) == 60
    assert_invariants(operation.collection)


@pytest.mark.parametrize("verb", ["capture", "lost capture", "release"])
def test_hold_that_something_was_done_with_is_not_corrected_away(script: Script, verb: str) -> None:
    operation = decided(script, "authorize")
    payment = Payment.objects.get()
    if verb == "lost capture":
        script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
    try:
        services.cancel_payment(payment) if verb == "release" else services.capture_payment(
            payment, amount="1.00"
        )
    except PaymentError:
        assert verb == "lost capture"
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code in ("depended_on", "already_recorded")


@pytest.mark.shows(
    "A person has booked a hold and a capture of it that were another order's",
    "They take back both: that something was captured is no word of the provider's about the hold",
)
@pytest.mark.parametrize("amount", ["60.00", "100.00", "130.00"])
@pytest.mark.parametrize("held", ["80.00", "100.00"])
def test_hold_is_taken_back_after_the_capture_that_a_person_has_told_of(
    script: Script, held: str, amount: str
) -> None:
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    if held != "100.00":
        services.correct_operation(operation, has_happened=True, amount=held, reason="Misread.")
    [payment] = Payment.objects.all()
    captures = [lost_capture(payment, script, part) for part in ("50.00", "20.00")]
    for capture in captures:
        services.resolve_operation(
            capture, has_happened=True, amount=amount, reason="Seen.", accept_excess=True
        )
    for left, capture in enumerate(reversed(captures)):
        services.correct_operation(capture, has_happened=False, reason="Another order's.")
        payment.refresh_from_db()
        captured = 0 if left else Decimal(amount)
        assert (payment.captured_amount, payment.amount) == (captured, max(Decimal(held), captured))
        assert payment.is_by_person
        assert_invariants(operation.collection)

    services.correct_operation(operation, has_happened=False, reason="Another order's.")

    assert sums(operation.collection)[0] == "not_paid"


def lost_capture(payment: Payment, script: Script, amount: str) -> PaymentOperation:
    """Return a capture of which nobody has known for some time what became."""
    script.next("capture", TimeoutError())
    with pytest.raises(PaymentError):
        services.capture_payment(payment, amount=amount)
    operation = PaymentOperation.objects.get(status="unknown", kind="capture", amount=Decimal(amount))
    assert operation.unclear_since is not None
    PaymentOperation.objects.filter(pk=operation.pk).update(unclear_since=operation.unclear_since - OLD)
    return operation


def test_room_that_an_excess_took_is_given_back(script: Script) -> None:
    operation = unknown(CASES["capture"], script)
    fact = SessionFact(currency_code="eur", canceled_amount=Decimal(30))
    services.record_fact(operation.session, fact, origin=WEBHOOK)
    before = sums(operation.collection)
    services.resolve_operation(operation, has_happened=True, amount="110", reason="Seen.", accept_excess=True)
    payment = Payment.objects.get()
    assert amounts(payment) == [110, 110, 0]
    services.correct_operation(
        operation, has_happened=True, amount="90", reason="Misread.", accept_excess=True
    )
    assert amounts(payment) == [100, 90, 10]
    services.correct_operation(operation, has_happened=False, reason="Another order's.")
    assert sums(operation.collection) == before
    assert_invariants(operation.collection)


def test_excess_is_refused_in_a_correction_too_and_leaves_everything(script: Script) -> None:
    operation = decided(script, "capture")
    before, events = sums(operation.collection), PaymentEvent.objects.count()
    with pytest.raises(AmountError) as refusal:
        services.correct_operation(operation, has_happened=True, amount="100.01", reason="Misread.")
    assert refusal.value.code == "exceeds_possible"
    assert sums(operation.collection) == before
    assert PaymentEvent.objects.count() == events


@pytest.mark.shows(
    "A person has accepted that more is held than was asked, and corrects that to another excess",
    "Refused, unless they say once more that it is meant",
)
def test_a_second_word_counts_for_one_hold_only(script: Script) -> None:
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, amount="150", reason="Seen.", accept_excess=True)
    for amount in ("100.01", "149.99", "150.01"):
        with pytest.raises(AmountError) as refusal:
            services.correct_operation(operation, has_happened=True, amount=amount, reason="Misread.")
        assert (refusal.value.code, booked(operation)) == ("exceeds_possible", Decimal(150))

    services.correct_operation(
        operation, has_happened=True, amount="120", reason="Misread.", accept_excess=True
    )
    assert booked(operation) == operation.session.amount == Decimal(120)
    services.correct_operation(operation, has_happened=True, amount="100", reason="Misread.")
    operation.session.refresh_from_db()
    assert booked(operation) == operation.session.amount == Decimal(100)
    assert_invariants(operation.collection)


@pytest.mark.parametrize("word", [False, True])
def test_a_hold_is_corrected_to_no_more_than_is_left_to_pay(script: Script, word: bool) -> None:
    operation = decided(script, "authorize", amount="30.00")
    collection = operation.collection
    other = services.create_payment_session(collection, provider_id="scripted", amount="70.00")
    services.authorize_payment_session(other)
    said: dict[str, Any] = {"has_happened": True, "amount": "40.00", "reason": "Misread."}
    if word:
        services.correct_operation(operation, accept_excess=True, **said)
    else:
        with pytest.raises(AmountError, match=r"10\.00 EUR more") as refusal:
            services.correct_operation(operation, **said)
        assert refusal.value.code == "exceeds_possible"
    assert operation.session.payment is not None
    assert amounts(operation.session.payment) == [40 if word else 30, 0, 0]


@pytest.mark.parametrize("name", ["initiate", "update", "cancel a session", "cancel a payment"])
def test_what_moves_no_money_is_not_corrected(script: Script, name: str) -> None:
    operation = decided(script, name)
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "not_correctable"


@pytest.mark.parametrize("kind", MONEY)
def test_what_the_provider_has_answered_is_not_corrected(script: Script, kind: str) -> None:
    operation = unknown(CASES[kind], script)
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "not_correctable"
    for each in PaymentOperation.objects.filter(status="succeeded"):
        with pytest.raises(TransitionError):
            services.correct_operation(each, has_happened=False, reason="No.")
        with pytest.raises(TransitionNotAllowed):
            each.correct(code="corrected")


@pytest.mark.parametrize("kind", MONEY)
def test_correction_that_changes_nothing_is_refused(script: Script, kind: str) -> None:
    operation = decided(script, kind)
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=True, reason="The same.")
    assert refusal.value.code == "nothing_to_correct"
    with pytest.raises(InputError):
        services.correct_operation(operation, has_happened=False, reason=" ")


def test_movement_of_the_provider_has_no_way_to_be_corrected(script: Script) -> None:
    operation = decided(script, "refund")
    assert operation.payment is not None
    capture = operation.payment.captures.get()
    assert not capture.is_by_person
    with pytest.raises(TransitionNotAllowed):
        capture.correct(code="corrected")


def captures_in_doubt(script: Script, *shares: str) -> list[PaymentOperation]:
    """Return the operations of captures of a payment of 100.00 euros, of which nobody knows yet what became."""
    payment = decided(script, "authorize").session.payment
    assert payment is not None
    Payment.objects.filter(pk=payment.pk).update(is_by_person=False)
    for share in shares:
        script.next("capture", TimeoutError())
        with pytest.raises(OutcomeUnknownError):
            services.capture_payment(payment, amount=share)
    found = PaymentOperation.objects.filter(kind="capture")
    QuerySet(PaymentOperation).filter(kind="capture").update(
        unclear_since=timezone.now() - timedelta(hours=1)
    )
    return list(found.order_by("created_at", "id"))


@pytest.mark.shows(
    "Persons book more than was authorized of several captures, and correct that in any order",
    "Once no more is said to be captured than was authorized, no more is held than was",
)
@pytest.mark.parametrize(
    ("said", "corrected"),
    [
        (("100.00", "40.00"), ("60.00", "40.00")),
        (("150.00", "40.00"), (None, "40.00")),
        (("60.00", "90.00"), ("60.00", None)),
    ],
)
def test_no_excess_that_was_taken_back_stays_held(
    script: Script, said: tuple[str, str], corrected: tuple[str | None, str | None]
) -> None:
    operations = captures_in_doubt(script, "60.00", "40.00")
    for operation, amount in zip(operations, said, strict=True):
        services.resolve_operation(
            operation, has_happened=True, amount=amount, reason="Seen.", accept_excess=True
        )
    for operation, before, after in zip(operations, said, corrected, strict=True):
        if after != before:
            services.correct_operation(
                operation, has_happened=after is not None, amount=after, reason="Misread."
            )

    payment = Payment.objects.get()
    captured = sum(Decimal(amount) for amount in corrected if amount is not None)
    assert (payment.amount, payment.captured_amount) == (Decimal(100), captured)
    assert_invariants(payment.collection)


@pytest.mark.parametrize(
    "steps", [("70.00", None), (None, "50.00", None), ("30.00", "50.00", None), (None, "60.00", None)]
)
def test_a_receipt_is_corrected_again_and_again(
    transactional_db: None, steps: tuple[str | None, ...]
) -> None:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    services.mark_payment_collection_as_paid(collection, amount="50.00")
    operation = PaymentOperation.objects.get(kind="capture")
    for amount in steps:
        services.correct_operation(
            operation, has_happened=amount is not None, amount=amount, reason="Misread.", accept_excess=True
        )
        collection.refresh_from_db()
        assert collection.captured_amount == collection.authorized_amount == Decimal(amount or 0), amount
    assert_invariants(collection)


@pytest.mark.shows(
    "Money is marked as received, then as not received, and then as received after all",
    "Its session is authorized exactly as long as the books have the money",
)
@pytest.mark.parametrize("amount", ["100.00", "60.00"])
def test_a_session_is_authorized_again_with_its_receipt(transactional_db: None, amount: str) -> None:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    services.mark_payment_collection_as_paid(collection)
    operation = PaymentOperation.objects.get(kind="capture")
    for is_received in (False, True, False, True):
        services.correct_operation(
            operation,
            has_happened=is_received,
            amount=amount if is_received else None,
            reason="Looked again.",
            accept_excess=True,
        )
        session = collection.sessions.get()
        assert session.status == ("authorized" if is_received else "canceled")
        collection.refresh_from_db()
        assert collection.authorized_amount == (Decimal(amount) if is_received else Decimal(0))
    assert_invariants(collection)


def test_the_providers_reference_counts_for_more_than_a_persons(script: Script) -> None:
    [operation] = captures_in_doubt(script, "40.00")
    services.resolve_operation(
        operation, has_happened=True, reason="Seen.", provider_reference="cap_mistyped"
    )
    capture = MovementFact(
        kind=MovementKind.CAPTURE,
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(40),
        currency_code="eur",
        provider_reference="cap_9",
    )
    fact = SessionFact(currency_code="eur", captured_amount=Decimal(40), movements=(capture,))
    named = replace(fact, movements=(replace(capture, operation_id=operation.pk),))

    for told in (fact, named, fact):
        services.record_fact(operation.session, told, origin=WEBHOOK)

    row = Capture.objects.get()
    assert (row.amount, row.provider_reference) == (Decimal(40), "cap_9")
    assert operation.collection.payments.get().captured_amount == Decimal(40)
