"""What was decided before the facts changed isn't done after them: it is looked at again before the bank is asked.

A request that got lost is sent again minutes later, and one of several is sent when those before it are answered. By
then the payer may have paid, or the bank have let go. What still fits is sent; what doesn't is put before a person.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from payments import services
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.states import OperationKind, OperationStatus, SessionStatus
from payments.testing.factories import CustomerFactory
from tests.reliability import banks
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.news import (
    NEWS,
    Learn,
    assert_left_to_a_person,
    by_an_event,
    by_the_reconciler_itself,
    named,
    only,
    try_to,
)
from tests.reliability.places import Checkpoint, Watcher, watching
from tests.shop.models import Order

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

SOON: Final = timedelta(minutes=2)
"""After this the reconciler looks at what got lost."""


# Cancelations: each returns a session whose cancelation never arrives, if the bank's next one gets lost.


def _for_itself(collection: PaymentCollection) -> PaymentSession:
    session = banks.open_session(collection)
    try_to(lambda: services.cancel_payment_session(session))
    return session


def _with_its_collection(collection: PaymentCollection) -> PaymentSession:
    session = banks.open_session(collection)
    try_to(lambda: services.cancel_payment_collection(collection))
    return session


def _for_another_session(collection: PaymentCollection) -> PaymentSession:
    session = banks.open_session(collection)
    try_to(lambda: banks.open_session(collection))
    return session


def _for_a_smaller_amount(collection: PaymentCollection) -> PaymentSession:
    services.authorize_payment_session(banks.open_session(collection, "60.00"))
    session = banks.open_session(collection)
    try_to(lambda: services.update_payment_collection(collection, amount="60.00"))
    return session


def _when_its_time_is_over(collection: PaymentCollection) -> PaymentSession:
    session = banks.open_session(collection)
    PaymentSession.objects.filter(pk=session.pk).update(expires_at=session.created_at)
    services.sweep_expired()
    return session


def _as_paid_elsewhere(collection: PaymentCollection) -> PaymentSession:
    session = banks.open_session(collection, "40.00")
    try_to(lambda: services.mark_payment_collection_as_paid(collection))
    return session


CANCELATIONS: Final = (
    _for_itself,
    _with_its_collection,
    _for_another_session,
    _for_a_smaller_amount,
    _when_its_time_is_over,
    _as_paid_elsewhere,
)


@pytest.mark.shows(
    "A cancelation got lost, whatever it was for, and before it is sent again the payer pays",
    "It isn't sent: the money stays held, in the books as at the bank, and a person decides",
)
@pytest.mark.parametrize(
    ("cancel", "learn"),
    [*((cancel, by_an_event) for cancel in CANCELATIONS), *((_for_itself, learn) for learn in NEWS[1:])],
    ids=named,
)
def test_lost_cancelation_is_not_sent_again_once_the_payer_has_paid(
    bank: banks.Bank,
    clock: TestClock,
    collection: PaymentCollection,
    cancel: Callable[[PaymentCollection], PaymentSession],
    learn: Learn,
) -> None:
    bank.next("cancel", banks.lost)
    session = cancel(collection)
    operation = only(session, OperationKind.CANCEL)
    assert operation.status == OperationStatus.UNKNOWN
    bank.pay(session)
    learn(bank, session)
    let_time_pass(clock)
    assert len(bank.requests("cancel", session)) == 1
    assert bank.of(session).held == session.amount
    assert_left_to_a_person(operation)
    assert operation.detail.startswith("late_authorization")
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    bank.assert_agrees(collection)
    assert_invariants(collection)


def test_lost_cancelation_is_not_sent_again_to_a_bank_that_cannot_be_asked(clock: TestClock) -> None:
    with banks.open_bank(lacks=["retrieve"]) as bank:
        session = banks.open_session(banks.open_collection())
        bank.next("cancel", banks.lost)
        try_to(lambda: services.cancel_payment_session(session))
        bank.pay(session)
        bank.tell(session)
        let_time_pass(clock)
        assert len(bank.requests("cancel")) == 1
        assert_left_to_a_person(only(session, OperationKind.CANCEL))
        bank.assert_agrees(session.collection)


def test_lost_cancelation_is_sent_again_while_nobody_has_paid(
    bank: banks.Bank, clock: TestClock, session: PaymentSession
) -> None:
    bank.next("cancel", banks.lost)
    try_to(lambda: services.cancel_payment_session(session))
    bank.tell(session)
    let_time_pass(clock)
    assert len(bank.requests("cancel")) == 2
    session.refresh_from_db()
    assert session.status == SessionStatus.CANCELED
    assert bank.of(session).is_canceled
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps the money", "lets go of it"])
def test_person_decides_about_what_was_paid_after_a_lost_cancelation(
    bank: banks.Bank, clock: TestClock, session: PaymentSession, keeps: bool
) -> None:
    bank.next("cancel", banks.lost)
    try_to(lambda: services.cancel_payment_session(session))
    bank.pay(session)
    bank.tell(session)
    clock.advance(SOON)
    services.reconcile_due()
    services.resolve_operation(
        only(session, OperationKind.CANCEL), has_happened=False, reason="The payer was faster."
    )
    session.refresh_from_db()
    payment = Payment.objects.get()
    if keeps:
        services.capture_payment(payment)
    else:
        services.cancel_payment(payment)
    assert bank.of(session).captured == (100 if keeps else 0)
    assert bank.of(session).held == 0
    bank.assert_agrees(session.collection)
    assert not PaymentOperation.objects.open().exists()


@pytest.mark.shows(
    "A collection is canceled, and while the bank cancels one of its sessions, the payer pays with the next",
    "What was paid isn't let go of, and the shop is told that it was paid",
)
def test_session_paid_while_another_is_being_canceled_is_not_let_go_of(
    bank: banks.Bank, clock: TestClock, collection: PaymentCollection
) -> None:
    shares = [banks.open_session(collection, amount) for amount in ("60.00", "40.00")]
    waiting = list(shares)

    def pay_with_the_other() -> None:
        canceled = bank.requests("cancel")[0].session_id
        (other,) = (share for share in waiting if share.pk != canceled)
        bank.pay(other)
        bank.tell(other)

    bank.next("cancel", banks.before_answering(pay_with_the_other))
    try_to(lambda: services.cancel_payment_collection(collection))
    let_time_pass(clock)
    (request,) = bank.requests("cancel")
    (paid,) = (share for share in shares if share.pk != request.session_id)
    assert bank.of(paid).held == paid.amount
    assert_never_sent(paid)
    bank.assert_agrees(collection)
    assert_invariants(collection)


@pytest.mark.shows(
    "A process stops for minutes before it cancels, and meanwhile the payer pays",
    "It doesn't cancel any more: the money stays held, and the caller is told that it was paid",
)
def test_cancelation_that_wakes_up_after_the_payment_is_not_made(
    bank: banks.Bank, clock: TestClock, session: PaymentSession
) -> None:
    def oversleep() -> None:
        clock.advance(timedelta(minutes=5))
        bank.pay(session)
        bank.tell(session)

    with watching(_once(Checkpoint.CLAIMED, oversleep)):
        try_to(lambda: services.cancel_payment_session(session))
    let_time_pass(clock)
    assert bank.requests("cancel") == []
    assert bank.of(session).held == 100
    assert_never_sent(session)
    bank.assert_agrees(session.collection)


def assert_never_sent(session: PaymentSession) -> None:
    """See that a session's cancelation has certainly reached nobody, and never will."""
    operation = only(session, OperationKind.CANCEL)
    assert operation.status == OperationStatus.NOT_SENT
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


def _once(point: Checkpoint, action: Callable[[], None]) -> Watcher:
    """Return a watcher that acts when the first operation comes to a point."""
    waiting = iter([action])

    def watcher(reached: Checkpoint, operation: PaymentOperation) -> None:
        if reached == point:
            for act in waiting:
                act()

    return watcher


# Changes of an amount


def _as_a_split(session: PaymentSession) -> None:
    services.update_payment_session(session, amount="60.00")


def _with_its_collection_s_amount(session: PaymentSession) -> None:
    services.update_payment_collection(session.collection, amount="60.00")


@pytest.mark.shows(
    "A change of amount got lost, and before it is sent again the payer pays what was asked before",
    "It isn't sent: books and bank hold what was paid, and a person decides",
)
@pytest.mark.parametrize(
    ("change", "learn"),
    [(_with_its_collection_s_amount, by_an_event), *((_as_a_split, learn) for learn in NEWS)],
    ids=named,
)
def test_lost_change_of_amount_is_not_sent_again_once_the_payer_has_paid(
    bank: banks.Bank,
    clock: TestClock,
    session: PaymentSession,
    change: Callable[[PaymentSession], None],
    learn: Learn,
) -> None:
    bank.next("update", banks.lost)
    try_to(lambda: change(session))
    bank.pay(session)
    learn(bank, session)
    let_time_pass(clock)
    assert len(bank.requests("update")) == 1
    assert bank.of(session).held == 100
    assert_left_to_a_person(only(session, OperationKind.UPDATE))
    assert Payment.objects.get().amount == 100
    bank.assert_agrees(session.collection)
    assert_invariants(session.collection)


@pytest.mark.shows(
    "A change of amount got lost, and before it is sent again the bank gives the session up",
    "It isn't sent, and nobody needs to see to it: there is nothing left to change",
)
@pytest.mark.parametrize("learn", [by_an_event, by_the_reconciler_itself], ids=named)
def test_lost_change_of_amount_is_not_sent_again_once_its_session_is_canceled(
    bank: banks.Bank, clock: TestClock, session: PaymentSession, learn: Learn
) -> None:
    bank.next("update", banks.lost)
    try_to(lambda: services.update_payment_session(session, amount="60.00"))
    bank.let_go(session)
    learn(bank, session)
    let_time_pass(clock)
    assert len(bank.requests("update")) == 1
    operation = only(session, OperationKind.UPDATE)
    assert (operation.status, operation.error_code) == (OperationStatus.DECLINED, "canceled")
    session.refresh_from_db()
    assert session.status == SessionStatus.CANCELED
    assert session.amount == 100


# Initiations and authorizations


@pytest.mark.parametrize("learn", [by_an_event, by_the_reconciler_itself], ids=named)
def test_lost_authorization_is_not_sent_again_once_its_session_is_canceled(
    bank: banks.Bank, clock: TestClock, session: PaymentSession, learn: Learn
) -> None:
    bank.next("authorize", banks.lost)
    try_to(lambda: services.authorize_payment_session(session))
    bank.let_go(session)
    learn(bank, session)
    let_time_pass(clock)
    assert len(bank.requests("authorize")) == 1
    operation = only(session, OperationKind.AUTHORIZE)
    assert (operation.status, operation.error_code) == (OperationStatus.DECLINED, "canceled")
    assert bank.of(session).held == 0
    bank.assert_agrees(session.collection)


@pytest.mark.shows(
    "An authorization got lost, and before it is sent again the payer has paid with a session given up before",
    "It isn't sent: no more is held than is due, and a person decides",
)
def test_lost_authorization_is_not_sent_again_once_another_session_has_paid(
    bank: banks.Bank, clock: TestClock, collection: PaymentCollection
) -> None:
    given_up = banks.open_session(collection)
    session = banks.open_session(collection)
    given_up.refresh_from_db()
    assert given_up.status == SessionStatus.CANCELED
    bank.next("authorize", banks.lost)
    try_to(lambda: services.authorize_payment_session(session))
    bank.pay(given_up)
    bank.tell(given_up)
    let_time_pass(clock)
    assert len(bank.requests("authorize", session)) == 1
    assert bank.of(given_up).held == 100
    assert bank.of(session).held == 0
    assert_left_to_a_person(only(session, OperationKind.AUTHORIZE))
    collection.refresh_from_db()
    assert collection.authorized_amount == 100
    bank.assert_agrees(collection)


@pytest.mark.parametrize(
    ("owners", "is_sent_again"),
    [(["ann", "bob"], False), (["ann", None], False), (["ann", "bob", "ann"], True), ([None, "ann"], True)],
)
def test_lost_authorization_is_not_sent_again_once_its_order_is_anothers(
    bank: banks.Bank, clock: TestClock, owners: list[str | None], is_sent_again: bool
) -> None:
    people = {name: CustomerFactory.create() for name in owners if name is not None}
    order = Order.objects.create(number="1001", total="100.00", currency_code="eur")

    def open_for(name: str | None) -> PaymentCollection:
        customer = None if name is None else people[name]
        resolved = services.ResolvedPayable(
            payable=order, amount="100.00", currency_code="eur", customer=customer
        )
        return services.open_payment_collection(resolved)[0]

    payer, *later = owners
    collection = open_for(payer)
    session = banks.open_session(collection)
    bank.next("authorize", banks.lost)
    try_to(lambda: services.authorize_payment_session(session))
    for owner in later:
        open_for(owner)
    let_time_pass(clock)
    assert len(bank.requests("authorize")) == (2 if is_sent_again else 1)
    assert bank.of(session).held == (100 if is_sent_again else 0)
    if not is_sent_again:
        assert_left_to_a_person(only(session, OperationKind.AUTHORIZE))
    bank.assert_agrees(collection)


@pytest.mark.parametrize("learn", [by_an_event, by_the_reconciler_itself], ids=named)
def test_lost_initiation_is_not_sent_again_once_its_session_is_canceled(
    bank: banks.Bank,
    clock: TestClock,
    collection: PaymentCollection,
    learn: Learn,
) -> None:
    bank.next("initiate", banks.unanswered)
    try_to(lambda: banks.open_session(collection))
    session = collection.sessions.get()
    bank.let_go(session)
    learn(bank, session)
    let_time_pass(clock)
    assert len(bank.requests("initiate")) == 1
    assert only(session, OperationKind.INITIATE).status == OperationStatus.SUCCEEDED
    session.refresh_from_db()
    assert session.status == SessionStatus.CANCELED
