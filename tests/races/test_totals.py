"""Banks that tell totals only: a total that several pending movements could explain explains none of them.

Which of them the money belongs to is then a guess, and a wrong one is a refund that a customer never gets, while the
books, the admin's pages and the shop's mail say that they did. So all stay open, and somebody is told of the
difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from payments import services
from payments.exceptions import AmountError, OperationInProgressError, OutcomeUnknownError
from payments.models import Payment, PaymentEvent, PaymentOperation
from payments.providers import MovementFact, SessionFact
from payments.states import EventSource, MovementKind, MovementStatus, OperationKind, OperationStatus
from tests.races.meanwhile import meanwhile
from tests.races.places import Checkpoint
from tests.races.totals import Bank, Loss, assert_no_guess, booked, is_shown, totals_provider
from tests.reliability.afterwards import let_time_pass
from tests.reliability.clocks import TestClock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database_independent]

WEBHOOK = services.Origin(source=EventSource.WEBHOOK)
KINDS = [MovementKind.CAPTURE, MovementKind.REFUND]


@pytest.fixture
def bank() -> Iterator[Bank]:
    """Return a bank that tells totals, and knows its keys for ever."""
    with totals_provider() as bank:
        yield bank


@pytest.fixture
def forgetful_bank() -> Iterator[Bank]:
    """Return a bank that tells totals, and forgets its keys at once, so that nothing can be sent again."""
    with totals_provider(keeps_keys=False) as bank:
        yield bank


def make_payment(kind: MovementKind) -> Payment:
    """Return a payment of 100.00 euros: held, or captured where refunds are to come."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="totals")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return services.capture_payment(payment) if kind == MovementKind.REFUND else payment


def verb_of(kind: MovementKind) -> Callable[..., Payment]:
    """Return what captures or refunds."""
    return services.capture_payment if kind == MovementKind.CAPTURE else services.refund_payment


def move(bank: Bank, payment: Payment, kind: MovementKind, amount: str, loss: Loss) -> PaymentOperation:
    """Ask for a capture or a refund of which the network loses something; return its operation."""
    bank.losses.append(loss)
    with suppress(OutcomeUnknownError):
        verb_of(kind)(payment, amount=amount, despite_unclear=True)
    return PaymentOperation.objects.filter(kind=kind).latest("created_at")


def move_all(bank: Bank, payment: Payment, kind: MovementKind, *moves: tuple[str, Loss]) -> list[Any]:
    """Ask for several, and return their operations, which are all unknown."""
    operations = [move(bank, payment, kind, amount, loss) for amount, loss in moves]
    assert {operation.status for operation in operations} == {OperationStatus.UNKNOWN}
    return operations


def now(operations: list[PaymentOperation]) -> list[PaymentOperation]:
    """Read operations anew."""
    return [PaymentOperation.objects.get(pk=operation.pk) for operation in operations]


def statuses(payment: Payment, kind: MovementKind) -> list[str]:
    """Return the statuses of a payment's captures or refunds, in their order."""
    rows = payment.captures if kind == MovementKind.CAPTURE else payment.refunds
    return list(rows.order_by("created_at", "id").values_list("status", flat=True))


AMBIGUOUS = {
    "two_of_one_amount": (("20.00", "request"), ("20.00", "answer")),
    "the_other_of_the_two": (("20.00", "answer"), ("20.00", "request")),
    "one_or_two_that_add_up_to_it": (("50.00", "request"), ("20.00", "answer"), ("30.00", "answer")),
    "two_that_add_up_to_it_or_one": (("50.00", "answer"), ("20.00", "request"), ("30.00", "request")),
    "two_pairs": (("10.00", "request"), ("20.00", "answer"), ("20.00", "request"), ("10.00", "answer")),
}
EACH_AMBIGUOUS = pytest.mark.parametrize("moves", list(AMBIGUOUS.values()), ids=list(AMBIGUOUS))
ONE_AMBIGUOUS = pytest.mark.parametrize(
    "moves",
    [
        pytest.param(moves, id=name, marks=() if name == "two_of_one_amount" else pytest.mark.thorough)
        for name, moves in AMBIGUOUS.items()
    ],
)
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
ONE_KIND = pytest.mark.parametrize(
    "kind", [pytest.param(MovementKind.CAPTURE, marks=pytest.mark.thorough), MovementKind.REFUND]
)


@EACH_KIND
@EACH_AMBIGUOUS
def test_event_whose_total_several_could_explain_ends_none_of_them(
    bank: Bank, kind: MovementKind, moves: tuple[tuple[str, Loss], ...]
) -> None:
    payment = make_payment(kind)
    before = booked(payment, kind)
    operations = move_all(bank, payment, kind, *moves)

    services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)

    assert all(operation.is_open for operation in now(operations))
    assert statuses(payment, kind) == [MovementStatus.PENDING] * len(moves)
    assert booked(payment, kind) == before
    assert is_shown(payment)


@ONE_KIND
def test_sync_whose_total_several_could_explain_ends_none_of_them(bank: Bank, kind: MovementKind) -> None:
    payment = make_payment(kind)
    operations = move_all(bank, payment, kind, ("20.00", "request"), ("20.00", "answer"))

    services.sync_payment_session(payment.session)

    assert all(operation.is_open for operation in now(operations))
    assert_no_guess(bank, payment, kind)


@EACH_KIND
@ONE_AMBIGUOUS
def test_reconciler_books_nothing_that_the_bank_has_not_done(
    bank: Bank, clock: TestClock, kind: MovementKind, moves: tuple[tuple[str, Loss], ...]
) -> None:
    payment = make_payment(kind)
    move_all(bank, payment, kind, *moves)

    let_time_pass(clock)

    assert_no_guess(bank, payment, kind)


@ONE_KIND
def test_reconciler_that_cannot_send_again_leaves_both_to_a_person(
    forgetful_bank: Bank, clock: TestClock, kind: MovementKind
) -> None:
    payment = make_payment(kind)
    before = booked(payment, kind)
    operations = move_all(forgetful_bank, payment, kind, ("20.00", "request"), ("20.00", "answer"))

    let_time_pass(clock)

    assert [row.status for row in now(operations)] == [OperationStatus.ATTENTION] * 2
    assert booked(payment, kind) == before
    never_sent, done = now(operations)
    services.resolve_operation(never_sent, has_happened=False, reason="It isn't on the statement.")
    services.resolve_operation(done, has_happened=True, reason="It is on the statement.")
    assert booked(payment, kind) == forgetful_bank.total(kind) == before + 20


@EACH_KIND
def test_total_that_is_told_before_the_answer_is_not_taken_for_another_ones(
    bank: Bank, clock: TestClock, kind: MovementKind
) -> None:
    payment = make_payment(kind)
    never_sent = move(bank, payment, kind, "20.00", "request")

    def tell() -> None:
        services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)

    with meanwhile(tell, Checkpoint.CALLED, of=OperationKind(kind)):
        answered = move(bank, payment, kind, "20.00", "")

    assert [row.is_open for row in now([never_sent, answered])] == [True, False]
    assert booked(payment, kind) == bank.total(kind)
    assert statuses(payment, kind)[-2:] == [MovementStatus.PENDING, MovementStatus.SUCCEEDED]
    let_time_pass(clock)
    assert_no_guess(bank, payment, kind)


@ONE_KIND
def test_total_of_more_than_can_be_looked_through_is_no_other_movement(
    bank: Bank, clock: TestClock, kind: MovementKind
) -> None:
    payment = make_payment(kind)
    before = booked(payment, kind)
    never_sent: list[tuple[str, Loss]] = [("1.00", "request")] * 10
    move_all(bank, payment, kind, *never_sent, ("1.00", "answer"))

    services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)

    assert booked(payment, kind) == before
    assert statuses(payment, kind) == [MovementStatus.PENDING] * 11
    assert is_shown(payment)
    let_time_pass(clock)
    assert_no_guess(bank, payment, kind)


@ONE_KIND
def test_many_that_are_all_done_are_booked_once_each(
    bank: Bank, clock: TestClock, kind: MovementKind
) -> None:
    payment = make_payment(kind)
    unanswered: list[tuple[str, Loss]] = [("1.00", "answer")] * 12
    move_all(bank, payment, kind, *unanswered)

    services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)
    let_time_pass(clock)

    assert_no_guess(bank, payment, kind)
    assert len(statuses(payment, kind)) == 12


@ONE_KIND
def test_movements_whose_total_is_unclear_stay_reserved(bank: Bank, kind: MovementKind) -> None:
    payment = make_payment(kind)
    move_all(bank, payment, kind, ("40.00", "request"), ("40.00", "answer"))
    services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)

    with pytest.raises((AmountError, OperationInProgressError)):
        verb_of(kind)(payment, amount="40.00", despite_unclear=True)

    assert bank.total(kind) == booked(payment, kind) + 40


@ONE_KIND
def test_unclear_total_that_is_told_again_is_shown_once(bank: Bank, kind: MovementKind) -> None:
    payment = make_payment(kind)
    move_all(bank, payment, kind, ("20.00", "request"), ("20.00", "answer"))

    for _each in range(3):
        services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)

    shown = PaymentEvent.objects.filter(session=payment.session_id, type="fact.discrepancy")
    assert len(set(shown.values_list("operation_id", flat=True))) == shown.count() > 0


@ONE_KIND
def test_provider_that_says_which_it_was_ends_that_one(bank: Bank, kind: MovementKind) -> None:
    payment = make_payment(kind)
    never_sent, done = move_all(bank, payment, kind, ("20.00", "request"), ("20.00", "answer"))
    services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)
    movement = MovementFact(
        kind=kind,
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(20),
        currency_code="eur",
        operation_id=done.pk,
    )

    services.record_fact(
        payment.session, SessionFact(currency_code="eur", movements=(movement,)), origin=WEBHOOK
    )

    assert [row.is_open for row in now([never_sent, done])] == [True, False]
    assert statuses(payment, kind)[-2:] == [MovementStatus.PENDING, MovementStatus.SUCCEEDED]
    assert booked(payment, kind) == bank.total(kind)


CLEAR = {
    "only_one_has_this_amount": ((("20.00", "request"), ("30.00", "answer")), [False, True]),
    "both_together": ((("20.00", "answer"), ("20.00", "answer")), [True, True]),
    "one_alone": ((("20.00", "answer"),), [True]),
    "two_of_three": ((("10.00", "answer"), ("20.00", "answer"), ("40.00", "request")), [True, True, False]),
}


@ONE_KIND
@pytest.mark.parametrize(("moves", "done"), list(CLEAR.values()), ids=list(CLEAR))
def test_total_that_only_one_choice_explains_ends_what_it_explains(
    bank: Bank, kind: MovementKind, moves: tuple[tuple[str, Loss], ...], done: list[bool]
) -> None:
    payment = make_payment(kind)
    operations = move_all(bank, payment, kind, *moves)

    services.record_fact(payment.session, bank.fact(), origin=WEBHOOK)

    assert [row.status == OperationStatus.SUCCEEDED for row in now(operations)] == done
    assert booked(payment, kind) == bank.total(kind)
    assert not is_shown(payment)
