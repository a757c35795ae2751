"""Giving up many sessions, since something else takes their place: what is paid meanwhile stays, and counts.

Each is worked off after the other, so that the last may be paid while the bank is still busy with the first.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import PaymentError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers.simulator import SimulatorProvider
from payments.simulator import SimulatorService
from payments.states import OperationKind, SessionStatus
from tests.races.meanwhile import (
    assert_canceled,
    assert_shown,
    assert_still_held,
    before_the_next_transaction,
    meanwhile,
    pay,
    send_to_the_bank,
    the_other_is_paid,
    whatever_comes_of,
)
from tests.races.places import Checkpoint
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

CANCEL = OperationKind.CANCEL
DURING = pytest.mark.parametrize(
    "point", [pytest.param(Checkpoint.CLAIMED, marks=pytest.mark.thorough), Checkpoint.CALLED]
)

MakeSession = Callable[..., PaymentSession]


@pytest.fixture
def make_session(simulator: SimulatorService) -> MakeSession:
    """Return a function that makes a session whose payer is at the page of their bank."""

    def make(collection: PaymentCollection, amount: str | None = None) -> PaymentSession:
        session = services.create_payment_session(collection, provider_id="simulator", amount=amount)
        return send_to_the_bank(simulator, session)

    return make


@pytest.fixture
def splits(collection: PaymentCollection, make_session: MakeSession) -> list[PaymentSession]:
    """Return two splits of a collection, of 60.00 and of 40.00."""
    return [make_session(collection, amount) for amount in ("60.00", "40.00")]


def two_for_the_rest(collection: PaymentCollection, make_session: MakeSession) -> list[PaymentSession]:
    """Return two sessions of 50.00 that cover what is left, as one does that was lost track of for a while."""
    sessions = [make_session(collection, "50.00") for _each in range(2)]
    PaymentSession.objects.update(is_split=False)
    return sessions


# Marking as paid


@DURING
def test_marking_as_paid_counts_a_split_that_is_paid_while_another_is_canceled(
    collection: PaymentCollection,
    splits: list[PaymentSession],
    simulator: SimulatorService,
    point: Checkpoint,
) -> None:
    with the_other_is_paid(simulator, splits, point) as pair:
        services.mark_payment_collection_as_paid(collection)

    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
    assert_paid_outside(collection, pair.canceled.amount)


def test_marking_as_paid_counts_a_split_that_is_paid_before_the_bank_is_asked(
    collection: PaymentCollection, splits: list[PaymentSession], simulator: SimulatorService
) -> None:
    sixty, forty = splits

    with meanwhile(lambda: pay(simulator, forty), Checkpoint.CLAIMED, of=CANCEL, session=forty):
        services.mark_payment_collection_as_paid(collection)

    assert_still_held(simulator, forty)
    assert_canceled(simulator, sixty)
    assert_paid_outside(collection, Decimal(60))


def test_marking_as_paid_records_nothing_beside_a_session_paid_meanwhile(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(collection)

    with meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL):
        whatever_comes_of(lambda: services.mark_payment_collection_as_paid(collection))

    assert_still_held(simulator, session)
    assert Payment.objects.get().session == session
    collection.refresh_from_db()
    assert (collection.authorized_amount, collection.captured_amount) == (Decimal(100), Decimal(0))


def assert_paid_outside(collection: PaymentCollection, amount: Decimal) -> None:
    """See that this much was paid outside of any provider, and that all is covered with what a bank holds."""
    outside = Payment.objects.get(provider="system")
    assert (outside.amount, outside.captured_amount) == (amount, amount)
    collection.refresh_from_db()
    assert (collection.authorized_amount, collection.captured_amount) == (Decimal(100), amount)
    assert collection.status == "partially_captured"


# A session that replaces others


@pytest.mark.parametrize("amount", [None, "40.00"])
def test_replaced_session_that_is_paid_before_the_bank_is_asked_is_not_released(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService, amount: str | None
) -> None:
    old = make_session(collection)

    with (
        meanwhile(lambda: pay(simulator, old), Checkpoint.CLAIMED, of=CANCEL),
        pytest.raises(PaymentError),
    ):
        services.create_payment_session(collection, provider_id="simulator", amount=amount)

    assert_still_held(simulator, old)
    assert len(simulator.calls(operation="initiate")) == 1  # nobody is asked to pay twice
    assert not PaymentOperation.objects.open().exists()


@DURING
def test_replaced_session_paid_while_another_is_canceled_is_not_released(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService, point: Checkpoint
) -> None:
    sessions = two_for_the_rest(collection, make_session)

    with the_other_is_paid(simulator, sessions, point) as pair:
        whatever_comes_of(lambda: services.create_payment_session(collection, provider_id="simulator"))

    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
    assert_no_more_is_asked_for_than_due(collection)


def assert_no_more_is_asked_for_than_due(collection: PaymentCollection) -> None:
    """See that what is held, and what payers are still asked for, is no more than what is to be paid."""
    held = sum(payment.amount - payment.canceled_amount for payment in collection.payments.all())
    asked = collection.sessions.filter(status__in=[SessionStatus.PENDING, SessionStatus.REQUIRES_MORE])
    collection.refresh_from_db()
    assert held + sum(session.amount for session in asked) <= collection.amount


# A collection whose amount changes


def test_session_with_no_rest_to_cover_stays_once_it_is_paid(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService
) -> None:
    split = services.create_payment_session(collection, provider_id="simulator", amount="60.00")
    services.authorize_payment_session(split)
    rest = make_session(collection)

    with meanwhile(lambda: pay(simulator, rest), Checkpoint.CLAIMED, of=CANCEL):
        whatever_comes_of(lambda: services.update_payment_collection(collection, amount="60.00"))

    assert_still_held(simulator, rest)
    assert_shown(rest, "authorized_more_than_due")


@DURING
def test_one_of_two_sessions_with_no_rest_to_cover_stays_once_it_is_paid(
    transactional_db: None, make_session: MakeSession, simulator: SimulatorService, point: Checkpoint
) -> None:
    collection = services.create_payment_collection(amount="150.00", currency_code="eur")
    split = services.create_payment_session(collection, provider_id="simulator", amount="50.00")
    services.authorize_payment_session(split)
    sessions = two_for_the_rest(collection, make_session)

    with the_other_is_paid(simulator, sessions, point) as pair:
        whatever_comes_of(lambda: services.update_payment_collection(collection, amount="50.00"))

    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
    assert_shown(pair.paid, "authorized_more_than_due")


# A collection that is canceled as a whole


@DURING
def test_canceled_collection_keeps_a_payment_made_during_a_cancelation(
    collection: PaymentCollection,
    splits: list[PaymentSession],
    simulator: SimulatorService,
    point: Checkpoint,
) -> None:
    with the_other_is_paid(simulator, splits, point) as pair:
        whatever_comes_of(lambda: services.cancel_payment_collection(collection))

    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
    assert_shown(pair.paid, "late_authorization")


def test_canceled_collection_keeps_what_is_paid_before_the_bank_is_asked(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(collection)

    with meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL):
        whatever_comes_of(lambda: services.cancel_payment_collection(collection))

    assert_still_held(simulator, session)
    assert_shown(session, "late_authorization")


def test_what_a_canceled_collection_kept_is_released_when_it_is_asked_for_again(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(collection)
    with meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL):
        whatever_comes_of(lambda: services.cancel_payment_collection(collection))
    assert_still_held(simulator, session)

    services.cancel_payment_collection(collection)

    assert_canceled(simulator, session)


def test_canceled_collection_releases_what_its_claim_finds_held(
    collection: PaymentCollection, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(collection)

    with before_the_next_transaction(lambda: pay(simulator, session)):
        services.cancel_payment_collection(collection)

    assert_canceled(simulator, session)
    assert collection.status == "canceled"


# The collection of a row of the shop


@pytest.fixture
def order(transactional_db: None) -> Order:
    """Return an order over 100.00 euros."""
    return Order.objects.create(number="A-1", total=Decimal(100), currency_code="eur")


def for_order(order: Order, currency_code: str = "eur") -> PaymentCollection:
    """Return a collection of 100.00 for an order."""
    return services.create_payment_collection(amount="100.00", currency_code=currency_code, payable=order)


def resolved(order: Order, amount: str = "100.00") -> services.ResolvedPayable:
    """Say that this many euros are to be paid for an order."""
    return services.ResolvedPayable(payable=order, amount=amount, currency_code="eur")


@DURING
def test_other_currency_that_is_paid_while_another_is_abandoned_is_not_released(
    order: Order, make_session: MakeSession, simulator: SimulatorService, point: Checkpoint
) -> None:
    sessions = [make_session(for_order(order, code)) for code in ("usd", "gbp")]

    with (
        the_other_is_paid(simulator, sessions, point) as pair,
        pytest.raises(TransitionError) as refusal,
    ):
        services.open_payment_collection(resolved(order))

    assert refusal.value.code == "currency_changed"
    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
    assert not PaymentCollection.objects.filter(currency_code="eur").exists()


def test_other_currency_that_is_paid_before_it_is_abandoned_is_not_released(
    order: Order, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(for_order(order, "usd"))

    with (
        before_the_next_transaction(lambda: pay(simulator, session)),
        pytest.raises(TransitionError) as refusal,
    ):
        services.open_payment_collection(resolved(order))

    assert refusal.value.code == "currency_changed"
    assert_still_held(simulator, session)


def test_other_currency_that_is_paid_before_the_bank_is_asked_is_not_released(
    order: Order, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(for_order(order, "usd"))

    with (
        meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL),
        pytest.raises(TransitionError),
    ):
        services.open_payment_collection(resolved(order))

    assert_still_held(simulator, session)
    assert not PaymentCollection.objects.filter(currency_code="eur").exists()


@pytest.fixture
def unchangeable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a provider that can't change a session, so that another has to take its place."""
    monkeypatch.setattr(SimulatorProvider, "supports_update", False)


@pytest.mark.usefixtures("unchangeable")
def test_old_session_paid_before_the_bank_is_asked_is_not_released(
    order: Order, make_session: MakeSession, simulator: SimulatorService
) -> None:
    session = make_session(for_order(order))

    with (
        meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL),
        pytest.raises(TransitionError),
    ):
        services.open_payment_collection(resolved(order, "80.00"))

    assert_still_held(simulator, session)


@DURING
@pytest.mark.usefixtures("unchangeable")
def test_old_session_paid_while_another_is_canceled_is_not_released(
    order: Order, make_session: MakeSession, simulator: SimulatorService, point: Checkpoint
) -> None:
    sessions = two_for_the_rest(for_order(order), make_session)

    with the_other_is_paid(simulator, sessions, point) as pair:
        whatever_comes_of(lambda: services.open_payment_collection(resolved(order, "80.00")))

    assert_canceled(simulator, pair.canceled)
    assert_still_held(simulator, pair.paid)
