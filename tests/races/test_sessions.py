"""Sessions at once: the provider authorizes once, and never more is live than there is to pay."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db.models import QuerySet

from payments import services
from payments.exceptions import AmountError, OperationInProgressError, TransitionError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import OperationKind, SessionStatus
from tests.races.conftest import Prepare
from tests.races.interleavings import interleave
from tests.reliability.books import assert_books_agree
from tests.threads import times, together

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = [SessionStatus.PENDING, SessionStatus.REQUIRES_MORE, SessionStatus.AUTHORIZED]


def live(collection: PaymentCollection) -> Decimal:
    """Return what a collection's live sessions are for."""
    amounts = collection.sessions.filter(status__in=LIVE).values_list("amount", flat=True)
    return sum(amounts, Decimal(0))


@pytest.mark.shows(
    "20 authorizations of one session at once", "the provider sees one, and no cancel; one payment"
)
def test_of_twenty_authorizations_the_provider_sees_one(
    session: PaymentSession, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(20, lambda: services.authorize_payment_session(session), prepare=isolation)
    came.raised(OperationInProgressError)
    assert [call.operation for call in simulator.calls()] == ["initiate", "authorize"]
    payment = Payment.objects.get()
    assert all(winner.payment == payment for winner in came.values)
    assert services.authorize_payment_session(session).payment == payment
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows("An authorization while another of the same session is under way", "operation_in_progress")
@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED])
def test_an_authorization_during_another_is_refused(
    point: Checkpoint, session: PaymentSession, simulator: SimulatorService
) -> None:
    came = interleave(
        lambda: services.authorize_payment_session(session),
        point,
        lambda: services.authorize_payment_session(session),
        of=OperationKind.AUTHORIZE,
    )
    assert len(came.raised(OperationInProgressError)) == 1
    assert simulator.totals(session.pk).authorizations == 1
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "20 sessions over all that is left at once", "one stays live; the others are canceled or refused"
)
def test_of_twenty_sessions_without_an_amount_one_stays_live(
    collection: PaymentCollection, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(
        20,
        lambda: services.create_payment_session(collection, provider_id="simulator"),
        prepare=isolation,
    )
    came.raised(OperationInProgressError)
    assert live(collection) == Decimal(100)
    assert not PaymentOperation.objects.open().exists()
    for session in collection.sessions.all():
        services.sync_payment_session(session)
    assert live(collection) == Decimal(100)
    assert_books_agree(simulator, collection)


@pytest.mark.shows("20 splits of 7 % at once", "14 are made, 6 refused; never more live than there is to pay")
def test_of_twenty_splits_as_many_are_made_as_fit(
    collection: PaymentCollection, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = times(
        20,
        lambda: services.create_payment_session(collection, provider_id="simulator", amount="7.00"),
        prepare=isolation,
    )
    assert len(came.raised(AmountError)) == 6
    assert live(collection) == Decimal(98)
    assert_books_agree(simulator, collection)


@pytest.mark.shows(
    "Two splits that are together more than is due, authorized at once",
    "never more held than there is to pay",
)
def test_two_sessions_never_hold_more_than_is_due(
    collection: PaymentCollection, simulator: SimulatorService, isolation: Prepare
) -> None:
    split = services.create_payment_session(collection, provider_id="simulator", amount="60.00")
    rest = services.create_payment_session(collection, provider_id="simulator", amount="40.00")
    # As a failed split that comes back would have it: together they are for more than there is to pay.
    QuerySet(PaymentCollection).filter(pk=collection.pk).update(amount=Decimal(90))
    came = together(
        lambda: services.authorize_payment_session(split),
        lambda: services.authorize_payment_session(rest),
        prepare=isolation,
    )
    # The loser is refused; unless it comes while the winner's authorization has it made smaller, or after that.
    refused = len(came.raised(AmountError, OperationInProgressError, TransitionError))
    assert refused <= 1
    assert Payment.objects.count() == 2 - refused
    collection.refresh_from_db()
    assert 0 < collection.authorized_amount <= collection.amount
    held = [simulator.totals(each.pk).authorizations for each in (split, rest)]
    assert sum(held) == 2 - refused


@pytest.mark.shows(
    "The amount is changed while its session is being authorized", "operation_in_progress; as before"
)
@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED])
@pytest.mark.parametrize("amount", ["40.00", "150.00"])
def test_the_amount_cannot_change_during_an_authorization(
    point: Checkpoint, amount: str, session: PaymentSession, simulator: SimulatorService
) -> None:
    came = interleave(
        lambda: services.authorize_payment_session(session),
        point,
        lambda: services.update_payment_collection(session.collection, amount=amount),
        of=OperationKind.AUTHORIZE,
    )
    assert len(came.raised(OperationInProgressError)) == 1
    session.collection.refresh_from_db()
    assert (session.collection.amount, session.collection.authorized_amount) == (Decimal(100), Decimal(100))
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "A session is authorized while its amount is being changed", "operation_in_progress; then the new"
)
@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED])
def test_a_session_cannot_be_authorized_during_a_change_of_its_amount(
    point: Checkpoint, session: PaymentSession, simulator: SimulatorService
) -> None:
    came = interleave(
        lambda: services.update_payment_collection(session.collection, amount="40.00"),
        point,
        lambda: services.authorize_payment_session(session),
        of=OperationKind.UPDATE,
    )
    assert len(came.raised(OperationInProgressError)) == 1
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    assert payment.amount == Decimal(40)
    assert simulator.totals(session.pk).authorized == 4_000
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "Amount change against authorization, neither first", "what is held is what is due, or one is refused"
)
def test_a_change_and_an_authorization_agree_in_the_end(
    session: PaymentSession, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = together(
        lambda: services.update_payment_collection(session.collection, amount="40.00"),
        lambda: services.authorize_payment_session(session),
        prepare=isolation,
    )
    came.raised(OperationInProgressError, AmountError, TransitionError)
    assert not PaymentOperation.objects.open().exists()
    session.collection.refresh_from_db()
    assert session.collection.authorized_amount in (0, session.collection.amount)
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "A session is canceled and authorized at once", "one wins; nothing is held that the books don't know"
)
def test_of_authorize_and_cancel_one_wins(
    session: PaymentSession, simulator: SimulatorService, isolation: Prepare
) -> None:
    came = together(
        lambda: services.authorize_payment_session(session),
        lambda: services.cancel_payment_session(session),
        prepare=isolation,
    )
    came.raised(OperationInProgressError, TransitionError)
    assert not PaymentOperation.objects.open().exists()
    assert_books_agree(simulator, session.collection)
