"""PostgreSQL with another isolation level than Django's: everything comes out as it does under READ COMMITTED.

A transaction that keeps the snapshot of its first statement would see the rows behind the lock that it has waited for
as they were before; one that is serializable fails where there is room for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from payments import services
from payments.exceptions import (
    AmountError,
    OpenTransactionError,
    OperationInProgressError,
    PaymentError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.simulator import SimulatorService
from payments.states import OperationKind, SessionStatus
from tests.api.client import Answer, Visitor
from tests.races.interleavings import CANCEL, CAPTURE, End
from tests.races.isolation import LEVELS, behind, isolated, level_of_a_transaction
from tests.reliability.books import assert_books_agree, assert_invariants
from tests.shop.models import Order
from tests.threads import aside, times, together
from tests.webhooks.deliveries import bodies, deliver, history, intent_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

NO_ROOM = (AmountError, OperationInProgressError, TransitionError)


@pytest.fixture(
    autouse=True,
    params=[
        pytest.param(name, marks=() if name == "serializable" else pytest.mark.thorough) for name in LEVELS
    ],
)
def level(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[str]:
    """Have every transaction of the shop run at another isolation level."""
    with isolated(request.param):
        yield LEVELS[request.param].lower()


def test_transactions_of_the_shop_keep_their_level(level: str, payment: Payment) -> None:
    services.capture_payment(payment)

    with transaction.atomic():
        assert level_of_a_transaction() == level


# Two at once, of which the second has seen how things stood before the first


def captured_by(simulator: SimulatorService, payment: Payment) -> int:
    """Return what the bank has captured, in minor units."""
    return simulator.totals(payment.session_id).captured


Move = Callable[..., Payment]


@pytest.mark.parametrize(
    ("moves", "kind", "whole"),
    [
        (services.capture_payment, OperationKind.CAPTURE, None),
        (services.refund_payment, OperationKind.REFUND, "60.00"),
    ],
    ids=["capture", "refund"],
)
def test_second_movement_that_does_not_fit_is_refused(
    payment: Payment, simulator: SimulatorService, moves: Move, kind: OperationKind, whole: str | None
) -> None:
    if kind == OperationKind.REFUND:
        services.capture_payment(payment)

    came = behind(
        lambda: moves(payment, amount=whole), lambda: moves(payment, amount=whole or "100.00"), of=kind
    )

    assert len(came.raised(*NO_ROOM)) == 1
    assert len(simulator.calls(operation=str(kind))) == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.parametrize(
    ("moves", "kind", "total"),
    [
        (services.capture_payment, OperationKind.CAPTURE, "captured"),
        (services.refund_payment, OperationKind.REFUND, "refunded"),
    ],
    ids=["capture", "refund"],
)
def test_second_movement_that_fits_is_made(
    payment: Payment, simulator: SimulatorService, moves: Move, kind: OperationKind, total: str
) -> None:
    if kind == OperationKind.REFUND:
        services.capture_payment(payment)

    came = behind(lambda: moves(payment, amount="30.00"), lambda: moves(payment, amount="40.00"), of=kind)

    assert came.raised() == []
    assert getattr(simulator.totals(payment.session_id), total) == 7_000
    assert_books_agree(simulator, payment.collection)
    assert_invariants(payment.collection)


@pytest.mark.parametrize(("first", "second"), [(CAPTURE, CANCEL), (CANCEL, CAPTURE)], ids=str)
def test_second_end_of_a_payment_is_refused(
    payment: Payment, simulator: SimulatorService, first: End, second: End
) -> None:
    came = behind(lambda: first.verb(payment), lambda: second.verb(payment), of=first.kind)

    assert len(came.raised(*NO_ROOM)) == 1
    assert simulator.calls(operation=str(second.kind)) == []
    payment.refresh_from_db()
    assert payment.status == first.status
    assert_books_agree(simulator, payment.collection)


def test_refused_split_cannot_come_back_behind_the_one_in_its_place(
    collection: PaymentCollection, simulator: SimulatorService
) -> None:
    refused = services.create_payment_session(collection, provider_id="simulator", amount="20.00")
    simulator.script(operation="authorize", fault="decline")
    services.authorize_payment_session(refused)
    in_its_place = services.create_payment_session(collection, provider_id="simulator")
    assert in_its_place.amount == Decimal(100)

    came = behind(
        lambda: services.authorize_payment_session(in_its_place),
        lambda: services.authorize_payment_session(refused),
        of=OperationKind.AUTHORIZE,
    )

    assert len(came.raised(*NO_ROOM)) == 1
    held = [simulator.totals(row.pk).authorized for row in (refused, in_its_place)]
    assert held == [0, 10_000]
    assert_books_agree(simulator, collection)


def test_amount_is_not_lowered_behind_an_authorization(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    came = behind(
        lambda: services.authorize_payment_session(session),
        lambda: services.update_payment_collection(session.collection, amount="70.00"),
        of=OperationKind.AUTHORIZE,
    )

    assert len(came.raised(*NO_ROOM)) == 1
    session.collection.refresh_from_db()
    assert (session.collection.amount, session.collection.authorized_amount) == (Decimal(100), Decimal(100))
    assert_books_agree(simulator, session.collection)


def test_session_is_not_canceled_behind_its_authorization(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    came = behind(
        lambda: services.authorize_payment_session(session),
        lambda: services.cancel_payment_session(session),
        of=OperationKind.AUTHORIZE,
    )

    assert len(came.raised(*NO_ROOM)) == 1
    assert simulator.calls(operation="cancel") == []
    assert simulator.totals(session.pk).authorized == 10_000
    assert_books_agree(simulator, session.collection)


def test_marking_as_paid_behind_an_authorization_cancels_nothing_that_is_held(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    came = behind(
        lambda: services.authorize_payment_session(session),
        lambda: services.mark_payment_collection_as_paid(session.collection),
        of=OperationKind.AUTHORIZE,
    )

    came.raised(PaymentError)
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert simulator.totals(session.pk).canceled == 0
    session.collection.refresh_from_db()
    assert session.collection.authorized_amount == Decimal(100)
    assert_books_agree(simulator, session.collection)


def test_second_split_that_does_not_fit_is_refused(
    collection: PaymentCollection, simulator: SimulatorService
) -> None:
    came = behind(
        lambda: services.create_payment_session(collection, provider_id="simulator", amount="60.00"),
        lambda: services.create_payment_session(collection, provider_id="simulator", amount="60.00"),
        of=OperationKind.INITIATE,
    )

    assert len(came.raised(AmountError)) == 1
    assert len(simulator.calls(operation="initiate")) == 1


def test_second_split_that_fits_is_made(collection: PaymentCollection, simulator: SimulatorService) -> None:
    came = behind(
        lambda: services.create_payment_session(collection, provider_id="simulator", amount="60.00"),
        lambda: services.create_payment_session(collection, provider_id="simulator", amount="40.00"),
        of=OperationKind.INITIATE,
    )

    assert came.raised() == []
    assert len(simulator.calls(operation="initiate")) == 2


def test_event_behind_a_claim_is_applied(payment: Payment, simulator: SimulatorService) -> None:
    simulator.capture(intent_of(payment.session), 1_000)
    (body,) = bodies(simulator, payment.session, "capture.succeeded")

    came = behind(
        lambda: services.capture_payment(payment, amount="30.00"),
        lambda: deliver(body),
        of=OperationKind.CAPTURE,
    )

    assert came.raised() == []
    assert history(payment.session).count("payment.captured") == 2
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(40)
    assert_books_agree(simulator, payment.collection)


# Many at once


def test_of_twenty_full_captures_one_succeeds(payment: Payment, simulator: SimulatorService) -> None:
    came = times(20, lambda: services.capture_payment(payment, amount="100.00"))

    assert len(came.raised(*NO_ROOM)) == 19
    assert len(simulator.calls(operation="capture")) == 1
    assert_books_agree(simulator, payment.collection)


def test_of_twenty_captures_of_a_third_three_succeed(payment: Payment, simulator: SimulatorService) -> None:
    came = times(20, lambda: services.capture_payment(payment, amount="30.00"))

    assert len(came.raised(*NO_ROOM)) == 17
    assert len(simulator.calls(operation="capture")) == 3
    assert captured_by(simulator, payment) == 9_000
    assert_books_agree(simulator, payment.collection)


def test_ten_refunds_that_fit_all_succeed(captured: Payment, simulator: SimulatorService) -> None:
    came = times(10, lambda: services.refund_payment(captured, amount="10.00"))

    assert came.raised() == []
    assert simulator.totals(captured.session_id).refunded == 10_000
    assert_books_agree(simulator, captured.collection)


def test_of_many_captures_and_cancelations_one_wins(payment: Payment, simulator: SimulatorService) -> None:
    came = together(
        *[lambda: services.capture_payment(payment)] * 8,
        *[lambda: services.cancel_payment(payment)] * 8,
    )

    came.raised(*NO_ROOM)
    moved = [call for call in simulator.calls() if call.operation in ("capture", "cancel")]
    assert len(moved) == 1
    assert_books_agree(simulator, payment.collection)


def test_of_twenty_authorizations_the_bank_sees_one(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    came = times(20, lambda: services.authorize_payment_session(session))

    came.raised(OperationInProgressError)
    assert len(simulator.calls(operation="authorize")) == 1
    assert_books_agree(simulator, session.collection)


def test_copies_of_an_event_at_once_are_one(session: PaymentSession, simulator: SimulatorService) -> None:
    simulator.authorize(intent_of(session))
    (body,) = bodies(simulator, session)

    came = times(8, lambda: deliver(body))

    assert [answer.status for answer in came.values] == [200] * 8
    assert history(session).count("session.authorized") == 1
    assert_books_agree(simulator, session.collection)


def test_one_key_at_once_from_eight_sides_refunds_once(
    captured: Payment, admin_user: Any, simulator: SimulatorService
) -> None:
    visitors = [Visitor(user=admin_user) for _each in range(8)]

    def ask(visitor: Visitor) -> Answer:
        visitor.headers["Idempotency-Key"] = "once"
        return visitor.post(f"staff/payments/{captured.pk}/refund/", {"amount": "10.00"})

    came = together(*[lambda visitor=visitor: ask(visitor) for visitor in visitors])

    assert came.raised() == []
    statuses = [answer.status for answer in came.values]
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert simulator.totals(captured.session_id).refunded == 1_000


# What is locked by something else than a collection, and what joins the shop's own transaction


def test_requests_for_one_order_at_once_get_its_one_collection() -> None:
    order = Order.objects.create(number="A-1", total=Decimal(100), currency_code="eur")
    asked = services.ResolvedPayable(payable=order, amount="100.00", currency_code="eur")

    came = times(8, lambda: services.open_payment_collection(asked))

    assert came.raised() == []
    assert PaymentCollection.objects.count() == 1
    assert sorted(is_new for _collection, is_new in came.values) == [False] * 7 + [True]


def test_collection_of_a_new_order_is_made_in_the_shops_transaction() -> None:
    with transaction.atomic():
        order = Order.objects.create(number="A-1", total=Decimal(100), currency_code="eur")
        services.create_payment_collection(amount="100.00", currency_code="eur", payable=order)
        transaction.set_rollback(True)

    assert not PaymentCollection.objects.exists()


def test_plan_that_is_made_in_an_old_snapshot_never_promises_more_than_is_due(
    collection: PaymentCollection, simulator: SimulatorService
) -> None:
    services.list_providers()  # whoever asks first has the missing rows made

    def plan() -> Any:
        with transaction.atomic():
            assert not PaymentSession.objects.exists()  # from here on, the transaction sees nothing new
            aside(
                lambda: services.create_payment_session(collection, provider_id="simulator", amount="60.00")
            )
            return services.create_installment_plan(
                collection, provider_id="simulator", count=2, interval="month"
            )

    _whatever_comes_of(plan)

    promised = sum(PaymentSession.objects.values_list("amount", flat=True))
    assert promised <= Decimal(100)
    assert not PaymentOperation.objects.open().exists()


def _whatever_comes_of(work: Callable[[], Any]) -> None:
    """Do what may as well be refused, by the house or by the database."""
    came = together(work)
    for error in came.errors:
        assert isinstance(error, OpenTransactionError | AmountError) or "serialize" in str(error), error
