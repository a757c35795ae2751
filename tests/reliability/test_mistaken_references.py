"""A person mistakes what the provider calls a capture or refund: no money is booked twice, and none is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest

from payments.exceptions import OutcomeUnknownError, TransitionError
from payments.models import Capture, PaymentOperation, Refund
from payments.providers import Failure, MovementFact, SessionFact
from payments.services import (
    capture_payment,
    correct_operation,
    record_fact,
    refund_payment,
    resolve_operation,
)
from payments.states import MovementKind, MovementStatus
from payments.testing import Script, scripted_provider
from tests.reliability.books import assert_invariants
from tests.reliability.news import thoroughly
from tests.reliability.test_resolutions import CASES
from tests.reliability.test_resolved_amounts import WEBHOOK, booked, unknown

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = pytest.mark.parametrize("kind", ["capture", "refund"])

VERBS: Final[dict[str, Callable[..., object]]] = {"capture": capture_payment, "refund": refund_payment}
MODELS: Final[dict[str, Any]] = {"capture": Capture, "refund": Refund}
USUAL: Final = {
    ("capture", "tx_mistyped", MovementStatus.SUCCEEDED, "total"),
    ("refund", None, MovementStatus.PENDING, "total"),
    ("refund", None, MovementStatus.SUCCEEDED, "operation"),
    ("capture", "tx_mistyped", MovementStatus.PENDING, "operation"),
    ("refund", "tx_mistyped", MovementStatus.PENDING, "person"),
    ("capture", None, MovementStatus.SUCCEEDED, "person"),
}
"""Cases in which each two of what they differ in come together once at least."""

TOTALS: Final = {"capture": "captured_amount", "refund": "refunded_amount"}


@pytest.fixture
def script(transactional_db: None) -> Iterator[Script]:
    """Return what the provider `scripted` answers."""
    with scripted_provider() as script:
        yield script


def in_doubt(script: Script, kind: str) -> PaymentOperation:
    """Return a capture or refund of 40.00 of 100.00 euros of which nobody knows what became."""
    verb = VERBS[kind]
    case = replace(CASES[kind], run=lambda collection: verb(collection.payments.get(), amount="40.00"))
    return unknown(case, script)


def said(script: Script, kind: str, reference: str | None = "tx_mistyped") -> PaymentOperation:
    """Return one that a person has booked under a reference."""
    return resolve_operation(
        in_doubt(script, kind), has_happened=True, provider_reference=reference, reason="Seen."
    )


def twinned(script: Script, kind: str) -> PaymentOperation:
    """Return one of which a person has said that it is what was done at the provider itself, as `tx_foreign`."""
    operation = in_doubt(script, kind)
    tell(operation, "tx_foreign")
    return resolve_operation(operation, has_happened=True, provider_reference="tx_foreign", reason="Seen.")


def tell(
    operation: PaymentOperation,
    *references: str,
    total: int | None = None,
    names: PaymentOperation | None = None,
    status: MovementStatus = MovementStatus.SUCCEEDED,
) -> None:
    """Have a webhook report movements of 40.00 each, twice; `names` is the operation that it says did it."""
    movements = tuple(
        MovementFact(
            kind=MovementKind(operation.kind),
            status=status,
            amount=Decimal(40),
            currency_code="eur",
            operation_id=None if names is None else names.pk,
            provider_reference=reference,
            failure=Failure(code="no_funds") if status == MovementStatus.FAILED else None,
        )
        for reference in references
    )
    stated: Any = {} if total is None else {TOTALS[operation.kind]: Decimal(total)}
    for _each in range(2):
        fact = SessionFact(currency_code="eur", movements=movements, **stated)
        record_fact(operation.session, fact, origin=WEBHOOK)
    operation.refresh_from_db()
    assert_invariants(operation.collection)


def moved(operation: PaymentOperation) -> list[str | None]:
    """Return under which references the books hold what was captured, or refunded, in the order of the alphabet."""
    rows = MODELS[operation.kind].objects.filter(payment=operation.payment, status="succeeded")
    assert all(row.amount in (40, 100) for row in rows)
    return sorted((row.provider_reference for row in rows), key=str)


def row_of(operation: PaymentOperation) -> Any:
    """Return the capture or refund of an operation, as it is stored."""
    return MODELS[operation.kind].objects.get(pk=operation.target_id)


def attention() -> list[str]:
    """Return why operations need a person."""
    return list(PaymentOperation.objects.filter(status="attention").values_list("detail", flat=True))


# A reference that nobody has at the provider


@pytest.mark.shows(
    "A person has booked a capture or refund under a wrong reference, and a report names another one and no total",
    "Nothing is booked, and a person sees both; a total, the operation's id or a person tells that it is one",
)
@pytest.mark.parametrize(
    ("kind", "reference", "status", "way"),
    [
        case if case in USUAL else thoroughly(*case)
        for case in product(
            VERBS,
            ["tx_mistyped", None],
            [MovementStatus.SUCCEEDED, MovementStatus.PENDING],
            ["total", "operation", "person"],
        )
    ],
)
def test_report_under_another_reference_is_not_booked_twice(
    script: Script, kind: str, reference: str | None, status: MovementStatus, way: str
) -> None:
    operation = said(script, kind, reference)
    tell(operation, "tx_9", status=status)
    assert booked(operation) == 40
    known = f"{operation.target_id} {reference or ''}".rstrip()
    assert attention() == [f"possibly_booked: expected {known}, reported 40 tx_9"]

    if way == "person":
        correct_operation(operation, has_happened=True, provider_reference="tx_9", reason="Mistyped.")
        assert row_of(operation).is_by_person
        tell(operation, "tx_9")
    else:
        total, names = (40, None) if way == "total" else (None, operation)
        tell(operation, "tx_9", total=total, names=names)

    assert moved(operation) == ["tx_9"]
    assert (row_of(operation).is_by_person, row_of(operation).is_named_by_person) == (False, False)
    tell(operation, "tx_9", "tx_10")
    assert moved(operation) == ["tx_10", "tx_9"], "the provider has told of two"


@KINDS
def test_total_without_references_says_nothing_of_a_reference(script: Script, kind: str) -> None:
    operation = said(script, kind)
    tell(operation, total=40)
    assert (row_of(operation).is_by_person, row_of(operation).is_named_by_person) == (False, True)
    tell(operation, "tx_9")
    assert (moved(operation), len(attention())) == (["tx_mistyped"], 1)
    tell(operation, "tx_9", total=40)
    assert moved(operation) == ["tx_9"]


@KINDS
def test_total_with_room_for_another_tells_of_another(script: Script, kind: str) -> None:
    operation = said(script, kind)
    tell(operation, "tx_9", total=80)
    assert moved(operation) == ["tx_9", "tx_mistyped"]
    tell(operation, "tx_8", "tx_9", total=80)
    assert (moved(operation), row_of(operation).provider_reference) == (["tx_8", "tx_9"], "tx_8")
    assert not attention()


@KINDS
def test_right_reference_is_confirmed_and_another_is_another(script: Script, kind: str) -> None:
    operation = said(script, kind, "tx_8")
    tell(operation, "tx_9")
    assert (moved(operation), len(attention())) == (["tx_8"], 1)
    tell(operation, "tx_8", "tx_9")
    assert moved(operation) == ["tx_8", "tx_9"]


@KINDS
def test_amount_is_corrected_and_the_reference_stays(script: Script, kind: str) -> None:
    operation = said(script, kind, "tx_8")
    correct_operation(operation, has_happened=True, amount="30", reason="Misread.")
    correct_operation(operation, has_happened=True, amount="40", reason="Not misread.")
    tell(operation, "tx_8")
    assert (moved(operation), attention()) == (["tx_8"], [])


# The reference of another movement


@pytest.mark.shows(
    "A person has said that what was done at the provider itself is what an operation did, and that was wrong",
    "Its own capture or refund is booked as soon as the provider names it, and the other one stays",
)
@KINDS
@pytest.mark.parametrize("total", [None, 80])
@pytest.mark.parametrize("is_known", [False, True])
def test_operations_own_movement_is_not_hidden_by_a_wrong_one(
    script: Script, kind: str, total: int | None, is_known: bool
) -> None:
    operation = twinned(script, kind)
    if is_known:
        tell(operation, "tx_9")
    tell(operation, "tx_9", names=operation, total=total)
    assert moved(operation) == ["tx_9", "tx_foreign"]
    assert (operation.status, row_of(operation).provider_reference) == ("succeeded", "tx_9")
    assert not attention()
    with pytest.raises(TransitionError) as refusal:
        correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "already_recorded"


@KINDS
def test_total_without_room_says_that_two_names_are_one(script: Script, kind: str) -> None:
    operation = twinned(script, kind)
    tell(operation, "tx_9", names=operation, total=40)
    assert moved(operation) == ["tx_foreign"]


@KINDS
def test_operations_own_failure_is_not_that_of_a_wrong_one(script: Script, kind: str) -> None:
    operation = twinned(script, kind)
    tell(operation, "tx_9", names=operation, status=MovementStatus.FAILED)
    assert moved(operation) == ["tx_foreign"]
    assert (operation.status, operation.error_code, row_of(operation).status) == (
        "declined",
        "no_funds",
        "failed",
    )
    assert not attention()


@pytest.mark.shows(
    "A person corrects that what was done at the provider itself is what an operation did",
    "The other one stays in the books, and the operation is what they say now",
)
@KINDS
def test_wrong_one_is_corrected_by_a_person(script: Script, kind: str) -> None:
    operation = twinned(script, kind)
    with pytest.raises(TransitionError) as refusal:
        correct_operation(operation, has_happened=True, reason="The same.")
    assert refusal.value.code == "nothing_to_correct"
    for _each in range(2):
        corrected = correct_operation(operation, has_happened=False, reason="Done by hand.")
        assert (corrected.status, corrected.error_code) == ("declined", "resolved_as_not_done")
        assert moved(operation) == ["tx_foreign"]
        assert_invariants(operation.collection)
        correct_operation(
            operation, has_happened=True, provider_reference="tx_foreign", reason="It was it after all."
        )
        assert moved(operation) == ["tx_foreign"]
    correct_operation(operation, has_happened=True, provider_reference="tx_9", reason="It was another.")
    operation.refresh_from_db()
    assert (moved(operation), row_of(operation).provider_reference) == (["tx_9", "tx_foreign"], "tx_9")
    assert_invariants(operation.collection)
    tell(operation, "tx_9", "tx_foreign", total=80)
    assert moved(operation) == ["tx_9", "tx_foreign"]


@KINDS
def test_one_that_the_provider_has_confirmed_stays(script: Script, kind: str) -> None:
    operation = twinned(script, kind)
    tell(operation, "tx_foreign", names=operation)
    with pytest.raises(TransitionError) as refusal:
        correct_operation(operation, has_happened=False, reason="No.")
    assert refusal.value.code == "already_recorded"


@KINDS
@pytest.mark.parametrize("total", [None, 80])
def test_reference_that_turns_out_to_be_anothers_hides_nothing(
    script: Script, kind: str, total: int | None
) -> None:
    operation = said(script, kind, "tx_foreign")
    tell(operation, "tx_foreign")
    assert moved(operation) == ["tx_foreign"]
    tell(operation, "tx_9", names=operation, total=total)
    assert moved(operation) == ["tx_9", "tx_foreign"]
    assert row_of(operation).provider_reference == "tx_9"


@KINDS
def test_correction_sets_the_reference_of_another_operation_free(script: Script, kind: str) -> None:
    mistaken = said(script, kind, "tx_2")
    assert mistaken.payment is not None
    script.next(CASES[kind].verb, TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        VERBS[kind](mistaken.payment, amount="40.00", despite_unclear=True)
    second = PaymentOperation.objects.get(kind=kind, status="unknown")
    tell(second, "tx_2", names=second)
    assert (moved(second), second.status) == (["tx_2"], "attention")
    correct_operation(mistaken, has_happened=False, reason="It was the other.")
    tell(second, "tx_2", names=second)
    assert (moved(second), second.status) == (["tx_2"], "succeeded")
    assert row_of(second).provider_reference == "tx_2"
