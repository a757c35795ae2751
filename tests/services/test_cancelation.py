"""Letting go: of a session that isn't authorized, of a whole authorization, of what is left of one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments import services
from payments.exceptions import (
    DeclinedError,
    OperationInProgressError,
    OutcomeUnknownError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers import CancelResult
from payments.states import Outcome
from payments.testing import Script
from tests.services.results import declined

pytestmark = pytest.mark.django_db


def test_unauthorized_session_is_canceled_at_the_provider(session: PaymentSession, card: Script) -> None:
    services.cancel_payment_session(session)
    assert (session.status, session.canceled_at is None) == ("canceled", False)
    (request,) = card.requests("cancel")
    assert (request.session_id, request.payment_id) == (session.pk, None)
    session.collection.refresh_from_db()
    assert session.collection.status == "not_paid"


def test_canceling_a_session_again_changes_nothing(session: PaymentSession, card: Script) -> None:
    services.cancel_payment_session(session)
    services.cancel_payment_session(session)
    assert len(card.requests("cancel")) == 1


def test_session_that_no_provider_knows_of_is_canceled_at_once(
    collection: PaymentCollection, card: Script
) -> None:
    first, _second = services.create_installment_plan(
        collection, provider_id="card", count=2, interval="month"
    )
    assert services.cancel_payment_session(first).status == "canceled"
    assert card.verbs == []


def test_canceling_an_authorized_session_releases_its_payment(payment: Payment, card: Script) -> None:
    session = services.cancel_payment_session(payment.session)
    payment.refresh_from_db()
    assert (session.status, payment.status) == ("canceled", "canceled")
    (request,) = card.requests("cancel")
    assert (request.payment_id, request.amount) == (payment.pk, Decimal(100))


def test_whole_payment_is_released(payment: Payment) -> None:
    services.cancel_payment(payment)
    assert (payment.status, payment.canceled_amount) == ("canceled", Decimal(100))
    assert payment.canceled_at is not None
    payment.session.refresh_from_db()
    assert payment.session.status == "canceled"
    payment.collection.refresh_from_db()
    assert (payment.collection.status, payment.collection.authorized_amount) == ("not_paid", Decimal(0))


def test_canceling_a_payment_again_changes_nothing(payment: Payment, card: Script) -> None:
    services.cancel_payment(payment)
    services.cancel_payment(payment)
    assert len(card.requests("cancel")) == 1


def test_remainder_is_released_and_what_was_taken_stays(payment: Payment, card: Script) -> None:
    services.capture_payment(payment, amount="60.00")
    services.cancel_payment(payment)
    assert (payment.status, payment.captured_amount, payment.canceled_amount) == (
        "captured",
        Decimal(60),
        Decimal(40),
    )
    assert [request.amount for request in card.requests("cancel")] == [Decimal(40)]
    payment.session.refresh_from_db()
    assert payment.session.status == "authorized"
    payment.collection.refresh_from_db()
    assert payment.collection.authorized_amount == Decimal(60)


def test_captured_payment_cannot_be_canceled(captured: Payment, card: Script) -> None:
    with pytest.raises(TransitionError) as refusal:
        services.cancel_payment(captured)
    assert refusal.value.code == "nothing_to_cancel"
    with pytest.raises(TransitionError) as refusal:
        services.cancel_payment_session(captured.session)
    assert refusal.value.code == "already_captured"
    assert card.requests("cancel") == []


def test_session_of_a_partly_captured_payment_cannot_be_canceled(payment: Payment, card: Script) -> None:
    services.capture_payment(payment, amount="0.01")
    with pytest.raises(TransitionError) as refusal:
        services.cancel_payment_session(payment.session)
    assert refusal.value.code == "already_captured"
    assert card.requests("cancel") == []


def test_payment_cannot_be_captured_while_it_is_being_released(payment: Payment, card: Script) -> None:
    card.next("cancel", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.cancel_payment(payment)
    for verb in (services.capture_payment, services.cancel_payment):
        with pytest.raises(OperationInProgressError):
            verb(payment)
    assert card.requests("capture") == []


def test_refused_release_leaves_the_payment_as_it_was(payment: Payment, card: Script) -> None:
    card.next("cancel", declined(CancelResult, "already_captured"))
    with pytest.raises(DeclinedError):
        services.cancel_payment(payment)
    payment.refresh_from_db()
    assert (payment.status, payment.canceled_amount) == ("authorized", Decimal(0))
    assert services.capture_payment(payment).status == "captured"


def test_release_that_takes_its_time_keeps_the_payment_as_it_is(payment: Payment, card: Script) -> None:
    card.next("cancel", CancelResult(outcome=Outcome.PENDING))
    assert services.cancel_payment(payment).status == "authorized"
    with pytest.raises(OperationInProgressError):
        services.capture_payment(payment)
