"""An authorization under way counts as held: nobody else gets its room, whatever its session's status was before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest

from payments import services
from payments.exceptions import AmountError, OperationInProgressError, PaymentError, TransitionError
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO
from payments.providers import AuthorizeResult, NextAction
from payments.states import OperationKind, OperationStatus, Outcome, SessionStatus
from tests.reliability.afterwards import let_time_pass
from tests.reliability.banks import Act, Bank, after, lost, open_session, refused
from tests.reliability.books import assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import crash_at
from tests.reliability.news import named, thoroughly
from tests.reliability.places import Checkpoint, Watcher, watching
from tests.shop.models import Order

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

REFUSALS: Final = (AmountError, OperationInProgressError, TransitionError)
"""How a verb may say that there is no room."""

CHALLENGE: Final = NextAction(type="redirect", url="https://bank.example/3ds")


def challenged(act: Act) -> Any:
    """Have the bank want to see the payer first."""
    return AuthorizeResult(outcome=Outcome.SUCCEEDED, next_action=CHALLENGE)


# What a session may have been before it is authorized (again).


def fresh(bank: Bank, session: PaymentSession) -> None:
    """Leave a session as it was made."""
    assert session.status == SessionStatus.PENDING


def challenged_before(bank: Bank, session: PaymentSession) -> None:
    """Have a session wait for its payer's code."""
    bank.next("authorize", challenged)
    services.authorize_payment_session(session)
    assert session.status == SessionStatus.REQUIRES_MORE


def refused_before(bank: Bank, session: PaymentSession) -> None:
    """Have a session be refused once."""
    bank.next("authorize", refused)
    services.authorize_payment_session(session)
    assert session.status == SessionStatus.ERROR


BEFORE: Final = (fresh, challenged_before, refused_before)

# How far its authorization has come when somebody else does something.

Action = Callable[[], object]


def authorize(session: PaymentSession) -> None:
    """Authorize a session; what comes of it is looked at in the books."""
    with suppress(PaymentError):
        services.authorize_payment_session(session)


def at_the_bank(bank: Bank, session: PaymentSession, action: Action) -> None:
    """Act while the bank works."""
    bank.next("authorize", after(action))
    authorize(session)


def before_the_bank(bank: Bank, session: PaymentSession, action: Action) -> None:
    """Act when the authorization is claimed, and nothing is sent yet."""
    with watching(_once(Checkpoint.CLAIMED, action)):
        authorize(session)


def after_the_bank(bank: Bank, session: PaymentSession, action: Action) -> None:
    """Act when the bank has answered, and nothing of that is recorded yet."""
    with watching(_once(Checkpoint.CALLED, action)):
        authorize(session)


def after_a_crash(bank: Bank, session: PaymentSession, action: Action) -> None:
    """Act when the process has died that asked, and nobody has noticed yet."""
    with crash_at(Checkpoint.CALLED, OperationKind.AUTHORIZE):
        services.authorize_payment_session(session)
    action()


def in_doubt(bank: Bank, session: PaymentSession, action: Action) -> None:
    """Act while nobody knows whether the bank holds the money."""
    bank.next("authorize", lost)
    authorize(session)
    action()


def in_dispute(bank: Bank, session: PaymentSession, action: Action) -> None:
    """Act while a person has to see to what the bank says that it holds: it calls it dollars."""

    def answer_in_dollars(act: Act) -> Any:
        return replace(act(), currency_code="usd")

    bank.next("authorize", answer_in_dollars)
    authorize(session)
    assert session.operations.order_by("id").reverse()[0].status == OperationStatus.ATTENTION
    action()


MOMENTS: Final = (before_the_bank, at_the_bank, after_the_bank, after_a_crash, in_doubt, in_dispute)

CASES: Final = [
    *[(before, at_the_bank) for before in BEFORE],
    *[(refused_before, moment) for moment in MOMENTS if moment is not at_the_bank],
]

SOME_CASES: Final = [(fresh, at_the_bank), (refused_before, at_the_bank), (refused_before, after_a_crash)]

every_case = pytest.mark.parametrize(
    ("before", "moment"), [*SOME_CASES, *(thoroughly(*case) for case in CASES if case not in SOME_CASES)]
)
some_cases = pytest.mark.parametrize(("before", "moment"), SOME_CASES)

Before = Callable[[Bank, PaymentSession], None]
Moment = Callable[[Bank, PaymentSession, Action], None]


def _once(point: Checkpoint, action: Action) -> Watcher:
    """Return a watcher that acts when the first authorization comes to a point."""
    waiting = iter([action])

    def watcher(reached: Checkpoint, operation: PaymentOperation) -> None:
        if (reached, operation.kind) == (point, OperationKind.AUTHORIZE):
            for act in waiting:
                act()

    return watcher


def outcome_of(action: Action) -> tuple[Action, list[Any]]:
    """Return an action that remembers what came of it, and where it does so."""
    came: list[Any] = []

    def remember() -> None:
        try:
            came.append(action())
        except PaymentError as error:
            came.append(error)

    return remember, came


def assert_no_more_held_than_due(bank: Bank, clock: TestClock, collection: PaymentCollection) -> None:
    """See that in the end the bank holds what is due of a collection, or less."""
    let_time_pass(clock)
    collection.refresh_from_db()
    held = sum((bank.of(session).held for session in collection.sessions.all()), ZERO)
    assert 0 < held <= collection.amount
    assert_invariants(collection)


@pytest.mark.shows(
    "The amount is lowered while a part of it is being authorized, for the first time or again after a refusal",
    "Refused; what is held afterwards is due",
)
@pytest.mark.parametrize(
    ("share", "before", "moment"),
    [*(("60.00", *case) for case in CASES), *((None, *case) for case in SOME_CASES)],
    ids=named,
)
def test_amount_cannot_go_below_what_is_being_authorized(  # noqa: PLR0917 - fixtures and parameters
    bank: Bank,
    clock: TestClock,
    collection: PaymentCollection,
    before: Before,
    moment: Moment,
    share: str | None,
) -> None:
    session = open_session(collection, share)
    before(bank, session)
    action, came = outcome_of(lambda: services.update_payment_collection(collection, amount="20.00"))
    moment(bank, session, action)
    (error,) = came
    assert isinstance(error, REFUSALS), error
    collection.refresh_from_db()
    assert collection.amount == 100
    assert_no_more_held_than_due(bank, clock, collection)


def test_amount_can_go_down_to_what_is_being_authorized(bank: Bank, collection: PaymentCollection) -> None:
    session = open_session(collection, "60.00")
    refused_before(bank, session)
    at_the_bank(bank, session, lambda: services.update_payment_collection(collection, amount="60.00"))
    collection.refresh_from_db()
    assert collection.amount == collection.authorized_amount == 60
    bank.assert_agrees(collection)


@pytest.mark.shows(
    "Another session is made while a split is being authorized again after a refusal",
    "It gets what is left beside the split, and no more",
)
@every_case
def test_another_session_cannot_take_the_room_of_what_is_being_authorized(
    bank: Bank, clock: TestClock, collection: PaymentCollection, before: Before, moment: Moment
) -> None:
    session = open_session(collection, "60.00")
    before(bank, session)

    def take() -> list[Any]:
        too_much, came = outcome_of(lambda: open_session(collection, "40.01"))
        too_much()
        return [*came, open_session(collection)]

    action, came = outcome_of(take)
    moment(bank, session, action)
    ((error, rest),) = came
    assert isinstance(error, AmountError), error
    assert rest.amount == 40
    services.authorize_payment_session(rest)
    assert_no_more_held_than_due(bank, clock, collection)


@some_cases
def test_session_over_the_rest_keeps_its_room_while_it_is_being_authorized(
    bank: Bank, clock: TestClock, collection: PaymentCollection, before: Before, moment: Moment
) -> None:
    session = open_session(collection)
    before(bank, session)
    action, came = outcome_of(lambda: open_session(collection, "10.00"))
    moment(bank, session, action)
    (error,) = came
    assert isinstance(error, REFUSALS), error
    assert collection.sessions.count() == 1
    assert_no_more_held_than_due(bank, clock, collection)


@some_cases
def test_another_split_cannot_grow_into_the_room_of_what_is_being_authorized(
    bank: Bank, clock: TestClock, collection: PaymentCollection, before: Before, moment: Moment
) -> None:
    session, other = open_session(collection, "60.00"), open_session(collection, "30.00")
    before(bank, session)
    action, came = outcome_of(lambda: services.update_payment_session(other, amount="40.01"))
    moment(bank, session, action)
    (error,) = came
    assert isinstance(error, AmountError), error
    other.refresh_from_db()
    assert other.amount == bank.of(other).amount == 30
    services.update_payment_session(other, amount="40.00")
    services.authorize_payment_session(other)
    assert_no_more_held_than_due(bank, clock, collection)


@some_cases
def test_a_split_cannot_take_the_room_of_one_that_is_being_authorized(
    bank: Bank, clock: TestClock, collection: PaymentCollection, before: Before, moment: Moment
) -> None:
    other = open_session(collection, "50.00")
    refused_before(bank, other)
    session = open_session(collection, "60.00")
    before(bank, session)
    action, came = outcome_of(lambda: services.authorize_payment_session(other))
    moment(bank, session, action)
    (error,) = came
    assert isinstance(error, REFUSALS), error
    assert len(bank.requests("authorize", other)) == 1
    assert_no_more_held_than_due(bank, clock, collection)


@some_cases
def test_installments_are_for_what_is_left_beside_what_is_being_authorized(
    bank: Bank, clock: TestClock, collection: PaymentCollection, before: Before, moment: Moment
) -> None:
    session = open_session(collection, "60.00")
    before(bank, session)
    action, came = outcome_of(
        lambda: services.create_installment_plan(collection, provider_id="bank", count=2, interval="month")
    )
    moment(bank, session, action)
    (parts,) = came
    assert [part.amount for part in parts] == [20, 20]


@pytest.mark.shows(
    "A collection is marked as paid while a part of it is being authorized",
    "Refused; nobody pays twice",
)
@some_cases
@pytest.mark.parametrize("share", ["60.00", None], ids=["split", "rest"])
def test_money_from_elsewhere_cannot_take_the_room_of_what_is_being_authorized(  # noqa: PLR0917 - fixtures and parameters
    bank: Bank,
    clock: TestClock,
    collection: PaymentCollection,
    before: Before,
    moment: Moment,
    share: str | None,
) -> None:
    session = open_session(collection, share)
    before(bank, session)
    action, came = outcome_of(lambda: services.mark_payment_collection_as_paid(collection))
    moment(bank, session, action)
    (error,) = came
    assert isinstance(error, REFUSALS), error
    collection.refresh_from_db()
    assert collection.captured_amount == 0
    assert_no_more_held_than_due(bank, clock, collection)


@some_cases
def test_cheaper_order_does_not_cost_less_than_what_is_being_authorized(
    bank: Bank, clock: TestClock, before: Before, moment: Moment
) -> None:
    order = Order.objects.create(number="1001", total="100.00", currency_code="eur")
    collection = services.create_payment_collection(amount="100.00", currency_code="eur", payable=order)
    session = open_session(collection, "60.00")
    before(bank, session)
    cheaper = services.ResolvedPayable(payable=order, amount="20.00", currency_code="eur")
    action, came = outcome_of(lambda: services.open_payment_collection(cheaper))
    moment(bank, session, action)
    (error,) = came
    assert isinstance(error, REFUSALS), error
    collection.refresh_from_db()
    assert collection.amount == 100
    assert_no_more_held_than_due(bank, clock, collection)
