"""Giving up one session that nobody has paid with: what its payer pays meanwhile is never let go of with it.

Who decides that a session is to be abandoned has seen it unpaid. Its payer may be at the bank's page at that moment,
and the shop is told of what they do there: it ships. So an abandonment holds for an unpaid session only.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from payments import services
from payments.exceptions import TransitionError
from payments.models import (
    IdempotencyRecord,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
)
from payments.providers import RetrieveResult, SessionFact
from payments.simulator import SimulatorService
from payments.states import OperationKind, OperationStatus, Outcome, SessionStatus
from payments.testing import scripted_provider
from tests.admin.acting import action_url, confirm, open_form
from tests.api.client import Visitor
from tests.races.meanwhile import (
    assert_canceled,
    assert_still_held,
    before_the_next_transaction,
    meanwhile,
    pay,
    send_to_the_bank,
    tell,
    whatever_comes_of,
)
from tests.races.places import Checkpoint
from tests.reliability.books import assert_books_agree, our_books, their_books

pytestmark = pytest.mark.django_db(transaction=True)

CANCEL = OperationKind.CANCEL


def as_read(session: PaymentSession) -> PaymentSession:
    """Return a session as somebody reads it now."""
    return PaymentSession.objects.select_related("authorized_payment").get(pk=session.pk)


@pytest.mark.parametrize("seen", ["pending", "requires_more", "error"])
def test_session_that_was_read_before_it_was_paid_is_not_released(
    session: PaymentSession, simulator: SimulatorService, seen: str
) -> None:
    if seen == "requires_more":
        send_to_the_bank(simulator, session)
    elif seen == "error":
        simulator.script(operation="authorize", fault="decline")
        services.authorize_payment_session(session)
    row = as_read(session)
    assert row.status == seen
    pay(simulator, session)

    with pytest.raises(TransitionError) as refusal:
        services.cancel_payment_session(row)

    assert refusal.value.code == "already_authorized"
    assert_still_held(simulator, session)
    assert not PaymentOperation.objects.open().exists()


def test_session_that_was_captured_meanwhile_is_not_released_either(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    row = as_read(session)
    pay(simulator, session)
    services.capture_payment(Payment.objects.get(), amount="40.00")

    with pytest.raises(TransitionError):
        services.cancel_payment_session(row)

    assert simulator.calls(operation="cancel") == []
    assert_books_agree(simulator, session.collection)


def test_session_that_was_read_as_authorized_is_released(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    pay(simulator, session)

    canceled = services.cancel_payment_session(as_read(session))

    assert canceled.status == SessionStatus.CANCELED
    assert_canceled(simulator, session)


def test_session_that_the_caller_has_authorized_is_released(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    services.authorize_payment_session(session)

    services.cancel_payment_session(session)

    assert_canceled(simulator, session)


def test_session_that_is_paid_before_the_bank_is_asked_is_not_released(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    send_to_the_bank(simulator, session)

    with (
        meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL),
        pytest.raises(TransitionError) as refusal,
    ):
        services.cancel_payment_session(session)

    assert refusal.value.code == "already_authorized"
    assert_still_held(simulator, session)
    assert not PaymentOperation.objects.open().exists()


def test_paid_session_can_be_captured_after_its_abandonment_was_refused(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    send_to_the_bank(simulator, session)
    with (
        meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL),
        pytest.raises(TransitionError),
    ):
        services.cancel_payment_session(session)

    services.capture_payment(Payment.objects.get())

    assert simulator.totals(session.pk).captured == 10_000
    session.collection.refresh_from_db()
    assert session.collection.captured_amount == Decimal(100)


def test_what_a_bank_authorizes_after_it_has_canceled_is_held_in_the_books_too(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    def authorize_late() -> None:
        (intent,) = simulator.intents(reference=session.pk)
        assert intent.status == "canceled"
        simulator.authorize(intent.id)
        tell(simulator, session)

    with meanwhile(authorize_late, Checkpoint.CALLED, of=CANCEL):
        whatever_comes_of(lambda: services.cancel_payment_session(session))

    assert their_books(simulator, session).held == 10_000
    assert our_books(session) == their_books(simulator, session)
    assert PaymentOperation.objects.open().get().status == OperationStatus.ATTENTION


def test_answer_that_says_only_canceled_releases_nothing_that_came_later(
    collection: PaymentCollection, simulator: SimulatorService
) -> None:
    authorized = SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(100)
    )
    with scripted_provider() as script:
        session = services.create_payment_session(collection, provider_id="scripted")
        script.next("retrieve", *[RetrieveResult(outcome=Outcome.SUCCEEDED, fact=authorized)] * 2)

        def authorize_late() -> None:
            services.record_fact(session, authorized, origin=services.Origin())

        with meanwhile(authorize_late, Checkpoint.CALLED, of=CANCEL):
            whatever_comes_of(lambda: services.cancel_payment_session(session))

    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert Payment.objects.get().canceled_amount == 0
    assert PaymentOperation.objects.open().get().status == OperationStatus.ATTENTION


# The faces: a payer, an operator at the API, an operator at the admin's pages


def test_payer_who_pays_in_one_window_and_cancels_in_the_other_has_paid(
    session: PaymentSession, simulator: SimulatorService, django_user_model: Any
) -> None:
    shopper = django_user_model.objects.create_user("sam")
    PaymentCollection.objects.update(customer=shopper)
    visitor = Visitor(user=shopper)

    with before_the_next_transaction(lambda: pay(simulator, session)):
        answer = visitor.post(f"storefront/payment-sessions/{session.pk}/cancel/")

    assert answer.error[:3] == (409, "conflict", "already_authorized")
    assert_still_held(simulator, session)


def test_payer_who_pays_before_the_bank_is_asked_to_cancel_has_paid(
    session: PaymentSession, simulator: SimulatorService, django_user_model: Any
) -> None:
    shopper = django_user_model.objects.create_user("sam")
    PaymentCollection.objects.update(customer=shopper)

    with meanwhile(lambda: pay(simulator, session), Checkpoint.CLAIMED, of=CANCEL):
        answer = Visitor(user=shopper).post(f"storefront/payment-sessions/{session.pk}/cancel/")

    assert answer.error[:3] == (409, "conflict", "already_authorized")
    assert_still_held(simulator, session)


def test_operator_who_cancels_an_unpaid_session_releases_no_paid_one(
    session: PaymentSession, simulator: SimulatorService, admin_user: Any
) -> None:
    visitor = Visitor(user=admin_user)

    with before_the_next_transaction(lambda: pay(simulator, session)):
        answer = visitor.post(f"staff/payment-sessions/{session.pk}/cancel/")

    assert answer.error[:3] == (409, "conflict", "already_authorized")
    assert_still_held(simulator, session)
    assert visitor.post(f"staff/payment-sessions/{session.pk}/cancel/").status == 200
    assert_canceled(simulator, session)


def test_page_that_says_that_no_money_moves_moves_none(
    session: PaymentSession, simulator: SimulatorService, admin_client: Client
) -> None:
    assert "No money moves." in admin_client.get(action_url(session, "cancel")).content.decode()
    form = open_form(admin_client, session, "cancel")

    with before_the_next_transaction(lambda: pay(simulator, session), after_writing=IdempotencyRecord):
        answer = confirm(admin_client, session, "cancel", form)

    assert answer.status_code == 409
    assert_still_held(simulator, session)


def test_list_of_sessions_to_cancel_spares_one_that_is_paid_meanwhile(
    session: PaymentSession, simulator: SimulatorService, admin_client: Client
) -> None:
    other = services.create_payment_collection(amount="60.00", currency_code="eur")
    first, second = session, services.create_payment_session(other, provider_id="simulator")
    url = "/admin/payments/paymentsession/"
    chosen = {"action": "cancel", "_selected_action": [first.pk, second.pk]}
    page = admin_client.post(url, chosen).content.decode()
    rows = sorted(re.findall(r'name="row" value="([^"]*)"', page), key=lambda row: second.pk in row)

    with meanwhile(lambda: pay(simulator, second), Checkpoint.CLAIMED, of=CANCEL, session=second):
        results = admin_client.post(f"{url}bulk/cancel/", {"row": rows})
        b"".join(results.streaming_content)  # type: ignore[attr-defined]

    assert_canceled(simulator, first)
    assert_still_held(simulator, second)
