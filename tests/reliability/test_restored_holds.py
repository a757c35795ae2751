"""A hold that a person took back by mistake is there again, once its provider or a person says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from payments import services
from payments.exceptions import AmountError, InputError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation
from payments.providers import AuthorizeResult, MovementFact, SessionFact
from payments.services.ledger.records import record_result
from payments.services.operations import check_correctable, foresee
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import Script, scripted_provider
from tests.reliability.books import assert_invariants, event_count
from tests.reliability.test_resolutions import CASES
from tests.reliability.test_resolved_amounts import WEBHOOK, unknown

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database_independent]

HELD: Final = SessionFact(
    currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(100)
)
RELEASED: Final = SessionFact(currency_code="eur", status=SessionStatus.CANCELED)
CAPTURED: Final = MovementFact(
    kind=MovementKind.CAPTURE,
    status=MovementStatus.SUCCEEDED,
    amount=Decimal(60),
    currency_code="eur",
    provider_reference="cap_1",
)


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers."""
    with scripted_provider() as script:
        yield script


def taken_back(script: Script, *, amount: str | None = None) -> PaymentOperation:
    """Return an authorization of 100.00 euros that a person has booked, and then taken back."""
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, amount=amount, reason="Seen.")
    return services.correct_operation(operation, has_happened=False, reason="Another order's.")


def tell(operation: PaymentOperation, fact: SessionFact) -> Payment:
    """Have a webhook report something, twice, and return the payment as it is then."""
    for _each in range(2):
        services.record_fact(operation.session, fact, origin=WEBHOOK)
    operation.refresh_from_db()
    assert_invariants(operation.collection)
    return Payment.objects.get(session=operation.session)


def assert_held(payment: Payment, amount: int = 100) -> None:
    """See that a payment holds an amount as if nobody had ever taken it back."""
    session, collection = payment.session, payment.collection
    assert figures(payment) == ["authorized", amount, 0, 0]
    assert (payment.canceled_at, session.status, session.canceled_at) == (None, "authorized", None)
    assert session.authorized_at is not None
    assert collection.authorized_amount == amount


def pay_otherwise(collection: PaymentCollection) -> None:
    """Have somebody pay for a collection by another session."""
    services.authorize_payment_session(services.create_payment_session(collection, provider_id="scripted"))


def figures(payment: Payment) -> list[Any]:
    """Return how a payment stands: its status, amount, what was captured and what is released."""
    return [payment.status, payment.amount, payment.captured_amount, payment.canceled_amount]


def attention() -> list[str]:
    """Return why operations need a person."""
    return list(PaymentOperation.objects.filter(status="attention").values_list("detail", flat=True))


@pytest.mark.shows(
    "A provider reports that it holds what a person took back by mistake",
    "The payment holds it again, the provider has told of it, and the shop hears that the order is covered",
)
@pytest.mark.parametrize("amount", [None, 100, 70])
def test_report_restores_what_was_taken_back(script: Script, amount: int | None) -> None:
    operation = taken_back(script)
    stated = None if amount is None else Decimal(amount)
    payment = tell(operation, replace(HELD, authorized_amount=stated))
    assert_held(payment, amount or 100)
    assert (operation.status, operation.error_code, payment.is_by_person) == ("succeeded", "", False)
    assert event_count(operation.collection, "collection.authorized") == (1 if amount == 70 else 2)
    assert event_count(operation.collection, "payment.authorized") == 2
    assert not PaymentOperation.objects.open().exists()
    with pytest.raises(TransitionError) as refusal:
        services.correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "already_recorded"
    services.capture_payment(payment)


def test_late_answer_restores_what_was_taken_back(script: Script) -> None:
    operation = taken_back(script)
    answer = AuthorizeResult(outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur")
    record_result(operation, answer)
    assert_held(Payment.objects.get())
    operation.refresh_from_db()
    assert operation.status == "succeeded"


@pytest.mark.parametrize(
    "fact",
    [
        replace(HELD, captured_amount=Decimal(60)),
        SessionFact(currency_code="eur", captured_amount=Decimal(60)),
        SessionFact(currency_code="eur", movements=(CAPTURED,)),
    ],
)
def test_report_of_a_capture_restores_the_rest_too(script: Script, fact: SessionFact) -> None:
    operation = taken_back(script)
    payment = tell(operation, fact)
    assert figures(payment) == ["partially_captured", 100, 60, 0]
    assert (payment.canceled_at, payment.session.status) == (None, "authorized")
    assert not attention()


def test_report_with_a_part_that_was_released_restores_the_rest(script: Script) -> None:
    payment = tell(taken_back(script), replace(HELD, canceled_amount=Decimal(30)))
    assert figures(payment) == ["authorized", 100, 0, 30]


def test_report_of_more_than_was_asked_restores_nothing(script: Script) -> None:
    payment = tell(taken_back(script), replace(HELD, authorized_amount=Decimal(120)))
    assert (payment.status, payment.is_taken_back) == ("canceled", True)
    assert attention() == ["authorized_amount_mismatch: expected 100, reported 120"]


@pytest.mark.shows(
    "A person takes back by mistake what is held, and says then that it is",
    "The payment holds it again, by a person's word, which can be corrected again",
)
@pytest.mark.parametrize(("first", "then", "held"), [(None, None, 100), ("70", None, 70), ("70", "80", 80)])
def test_persons_second_word_restores_what_was_taken_back(
    script: Script, first: str | None, then: str | None, held: int
) -> None:
    operation = taken_back(script, amount=first)
    check_correctable(operation)
    for _each in range(2):
        corrected = services.correct_operation(
            operation, has_happened=True, amount=then, reason="Ours after all."
        )
        assert (corrected.status, corrected.error_code) == ("succeeded", "")
        payment = Payment.objects.get()
        assert_held(payment, held)
        assert payment.is_by_person
        with pytest.raises(TransitionError) as refusal:
            services.correct_operation(operation, has_happened=True, reason="Ours after all.")
        assert refusal.value.code == "nothing_to_correct"
        services.correct_operation(operation, has_happened=False, reason="Another order's.")
        assert (Payment.objects.get().status, operation.collection.payments.count()) == ("canceled", 1)
        assert_invariants(operation.collection)
    tell(operation, HELD)
    assert_held(Payment.objects.get())


def test_persons_word_of_more_than_was_asked_needs_a_second_one(script: Script) -> None:
    operation = taken_back(script)
    said: Any = {"has_happened": True, "amount": "110", "reason": "Ours."}
    with pytest.raises(AmountError) as refusal:
        services.correct_operation(operation, **said)
    assert refusal.value.code == "exceeds_possible"
    services.correct_operation(operation, **said, accept_excess=True)
    assert_held(Payment.objects.get(), 110)
    assert_invariants(operation.collection)


@pytest.mark.shows(
    "Somebody has paid by another session since a person took back a hold by mistake",
    "A report restores it, and more is held than is due, which a person sees; a person has to say so twice",
)
def test_more_than_is_due_is_held_and_shown(script: Script) -> None:
    operation = taken_back(script)
    pay_otherwise(operation.collection)
    assert_held_twice(tell(operation, HELD))
    assert attention() == ["authorized_more_than_due: expected 100, reported 200"]


def test_person_says_twice_that_more_than_is_due_is_held(script: Script) -> None:
    operation = taken_back(script)
    pay_otherwise(operation.collection)
    with pytest.raises(AmountError) as refusal:
        services.correct_operation(operation, has_happened=True, reason="Ours.")
    assert (refusal.value.code, refusal.value.message) == (
        "exceeds_possible",
        "100.00 EUR would be held, which is 100.00 EUR more than was asked, or is left to pay.",
    )
    assert foresee(operation, has_happened=True, accept_excess=True).excess == 100
    corrected = services.correct_operation(operation, has_happened=True, reason="Ours.", accept_excess=True)
    assert corrected.status == "succeeded"
    assert_held_twice(Payment.objects.get(session=operation.session))
    assert not attention()


def assert_held_twice(payment: Payment) -> None:
    """See that a payment of 100.00 euros is held beside another."""
    payment.collection.refresh_from_db()
    assert figures(payment) == ["authorized", 100, 0, 0]
    assert payment.collection.authorized_amount == 200


def test_report_for_a_collection_that_was_canceled_since_needs_a_person(script: Script) -> None:
    operation = taken_back(script)
    services.cancel_payment_collection(operation.collection)
    payment = tell(operation, HELD)
    assert (payment.status, payment.session.status) == ("authorized", "authorized")
    assert [detail.partition(":")[0] for detail in attention()] == ["late_authorization"]


@pytest.mark.shows(
    "A provider has let go of what a person took back, or an operator has released what a person had booked",
    "No older report that it is held, and no person's word, brings it back",
)
@pytest.mark.parametrize("way", ["told after", "told with its amount", "released here"])
def test_what_was_really_released_stays_so(script: Script, way: str) -> None:
    if way == "released here":
        operation = unknown(CASES["authorize"], script)
        services.resolve_operation(operation, has_happened=True, reason="Seen.")
        services.cancel_payment(Payment.objects.get())
    else:
        operation = taken_back(script)
        stated = None if way == "told after" else Decimal(100)
        tell(operation, replace(RELEASED, canceled_amount=stated))
    payment = tell(operation, HELD)
    assert [*figures(payment), payment.session.status] == ["canceled", 100, 0, 100, "canceled"]
    for has_happened in (True, False):
        with pytest.raises(TransitionError) as refusal:
            services.correct_operation(operation, has_happened=has_happened, reason="No.")
        assert refusal.value.code == "already_recorded"
    assert PaymentEvent.objects.filter(type="payment.authorized").count() == 1


def test_unauthorized_session_that_was_abandoned_is_late_as_ever(script: Script) -> None:
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=False, reason="Not seen.")
    services.cancel_payment_collection(operation.collection)
    payment = tell(operation, HELD)
    assert payment.status == "authorized"
    assert [detail.partition(":")[0] for detail in attention()] == ["late_authorization"]


def test_another_amount_than_a_person_has_said_leaves_it_to_be_corrected(script: Script) -> None:
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, amount="70", reason="Misread.")
    payment = tell(operation, HELD)
    assert [payment.amount, payment.is_by_person] == [70, True]
    assert attention() == ["authorized_amount_mismatch: expected 70, reported 100"]
    services.correct_operation(operation, has_happened=True, amount="100", reason="Misread.")
    assert_held(tell(operation, HELD))
    assert not Payment.objects.get().is_by_person


@pytest.mark.shows(
    "A person has booked a hold under a wrong reference",
    "They correct it, and what the provider reports under the right one is believed",
)
@pytest.mark.parametrize("is_taken_back", [False, True])
def test_reference_of_a_hold_is_corrected(script: Script, is_taken_back: bool) -> None:
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    if is_taken_back:
        services.correct_operation(operation, has_happened=False, reason="Another order's.")
    corrected = services.correct_operation(
        operation, has_happened=True, provider_reference="pay_right", reason="Mistyped."
    )
    assert corrected.status == "succeeded"
    payment = tell(operation, replace(HELD, provider_reference="pay_right"))
    assert_held(payment)
    assert [payment.provider_reference, payment.is_by_person] == ["pay_right", False]
    assert not attention()


@pytest.mark.parametrize("is_taken_back", [False, True])
def test_reference_of_another_hold_is_refused(script: Script, is_taken_back: bool) -> None:
    other = unknown(CASES["authorize"], script)
    services.resolve_operation(other, has_happened=True, reason="Seen.")
    taken = Payment.objects.get().provider_reference
    operation = unknown(CASES["authorize"], script)
    services.resolve_operation(operation, has_happened=True, reason="Seen.")
    if is_taken_back:
        services.correct_operation(operation, has_happened=False, reason="Another order's.")
    with pytest.raises(InputError) as refusal:
        services.correct_operation(operation, has_happened=True, provider_reference=taken, reason="Mistyped.")
    assert refusal.value.code == "reference_taken"
