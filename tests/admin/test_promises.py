"""What a confirmation page promises can be kept, and whoever is too late or asks in vain is told why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from payments.admin.actions.base import ActionContext
from payments.admin.links import provider_name
from payments.models import Payment, PaymentCollection, PaymentOperation
from payments.providers import CaptureResult
from payments.providers.account_holders import ListMethodsResult
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_account_holder,
    create_payment_session,
)
from payments.states import Outcome
from payments.testing import Script
from tests.admin.acting import act, action_url, confirm, inputs, open_form, told
from tests.admin.answers import CARD, SCRIPT, answering
from tests.admin.conftest import Viewer
from tests.admin.pages import html, page, panel, text
from tests.admin.scenes import make_attention, make_authorized, make_collection, make_customer
from tests.admin.test_bulk_actions import choose, chosen, run

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

OWNER = "Order Order 70 · anna@ shop.example"  # the address may break behind its sign


@pytest.fixture
def payment() -> Payment:
    return make_authorized(make_collection("70.00", customer=make_customer(), number="Order 70"))


def lose_capture(payment: Payment, amount: str) -> None:
    """Capture, and get no answer."""
    with answering(TimeoutError()), pytest.raises(Exception, match="isn't known yet"):
        capture_payment(payment, amount=amount)


# --- what is received ---


@pytest.mark.parametrize("is_bulk", [True, False])
@pytest.mark.parametrize("amount", [None, "60.00"])
@pytest.mark.parametrize("by_card", [None, "10.00"])
def test_no_more_is_marked_as_paid_than_the_page_has_said(
    operator: Client, *, is_bulk: bool, amount: str | None, by_card: str | None
) -> None:
    """Cash that is expected is held for a receipt: it isn't left for another capture."""
    collection = make_collection("100.00")
    authorize_payment_session(create_payment_session(collection, provider_id="system", amount="40.00"))
    if by_card is not None:
        authorize_payment_session(create_payment_session(collection, provider_id="card", amount=by_card))
    whole = Decimal(100) - Decimal(by_card or 0)
    if is_bulk:
        response = choose(operator, [collection], "mark-as-paid")
        run(operator, PaymentCollection, "mark-as-paid", chosen(response))
        received = whole
        assert f"In all: {whole:.2f} EUR" in text(response.content.decode())
    else:
        sent = open_form(operator, collection, "mark-as-paid")
        assert sent["amount"] == f"{whole:.2f}"
        sent |= {} if amount is None else {"amount": amount}
        received = Decimal(sent["amount"])
        response = operator.post(action_url(collection, "mark-as-paid"), sent)
        confirm(operator, collection, "mark-as-paid", sent)

    shown = text(response.content.decode())
    assert f"{received:.2f} EUR is recorded as received" in shown
    assert (f"{whole - received:.2f} EUR stays open" in shown) == (received < whole)
    assert ("10.00 EUR that providers hold stays held" in shown) == (by_card is not None)
    assert "40.00 EUR that" not in shown
    collection.refresh_from_db()
    assert collection.captured_amount == received
    assert collection.authorized_amount == received + Decimal(by_card or 0)


# --- more than there is ---


@pytest.mark.parametrize(
    ("slug", "sentence"),
    [
        ("capture", "999.00 EUR is more than the 30.00 EUR left to capture."),
        ("refund", "999.00 EUR is more than the 40.00 EUR left to refund."),
    ],
)
def test_impossible_amount_is_refused_at_its_field_before_anything_is_promised(
    slug: str, sentence: str, payment: Payment, operator: Client
) -> None:
    capture_payment(payment, amount="40.00")
    sent = {**open_form(operator, payment, slug), "amount": "999"}
    shown = operator.post(action_url(payment, slug), sent).content.decode()
    assert sentence in text(shown)
    assert 'id="id_amount_error"' in shown
    assert "Yes, do it" not in shown
    assert "-959.00" not in shown


def test_amount_that_the_provider_can_not_take_in_parts_is_refused_at_its_field(
    payment: Payment, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SCRIPT, "lacks", {"partial_capture"})
    sent = {**open_form(operator, payment, "capture"), "amount": "10"}
    shown = operator.post(action_url(payment, "capture"), sent).content.decode()
    assert "only captures the whole amount" in text(shown)
    assert 'id="id_amount_error"' in shown


def test_collection_with_a_capture_under_way_promises_to_let_nothing_go(
    payment: Payment, operator: Client
) -> None:
    lose_capture(payment, "20.00")
    for row in (payment, payment.session, payment.collection):
        response = operator.get(action_url(row, "cancel"))
        assert response.status_code == 302
        assert "Capture, 20.00 EUR. The next check is at " in told(response)
        left_out = text(choose(operator, [row], "cancel").content.decode())
        assert "Left out: Unclear since " in left_out
        assert "release" not in left_out


def test_collection_and_session_that_something_else_holds_are_not_canceled(operator: Client) -> None:
    session = create_payment_session(make_collection("60.00"), provider_id="card")
    with answering(TimeoutError()):
        act(operator, session, "authorize")
    for row in (session, session.collection):
        response = operator.get(action_url(row, "cancel"))
        assert response.status_code == 302
        assert "Authorize, 60.00 EUR. The next check is at " in told(response)


def test_captured_money_keeps_session_and_collection_from_being_canceled(
    payment: Payment, operator: Client
) -> None:
    stale = {row: open_form(operator, row, "cancel") for row in (payment.session, payment.collection)}
    capture_payment(payment)
    for row, sent in stale.items():
        assert confirm(operator, row, "cancel", sent).status_code == 302
    assert not PaymentOperation.objects.filter(kind="cancel").exists()


# --- what the provider doesn't know ---


@pytest.fixture
def forgotten(db: None, script: Script) -> Payment:
    """Return a payment of a provider that knows nothing of it."""
    return make_authorized(make_collection("60.00"), provider_id="scripted")


def test_sync_of_what_the_provider_does_not_know_is_a_warning(forgotten: Payment, operator: Client) -> None:
    response = act(operator, forgotten, "sync")
    assert told(response) == "The provider doesn't know this payment. Nothing was changed."
    assert [message.level_tag for message in response.wsgi_request._messages] == ["warning"]
    response = act(operator, forgotten.session, "sync")
    assert told(response) == "The provider doesn't know this session. Nothing was changed."
    shown = panel(html(operator, page(forgotten.collection)), "history")
    assert shown.count("Provider doesn't know the session") == 1
    assert "olivia" in shown


def test_sync_of_many_marks_those_that_the_provider_does_not_know(
    forgotten: Payment, operator: Client
) -> None:
    versions = chosen(choose(operator, [forgotten], "sync"))
    assert "Finished: 1 row needs a look." in text(run(operator, Payment, "sync", versions))


def test_sync_without_a_usable_answer_does_not_contradict_itself(
    forgotten: Payment, operator: Client, script: Script
) -> None:
    script.next("retrieve", TimeoutError())
    assert told(act(operator, forgotten, "sync")) == "The payment provider gave no usable answer; try again."


# --- doing it twice, and who was there before ---


def test_second_click_on_removing_a_saved_method_is_told_that_it_is_done(
    operator: Client, script: Script
) -> None:
    holder = create_account_holder(make_customer(), provider_id="scripted")
    sent = open_form(operator, holder, "remove-method")
    method = f"card_of_{holder.provider_reference}"
    assert "has forgotten" in told(confirm(operator, holder, "remove-method", sent, method_id=method))
    script.next("list_methods", *[ListMethodsResult(outcome=Outcome.SUCCEEDED)] * 3)
    again = confirm(operator, holder, "remove-method", sent, method_id=method)
    assert again.status_code == 302
    assert "You have done this already" in told(again)


@pytest.fixture
def colleague(viewer: Viewer) -> Client:
    return viewer("view_payment", "capture_payment", "cancel_payment")


def meanwhile(monkeypatch: pytest.MonkeyPatch, request: Any) -> list[Any]:
    """Have a request made while the next action is being taken, and return its answers."""
    answers: list[Any] = []

    def log(context: ActionContext, *args: Any) -> None:
        monkeypatch.undo()
        answers.append(request())

    monkeypatch.setattr(ActionContext, "log", log)
    return answers


def test_loser_of_a_race_is_told_who_is_doing_what(
    payment: Payment, operator: Client, colleague: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers, his = open_form(operator, payment, "capture"), open_form(colleague, payment, "cancel")
    answers = meanwhile(monkeypatch, lambda: confirm(colleague, payment, "cancel", his))
    confirm(operator, payment, "capture", hers)
    assert told(answers[0]) == (
        "olivia is already doing this (Capture a payment). Nothing was changed; reload in a moment."
    )


def test_second_click_during_the_first_is_told_that_it_is_being_done(
    payment: Payment, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = open_form(operator, payment, "capture")
    answers = meanwhile(monkeypatch, lambda: confirm(operator, payment, "capture", sent))
    confirm(operator, payment, "capture", sent)
    assert told(answers[0]) == "You are already doing this. Reload in a moment to see what came of it."


def test_bulk_row_that_somebody_is_at_says_who(
    payment: Payment, operator: Client, colleague: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = chosen(choose(colleague, [payment], "cancel"))
    sent = open_form(operator, payment, "capture")
    answers = meanwhile(monkeypatch, lambda: run(colleague, Payment, "cancel", versions))
    confirm(operator, payment, "capture", sent)
    assert "olivia is already doing this (Capture a payment)" in text(answers[0])


def test_another_operation_that_holds_the_payment_is_named(payment: Payment, operator: Client) -> None:
    sent = open_form(operator, payment, "cancel")
    with answering(CaptureResult(outcome=Outcome.PENDING)):
        capture_payment(payment, amount="20.00")
    response = confirm(operator, payment, "cancel", sent)
    assert response.status_code == 302
    assert "Capture, 20.00 EUR. The provider has accepted it and will tell how it ends." in told(response)


@pytest.mark.parametrize("broken", [{}, {"version": ""}, {"version": "x" * 65}])
def test_page_without_its_version_says_so_and_can_be_sent_again(
    broken: dict[str, str], payment: Payment, operator: Client
) -> None:
    shown = confirm(operator, payment, "capture", broken, amount="20.00").content.decode()
    assert (
        "The page didn't say what it had shown, so nothing was done. Look it over and send it again."
        in text(shown)
    )
    assert inputs(shown)["amount"] == "20.00"
    assert not PaymentOperation.objects.filter(kind="capture").exists()
    assert confirm(operator, payment, "capture", inputs(shown)).status_code == 302
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal("20.00")


# --- how much in all, and whose ---


def test_bulk_pages_say_how_much_moves_in_all(operator: Client) -> None:
    payments = [make_authorized(make_collection(f"{amount}.00")) for amount in (10, 20)]
    for rows in (
        payments,
        [each.session for each in payments],
        [each.collection for each in payments],
    ):
        assert "In all: 30.00 EUR" in text(choose(operator, rows, "cancel").content.decode())
    unpaid = [make_collection("5.00"), make_collection("7.00")]
    make_authorized(unpaid[1], amount="3.00")
    assert "In all: 9.00 EUR" in text(choose(operator, unpaid, "mark-as-paid").content.decode())
    assert "In all" not in text(choose(operator, [make_collection("5.00")], "cancel").content.decode())


def test_pages_name_order_and_customer(payment: Payment, operator: Client) -> None:
    make_authorized(make_collection("10.00"))
    for row in (payment, payment.session, payment.collection):
        assert OWNER in text(html(operator, action_url(row, "cancel")))
        assert OWNER in text(choose(operator, [row], "cancel").content.decode())
    versions = chosen(choose(operator, [payment], "cancel"))
    assert OWNER in text(run(operator, Payment, "cancel", versions))
    operation = make_attention()
    assert str(operation.collection.payable) in text(html(operator, action_url(operation, "resolve")))


def test_names_are_for_those_who_may_view_collections(payment: Payment, colleague: Client) -> None:
    for shown in (
        html(colleague, action_url(payment, "cancel")),
        choose(colleague, [payment], "cancel").content.decode(),
    ):
        assert "Order 70" not in shown
        assert "anna" not in shown


def test_bulk_page_asks_for_names_once(operator: Client, django_assert_max_num_queries: Any) -> None:
    counts = []
    for number in (1, 5):
        rows = [make_authorized(make_collection("10.00", customer=make_customer())) for _ in range(number)]
        with django_assert_max_num_queries(10_000) as around:
            choose(operator, rows, "cancel")
        counts.append(sum("shop_order" in query["sql"] for query in around.captured_queries))
    assert counts[0] == counts[1]


def test_provider_is_named_as_it_names_itself(settings: Any) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {
            "system": {"BACKEND": "payments.providers.system.SystemProvider"},
            "scripted": CARD,
        }
    }
    assert provider_name("scripted") == "Scripted"
    assert provider_name("gone") == "gone"
