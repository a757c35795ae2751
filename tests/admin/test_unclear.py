"""What nobody knows yet is seen on every page that shows the row, and can be looked into from there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django.test import Client

from payments.exceptions import OutcomeUnknownError
from payments.models import (
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
)
from payments.providers import MovementFact, RetrieveResult, SessionFact
from payments.services import (
    capture_payment,
    create_installment_plan,
    create_payment_session,
    refund_payment,
)
from payments.states import MovementKind, MovementStatus, Outcome
from tests.admin.acting import act, action_url, confirm, inputs, open_form, told
from tests.admin.answers import answering
from tests.admin.conftest import Viewer
from tests.admin.pages import html, listing, page, panel, text
from tests.admin.scenes import make_attention, make_authorized, make_collection

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

BADGE = "Refund of 20.00 EUR unclear"


@pytest.fixture
def lost(olivia: Any) -> PaymentOperation:
    """Return a refund of 20.00 euros of 100.00, asked for by olivia, whose answer got lost."""
    payment = capture_payment(make_authorized(make_collection("100.00")))
    with answering(TimeoutError()), pytest.raises(OutcomeUnknownError):
        refund_payment(payment, amount="20.00", actor=olivia, source="admin")
    return PaymentOperation.objects.get(status="unknown")


def around(operation: PaymentOperation) -> list[models.Model]:
    """Return the rows whose pages show an operation: its collection, session and payment."""
    assert operation.payment is not None
    return [operation.collection, operation.session, operation.payment]


def refunded(operation: PaymentOperation | None, amount: str = "20.00") -> RetrieveResult:
    """Return the answer of a provider that has given money back, for an operation or by itself."""
    movement = MovementFact(
        kind=MovementKind.REFUND,
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(amount),
        currency_code="eur",
        operation_id=None if operation is None else operation.pk,
        provider_reference=f"re_{amount}",
    )
    fact = SessionFact(currency_code="eur", movements=(movement,))
    return RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact)


def test_every_page_and_list_says_what_is_unclear_and_offers_to_look(
    lost: PaymentOperation, operator: Client
) -> None:
    for row in around(lost):
        shown = html(operator, page(row))
        words = text(shown)
        assert BADGE in words, row
        assert "A refund of 20.00 EUR by olivia at " in words, row
        assert "is still unclear; it may have reached the customer. The provider is asked again at" in words
        assert f"{action_url(lost, 'check')}?next=" in shown, row
    for model in (PaymentCollection, PaymentSession, Payment):
        assert BADGE in text(html(operator, listing(model))), model
    assert action_url(lost, "check") in html(operator, page(lost))


def test_nothing_is_said_where_all_is_clear(operator: Client) -> None:
    payment = capture_payment(make_authorized(make_collection("100.00")))
    for row in (payment, payment.session, payment.collection):
        assert "unclear" not in text(html(operator, page(row))), row


def test_who_may_not_ask_is_told_without_the_way_to_it(lost: PaymentOperation, viewer: Viewer) -> None:
    client = viewer("view_paymentcollection", "view_payment", "view_paymentoperation")
    shown = html(client, page(lost.collection))
    assert BADGE in text(shown)
    assert "Check now" not in text(shown)
    assert client.get(action_url(lost, "check")).status_code == 403


def test_looking_says_what_came_of_it(lost: PaymentOperation, operator: Client) -> None:
    with answering(refunded(lost)):
        response = act(operator, lost, "check")
    assert (
        told(response) == "New: the refund of 20.00 EUR has gone through. The operation is over. "
        "Status: Succeeded."
    )
    assert "unclear" not in text(html(operator, page(lost.collection)))


def test_looking_says_what_was_found_besides(lost: PaymentOperation, operator: Client) -> None:
    with answering(refunded(None, "15.00"), TimeoutError()):
        response = act(operator, lost, "check")
    words = told(response)
    assert words.startswith("New: a refund of 15.00 EUR made at the provider. A refund of 20.00 EUR by")
    assert "The provider is asked again at" in words


def test_looking_in_vain_says_so(lost: PaymentOperation, operator: Client) -> None:
    with answering(TimeoutError()):
        response = act(operator, lost, "check")
    assert told(response).startswith("Nothing new. A refund of 20.00 EUR by olivia at ")


def test_the_same_can_be_looked_into_again(lost: PaymentOperation, operator: Client) -> None:
    for _time in range(2):
        with answering(TimeoutError()):
            response = act(operator, lost, "check")
        assert told(response).startswith("Nothing new.")


def test_what_needs_a_person_is_looked_into_first(operator: Client) -> None:
    operation = make_attention()
    for row in [operation, *around(operation)[:1]]:
        assert "Needs attention" in text(html(operator, page(row)))
    assert f"{action_url(operation, 'check')}?next=" in html(operator, page(operation))
    with answering(RetrieveResult(outcome=Outcome.SUCCEEDED)):
        response = act(operator, operation, "check")
    assert told(response).startswith("Nothing new. The operation needs attention: Another amount was")


def test_refund_page_warns_of_the_one_before_and_wants_a_tick_for_the_same(
    lost: PaymentOperation, operator: Client
) -> None:
    payment = lost.payment
    assert payment is not None
    shown = html(operator, action_url(payment, "refund"))
    warning = "A refund of 20.00 EUR by olivia at "
    assert warning in text(shown)
    assert inputs(shown)["amount"] == "80.00"
    assert 'type="checkbox"' not in shown
    sent = {**open_form(operator, payment, "refund"), "amount": "20.00"}
    refused = operator.post(action_url(payment, "refund"), sent)
    again = refused.content.decode()
    assert (refused.status_code, 'type="checkbox"' in again) == (409, True)
    assert "It isn't known yet whether the same has happened already: Refund of 20.00 EUR" in text(again)
    assert confirm(operator, payment, "refund", sent).status_code == 409
    assert PaymentOperation.objects.filter(kind="refund").count() == 1
    ticked = {**sent, "despite_unclear": "on"}
    review = operator.post(action_url(payment, "refund"), ticked).content.decode()
    assert warning in text(review)
    assert "60.00 EUR of this payment is kept." in text(review)
    done = confirm(operator, payment, "refund", inputs(review))
    assert told(done) == "20.00 EUR was refunded. 60.00 EUR of this payment is kept."


def test_another_amount_needs_no_tick_and_is_warned_of(lost: PaymentOperation, operator: Client) -> None:
    payment = lost.payment
    assert payment is not None
    sent = {**open_form(operator, payment, "refund"), "amount": "30.00"}
    review = operator.post(action_url(payment, "refund"), sent).content.decode()
    assert "A refund of 20.00 EUR by olivia at " in text(review)
    done = confirm(operator, payment, "refund", inputs(review))
    assert told(done) == "30.00 EUR was refunded. 50.00 EUR of this payment is kept."


def test_refund_that_was_found_is_not_told_as_done_by_who_asked(operator: Client, olivia: Any) -> None:
    payment = capture_payment(make_authorized(make_collection("100.00")))
    with answering(refunded(None, "15.00")):
        response = act(operator, payment, "sync")
    assert told(response) == (
        "New: a refund of 15.00 EUR made at the provider. The payment's status: Partially refunded, captured 100.00 "
        "EUR, refunded 15.00 EUR."
    )
    event = PaymentEvent.objects.get(type="payment.refunded")
    assert (event.source, event.actor, event.operation) == ("provider", olivia, None)
    assert (event.from_status, event.to_status) == ("", "succeeded")
    shown = panel(html(operator, page(payment.collection)), "history")
    told_of = shown[shown.index("Money refunded") :][:250]
    assert "Found at the provider (asked by olivia)" in told_of
    assert "Pending" not in told_of
    with answering(refunded(None, "15.00")):
        again = act(operator, payment, "sync")
    assert told(again).startswith("Nothing new. ")


def test_refund_of_ours_that_was_found_names_who_wanted_it(lost: PaymentOperation, operator: Client) -> None:
    with answering(refunded(lost)):
        act(operator, lost, "check")
    event = PaymentEvent.objects.get(type="payment.refunded")
    assert (event.source, event.operation) == ("provider", lost)
    assert (event.from_status, event.to_status) == ("pending", "succeeded")


def test_session_that_was_never_opened_there_is_not_synced(operator: Client) -> None:
    collection = make_collection("100.00")
    create_installment_plan(collection, provider_id="card", count=2, interval="month")
    for session in collection.sessions.all():
        assert action_url(session, "sync") not in html(operator, page(session))
    with answering(TimeoutError()), pytest.raises(OutcomeUnknownError):
        create_payment_session(make_collection("50.00"), provider_id="card")
    session = PaymentSession.objects.get(operations__kind="initiate", operations__status="unknown")
    assert action_url(session, "sync") in html(operator, page(session))
