"""Acting upon a row: what the confirmation page says, what happens, and what the operator is told."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.db import models
from django.test import Client
from django.urls import reverse

from payments import services
from payments.exceptions import DeclinedError, ProviderUnavailableError
from payments.models import (
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentProvider,
    PaymentSession,
    Refund,
    RefundReason,
    WebhookEvent,
)
from payments.providers import AuthorizeResult, CaptureResult, NextAction
from payments.services.sync import Synchronization
from payments.states import Outcome
from tests.admin.acting import act, action_url, confirm, inputs, open_form, told
from tests.admin.answers import answering
from tests.admin.conftest import Viewer
from tests.admin.pages import html, listing, page, panel, text
from tests.admin.scenes import make_attention, make_authorized, make_collection, make_webhook
from tests.api.pairs import daily

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment() -> Payment:
    return make_authorized(make_collection("60.00"))


@pytest.mark.database_independent
def test_capture_page_says_what_is_held_and_fills_it_in(payment: Payment, operator: Client) -> None:
    shown = html(operator, action_url(payment, "capture"))
    assert "Scripted (card) holds 60.00 EUR; up to 60.00 EUR can be captured now." in text(shown).replace(
        "of this payment", ""
    ).replace("&nbsp;", " ")
    assert inputs(shown)["amount"] == "60.00"


@pytest.mark.database_independent
def test_amount_is_looked_over_before_it_is_captured(payment: Payment, operator: Client) -> None:
    sent = open_form(operator, payment, "capture")
    shown = operator.post(action_url(payment, "capture"), {**sent, "amount": "25"}).content.decode()
    words = text(shown)
    assert "25.00 EUR will be taken from the payer through Scripted (card)." in words
    assert "The other 35.00 EUR stays held and can be captured later." in words
    assert PaymentOperation.objects.filter(kind="capture").count() == 0
    back = operator.post(action_url(payment, "capture"), {**inputs(shown), "edit": "1"}).content.decode()
    assert inputs(back)["amount"] == "25"
    assert "confirmed" not in inputs(back)


def test_capture_of_a_part_is_done_told_and_logged(payment: Payment, operator: Client, olivia: Any) -> None:
    response = act(operator, payment, "capture", amount="25.00")
    assert response.status_code == 302
    assert response["Location"] == page(payment)
    assert told(response) == "25.00 EUR was captured. 35.00 EUR is still held."
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal("25.00")
    event = PaymentEvent.objects.filter(type="payment.captured").get()
    assert (event.source, event.actor) == ("admin", olivia)
    entry = LogEntry.objects.get()
    assert entry.user == olivia
    assert entry.object_id == payment.pk
    assert "25.00 EUR was captured" in entry.get_change_message()


def test_refund_keeps_its_reason_and_note(captured: Payment, operator: Client) -> None:
    reason = RefundReason.objects.create(label="Damaged")
    response = act(operator, captured, "refund", amount="10.00", reason=reason.pk, note="A broken cup.")
    assert told(response) == "10.00 EUR was refunded. 50.00 EUR of this payment is kept."
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.note) == (Decimal("10.00"), reason, "A broken cup.")


@pytest.mark.database_independent
def test_review_of_a_refund_repeats_reason_and_note(captured: Payment, operator: Client) -> None:
    sent = open_form(operator, captured, "refund") | {"amount": "10.00", "note": "<b>cup</b>"}
    shown = operator.post(action_url(captured, "refund"), sent).content.decode()
    assert "10.00 EUR will go back to the payer" in text(shown)
    assert "50.00 EUR of this payment is kept." in text(shown)
    assert "&lt;b&gt;cup&lt;/b&gt;" in shown


def test_second_click_does_nothing_again(captured: Payment, operator: Client) -> None:
    sent = open_form(operator, captured, "refund")
    confirm(operator, captured, "refund", sent, amount="10.00")
    again = confirm(operator, captured, "refund", sent, amount="10.00")
    assert "You have done this already, so it was not done again. 10.00 EUR was refunded." in told(again)
    assert Refund.objects.count() == 1
    assert LogEntry.objects.count() == 1


@pytest.mark.database_independent
def test_second_form_with_another_amount_is_warned_that_it_was_not_done(
    captured: Payment, operator: Client
) -> None:
    first, second = (open_form(operator, captured, "refund") for _tab in range(2))
    confirm(operator, captured, "refund", first, amount="5.00")
    response = confirm(operator, captured, "refund", second, amount="6.00")
    assert told(response).endswith(
        "Not done: 6.00 EUR. You have changed this since you opened the page: 5.00 EUR was refunded. 55.00 EUR of "
        "this payment is kept."
    )
    assert [message.level_tag for message in get_messages(response.wsgi_request)][-1] == "warning"
    assert Refund.objects.get().amount == Decimal(5)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("-5", "Write the amount without a sign: it has to be more than zero."),
        ("abc", "Write the amount in digits, like 1234.00."),
        ("10.005", "An amount in EUR has at most 2 decimals."),
        ("1,000.00", "Write the amount without thousands separators, like 1234.00."),
    ],
)
@pytest.mark.database_independent
def test_amount_that_cannot_be_read_is_refused_with_its_own_words(
    captured: Payment, operator: Client, typed: str, words: str
) -> None:
    sent = open_form(operator, captured, "refund")
    shown = operator.post(action_url(captured, "refund"), {**sent, "amount": typed}).content.decode()
    assert words in text(shown)


def test_two_operators_at_once_one_acts_and_the_other_is_told(
    captured: Payment, operator: Client, viewer: Viewer
) -> None:
    colleague = viewer("view_payment", "refund_payment")
    hers, his = open_form(operator, captured, "refund"), open_form(colleague, captured, "refund")
    confirm(operator, captured, "refund", hers, amount="10.00")
    response = confirm(colleague, captured, "refund", his, amount="20.00")
    assert told(response) == (
        "olivia has already acted on this. You changed nothing. 10.00 EUR was refunded. 50.00 EUR of this payment is "
        "kept."
    )
    assert [refund.amount for refund in Refund.objects.all()] == [Decimal("10.00")]


def test_page_that_is_old_is_shown_anew_and_nothing_is_done(captured: Payment, operator: Client) -> None:
    sent = open_form(operator, captured, "refund")
    services.refund_payment(captured, amount="5.00")
    response = confirm(operator, captured, "refund", sent, amount="60.00")
    assert response.status_code == 409
    words = text(response.content.decode())
    assert "This has changed since you opened the page, so nothing was done." in words
    assert "55.00 EUR can be refunded" in words
    assert Refund.objects.count() == 1
    fresh = inputs(response.content.decode())
    assert confirm(operator, captured, "refund", fresh).status_code == 302
    captured.refresh_from_db()
    assert captured.refundable_amount == 0


@pytest.mark.database_independent
def test_made_up_version_is_refused(payment: Payment, operator: Client) -> None:
    assert confirm(operator, payment, "cancel", {"version": "made up"}).status_code == 409
    response = operator.post(action_url(payment, "cancel"), {"confirmed": "1"})
    assert response.status_code == 200
    payment.refresh_from_db()
    assert payment.status == "authorized"


@pytest.mark.database_independent
def test_refusal_is_told_at_its_field_and_the_same_page_may_be_used_again(
    payment: Payment, operator: Client
) -> None:
    sent = open_form(operator, payment, "capture")
    response = confirm(operator, payment, "capture", sent, amount="60.01")
    assert response.status_code == 409
    assert "60.01 EUR is more than the 60.00 EUR left to capture." in text(response.content.decode())
    assert confirm(operator, payment, "capture", sent, amount="60.00").status_code == 302
    assert LogEntry.objects.count() == 1


@pytest.mark.database_independent
def test_amount_that_could_mean_another_is_refused(payment: Payment, operator: Client) -> None:
    for amount in ("0", "-5", "1,000.00", "10.005", "1.000", "1e3", "NaN", "", "ten", "10,0000"):
        response = act(operator, payment, "capture", amount=amount)
        assert response.status_code in (200, 409), amount
        assert 'class="errorlist"' in response.content.decode(), amount
        assert PaymentOperation.objects.filter(kind="capture").count() == 0, amount


@pytest.mark.parametrize(
    ("language", "typed"), [("de", "25,50"), ("de", "25.50"), ("en", "25,50"), ("ar", "٢٥٫٥٠")]
)
@pytest.mark.database_independent
def test_amount_may_be_typed_as_people_write_it(
    language: str, typed: str, payment: Payment, operator: Client, settings: Any
) -> None:
    settings.LANGUAGE_CODE = language
    assert act(operator, payment, "capture", amount=typed).status_code == 302
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal("25.50")


@pytest.mark.database_independent
def test_card_number_in_a_note_is_refused(captured: Payment, operator: Client) -> None:
    response = act(operator, captured, "refund", note="paid with 4242 4242 4242 4242")
    assert "This looks like a card number" in text(response.content.decode())
    assert Refund.objects.count() == 0


@pytest.mark.database_independent
def test_outcome_that_is_not_known_yet_is_told_as_such(captured: Payment, operator: Client) -> None:
    sent = open_form(operator, captured, "refund")
    with answering(TimeoutError()):
        response = confirm(operator, captured, "refund", sent, amount="10.00")
    assert "The provider didn't answer. Refund of 10.00 EUR may or may not have gone through." in told(
        response
    )
    assert "Don't do it again, or in the provider's dashboard." in told(response)
    again = confirm(operator, captured, "refund", sent, amount="10.00")
    assert "You have done this already" in told(again)
    assert Refund.objects.count() == 1
    assert "may or may not have gone through" in LogEntry.objects.get().get_change_message()


@pytest.mark.database_independent
def test_answer_that_is_pending_is_told_as_such(payment: Payment, operator: Client) -> None:
    sent = open_form(operator, payment, "capture")
    with answering(CaptureResult(outcome=Outcome.PENDING)):
        response = confirm(operator, payment, "capture", sent)
    assert "The provider has accepted this and will tell how it ends." in told(response)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (DeclinedError("Try later.", code="processing_error"), "The provider refused: Try later."),
        (ProviderUnavailableError("down"), "can't be reached right now"),
        (
            ProviderUnavailableError("no", code="api_key_refused"),
            "refuses the shop's API key. Nothing was changed",
        ),
    ],
)
@pytest.mark.database_independent
def test_refusal_of_the_provider_is_told_and_logged(
    answer: Exception, sentence: str, payment: Payment, operator: Client
) -> None:
    sent = open_form(operator, payment, "capture")
    with answering(answer):
        response = confirm(operator, payment, "capture", sent)
    assert sentence in told(response)
    assert sentence in LogEntry.objects.get().get_change_message()
    payment.refresh_from_db()
    assert payment.captured_amount == 0


def test_payment_is_released(payment: Payment, operator: Client) -> None:
    words = text(html(operator, action_url(payment, "cancel")))
    assert "Scripted (card) will release the 60.00 EUR hold." in words
    assert told(act(operator, payment, "cancel")) == "60.00 EUR was released."
    payment.refresh_from_db()
    assert payment.status == "canceled"


def test_session_is_authorized_and_canceled(operator: Client) -> None:
    session = services.create_payment_session(make_collection("60.00"), provider_id="card")
    assert "hold 60.00 EUR" in text(html(operator, action_url(session, "authorize")))
    assert told(act(operator, session, "authorize")) == "60.00 EUR is held now."
    assert "Scripted (card) will release the 60.00 EUR hold" in text(
        html(operator, action_url(session, "cancel"))
    )
    assert "Nothing is held by it any more" in told(act(operator, session, "cancel"))
    session.refresh_from_db()
    assert session.status == "canceled"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (DeclinedError("No cover.", code="no_cover"), "The provider refused: No cover. Nothing is held."),
        (
            AuthorizeResult(
                outcome=Outcome.SUCCEEDED, next_action=NextAction(type="redirect", url="https://b.example")
            ),
            "Nothing is held yet. The session's status: Waiting for the customer (3-D Secure).",
        ),
    ],
)
@pytest.mark.database_independent
def test_authorization_that_holds_nothing_says_so(answer: Any, sentence: str, operator: Client) -> None:
    session = services.create_payment_session(make_collection("60.00"), provider_id="card")
    sent = open_form(operator, session, "authorize")
    with answering(answer):
        assert told(confirm(operator, session, "authorize", sent)) == sentence


def test_part_of_a_collection_is_marked_as_paid_with_date_and_reference(operator: Client) -> None:
    collection = make_collection("38.00")
    sent = open_form(operator, collection, "mark-as-paid")
    assert sent["amount"] == "38.00"
    values = {"amount": "20.00", "received_at": "2026-01-05", "reference": "RF18 5390", "note": "By transfer"}
    review = operator.post(action_url(collection, "mark-as-paid"), {**sent, **values}).content.decode()
    assert "20.00 EUR is recorded as received outside of any provider" in text(review)
    assert "18.00 EUR stays open." in text(review)
    assert "Received on Jan. 5, 2026 Reference RF18 5390 Note By transfer" in text(review)
    response = confirm(operator, collection, "mark-as-paid", sent, **values)
    assert told(response) == "Marked as paid: 20.00 EUR of 38.00 EUR is captured."
    shown = html(operator, page(collection))
    assert "received Jan. 5, 2026" in panel(shown, "payments")
    assert "RF18 5390 By transfer" in panel(shown, "payments")
    assert "Money captured RF18 5390 · By transfer" in panel(shown, "history")
    lines: Any = operator.get(reverse("admin:payments_export") + "?days=7")
    assert "RF18 5390,By transfer" in b"".join(lines.streaming_content).decode()


@pytest.mark.database_independent
def test_nothing_is_marked_as_paid_while_receipts_are_disabled(operator: Client) -> None:
    collection = make_collection("38.00")
    PaymentProvider.objects.create(pk="system", is_enabled=False)
    response = operator.get(action_url(collection, "mark-as-paid"))
    assert told(response) == "The payment provider “system” is disabled."


def test_installment_is_marked_as_paid_and_the_others_stay(operator: Client) -> None:
    collection = make_collection("100.00")
    first, *_others = services.create_installment_plan(
        collection, provider_id="card", count=4, interval="month"
    )
    shown = html(operator, action_url(collection, "mark-as-paid"))
    assert "Installment 1: 25.00 EUR, due" in text(shown)
    sent = open_form(operator, collection, "mark-as-paid")
    assert sent["amount"] == ""
    review = operator.post(action_url(collection, "mark-as-paid"), {**sent, "session": first.pk})
    assert "25.00 EUR is recorded as received outside of any provider" in text(review.content.decode())
    act(operator, collection, "mark-as-paid", amount="", session=first.pk)
    assert collection.sessions.unauthorized().count() == 3
    refused = act(operator, collection, "mark-as-paid", amount="25.00", received_at="2999-01-01")
    assert "The time of receipt can't be in the future." in text(refused.content.decode())


@pytest.mark.database_independent
def test_fully_refunded_collection_is_shown_as_refunded_and_can_not_be_canceled(
    captured: Payment, operator: Client
) -> None:
    services.refund_payment(captured)
    never_paid = make_collection("10.00")
    services.cancel_payment_collection(never_paid)
    shown = html(operator, page(captured.collection))
    summary = text(shown.split('class="payments-summary"')[1].split("payments-figures")[0])
    assert "Refunded" in summary
    assert "Canceled" not in summary
    assert action_url(captured.collection, "cancel") not in shown
    assert "Canceled at" not in text(shown)
    assert "Canceled at" in text(html(operator, page(never_paid)))
    listed = html(operator, listing(PaymentCollection, "?refunded=fully"))
    assert captured.collection_id in listed
    assert never_paid.pk not in listed


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"amount": "38.01"}, "38.01 EUR is more than the 38.00 EUR left to pay."),
        ({"received_at": "2999-01-01"}, "The time of receipt can't be in the future."),
    ],
)
@pytest.mark.database_independent
def test_receipt_that_cannot_be_is_refused_before_it_is_looked_over(
    values: dict[str, str], refusal: str, operator: Client
) -> None:
    collection = make_collection("38.00")
    sent = open_form(operator, collection, "mark-as-paid")
    review = operator.post(action_url(collection, "mark-as-paid"), {**sent, **values}).content.decode()
    assert refusal in text(review)
    assert "What will happen" not in text(review)


def test_collection_is_marked_as_paid(operator: Client) -> None:
    collection = make_collection("100.00")
    make_authorized(collection, amount="40.00")
    words = text(html(operator, action_url(collection, "mark-as-paid")))
    assert "60.00 EUR is left to pay. What you enter is recorded as received outside of any" in words
    assert "40.00 EUR that providers hold stays held, to be captured." in words
    assert (
        told(act(operator, collection, "mark-as-paid"))
        == "Marked as paid: 60.00 EUR of 100.00 EUR is captured."
    )


def test_collection_is_canceled(operator: Client) -> None:
    collection = make_collection("100.00")
    make_authorized(collection, amount="40.00")
    services.create_payment_session(collection, provider_id="card")
    words = text(html(operator, action_url(collection, "cancel")))
    assert "The 40.00 EUR hold will be released." in words
    assert "1 unauthorized session is canceled." in words
    act(operator, collection, "cancel")
    collection.refresh_from_db()
    assert collection.status == "canceled"


def test_session_and_payment_are_synced_where_their_provider_can_be_asked(
    payment: Payment, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert action_url(payment, "sync") in html(operator, page(payment))
    asked: list[Any] = []

    def answer(session: PaymentSession, *, origin: services.Origin) -> Synchronization:
        asked.append((session.pk, origin.source))
        return Synchronization(session=session, is_known=True)

    monkeypatch.setattr("payments.admin.actions.sessions.synchronize", answer)
    assert (
        told(act(operator, payment, "sync"))
        == "Nothing new. The payment's status: Authorized, captured 0.00 EUR, refunded 0.00 EUR."
    )
    act(operator, payment, "sync")  # nothing has changed, so it may be asked again at once
    assert asked == [(payment.session_id, "admin")] * 2
    system = make_authorized(make_collection("60.00"), provider_id="system")
    assert action_url(system, "sync") not in html(operator, page(system))


def test_attention_is_resolved_with_reason_and_evidence(operator: Client, olivia: Any) -> None:
    operation = make_attention()
    sent = open_form(operator, operation, "resolve")
    values = {"has_happened": "no", "reason": "Not in the dashboard", "evidence": "case 7"}
    review = operator.post(action_url(operation, "resolve"), {**sent, **values}).content.decode()
    assert "The books will say that this has not happened: Capture, 55.00 EUR." in text(review)
    assert "Not in the dashboard" in text(review)
    response = confirm(operator, operation, "resolve", sent, **values)
    assert told(response) == "The operation is resolved. Status: Declined."
    operation.refresh_from_db()
    assert operation.resolved_by == olivia
    assert (operation.resolution_reason, operation.resolution_evidence) == ("Not in the dashboard", "case 7")


@pytest.mark.database_independent
def test_resolving_needs_a_reason(operator: Client) -> None:
    operation = make_attention()
    response = act(operator, operation, "resolve", has_happened="yes", reason="  ")
    assert "This field is required." in text(response.content.decode())
    operation.refresh_from_db()
    assert operation.status == "attention"


def test_webhook_event_is_replayed(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    event = make_webhook(make_authorized(make_collection("60.00")).collection)
    replayed: list[str] = []

    def replay(row: WebhookEvent, **origin: Any) -> None:
        replayed.append(row.pk)
        assert row.session is not None
        row.apply(session=row.session)
        row.save()

    monkeypatch.setattr("payments.admin.actions.others.replay_webhook_event", replay)
    assert told(act(operator, event, "replay")) == "The event was replayed. Status: Applied."
    assert replayed == [event.pk]


PERMISSIONS = {
    "capture": "capture_payment",
    "refund": "refund_payment",
    "cancel": "cancel_payment",
    "sync": "sync_session",
    "session authorize": "authorize_session",
    "session cancel": "cancel_session",
    "session sync": "sync_session",
    "collection mark-as-paid": "mark_as_paid",
    "collection cancel": "cancel_collection",
    "operation resolve": "resolve_operation",
    "webhook replay": "replay_webhook",
    "provider disable": "change_paymentprovider",
}
VIEWS = (
    "view_payment",
    "view_paymentsession",
    "view_paymentcollection",
    "view_paymentoperation",
    "view_webhookevent",
    "view_paymentprovider",
)


def _row(name: str) -> models.Model:
    makers: dict[str, Callable[[], models.Model]] = {
        "session": lambda: services.create_payment_session(make_collection("60.00"), provider_id="card"),
        "collection": lambda: make_collection("60.00"),
        "operation": make_attention,
        "webhook": lambda: make_webhook(make_authorized(make_collection("60.00")).collection),
        "provider": lambda: PaymentProvider.objects.create(pk="card"),
        "": lambda: services.capture_payment(make_authorized(make_collection("60.00")), amount="20.00"),
    }
    return makers[name]()


@pytest.mark.parametrize("case", daily(PERMISSIONS, step=3))
@pytest.mark.database_independent
def test_without_its_permission_an_action_has_no_button_and_is_forbidden(case: str, viewer: Viewer) -> None:
    kind, _space, slug = case.rpartition(" ")
    row = _row(kind)
    others = {*PERMISSIONS.values()} - {PERMISSIONS[case]}
    client = viewer(*VIEWS, *others)
    assert action_url(row, slug) not in html(client, page(row))
    assert client.get(action_url(row, slug)).status_code == 403
    assert client.post(action_url(row, slug), {"confirmed": "1"}).status_code == 403
    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize("case", daily(PERMISSIONS, step=3))
@pytest.mark.database_independent
def test_with_nothing_but_view_and_its_permission_an_action_can_be_taken(case: str, viewer: Viewer) -> None:
    kind, _space, slug = case.rpartition(" ")
    row = _row(kind)
    client = viewer(f"view_{row._meta.model_name}", PERMISSIONS[case])
    assert action_url(row, slug) in html(client, page(row))
    assert client.get(action_url(row, slug)).status_code == 200


@pytest.mark.database_independent
def test_permission_to_act_is_not_one_to_see(payment: Payment, viewer: Viewer) -> None:
    client = viewer("refund_payment", "capture_payment")
    assert client.get(action_url(payment, "capture")).status_code == 403
    assert client.post(action_url(payment, "capture"), {"confirmed": "1"}).status_code == 403


@pytest.mark.database_independent
def test_page_needs_a_csrf_token(payment: Payment, olivia: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(olivia)
    assert client.post(action_url(payment, "cancel"), {"confirmed": "1"}).status_code == 403


@pytest.mark.database_independent
def test_opening_a_page_does_nothing(payment: Payment, operator: Client) -> None:
    before = PaymentOperation.objects.count()
    for slug in ("capture", "cancel", "sync"):
        operator.get(action_url(payment, slug) + "?confirmed=1")
    assert PaymentOperation.objects.count() == before


def test_unknown_action_and_unknown_row_are_not_found(payment: Payment, operator: Client) -> None:
    assert operator.get(action_url(payment, "charge")).status_code == 404
    missing = Payment(pk="pay_missing")
    assert operator.get(action_url(missing, "capture")).status_code == 404


@pytest.mark.database_independent
def test_collection_page_has_the_buttons_of_its_sessions_and_payments(
    payment: Payment, operator: Client
) -> None:
    collection = payment.collection
    shown = html(operator, page(collection))
    assert action_url(payment, "capture") in shown
    assert "Capture…" in panel(shown, "payments")
    url = action_url(payment, "capture") + f"?next={page(collection)}"
    sent = inputs(operator.get(url).content.decode())
    assert confirm(operator, payment, "capture", sent)["Location"] == page(collection)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
@pytest.mark.database_independent
def test_nobody_is_led_to_another_site(elsewhere: str, payment: Payment, operator: Client) -> None:
    shown = operator.get(action_url(payment, "cancel"), {"next": elsewhere}).content.decode()
    assert f'href="{elsewhere}' not in shown
    response = confirm(operator, payment, "cancel", inputs(shown))
    assert response["Location"] == page(payment)


@pytest.mark.database_independent
def test_page_of_something_impossible_leads_back_with_a_reason(captured: Payment, operator: Client) -> None:
    response = operator.get(action_url(captured, "capture"))
    assert response.status_code == 302
    assert told(response) == "This isn't possible now: see how it stands."


@pytest.mark.database_independent
def test_actions_stay_on_their_site(operator: Client) -> None:
    collection: PaymentCollection = make_collection("60.00")
    shown = html(operator, page(collection, site="ops"))
    assert action_url(collection, "cancel", site="ops") in shown
    response = operator.get(action_url(collection, "cancel", site="ops"))
    main = response.content.decode().split('id="content-main"')[1]
    assert '"/admin/' not in main
    session: PaymentSession = services.create_payment_session(collection, provider_id="card")
    assert operator.get(action_url(session, "cancel", site="ops")).status_code == 200


@pytest.mark.database_independent
def test_receipt_is_corrected_like_what_was_resolved(operator: Client) -> None:
    collection = make_collection("38.00")
    sent = open_form(operator, collection, "mark-as-paid")
    confirm(operator, collection, "mark-as-paid", sent, amount="25.00")
    operation = PaymentOperation.objects.get(kind="capture")
    assert "Correct…" in html(operator, page(operation))
    sent = open_form(operator, operation, "correct")
    confirm(
        operator, operation, "correct", sent, amount="20.00", has_happened="yes", reason="A typing error."
    )
    collection.refresh_from_db()
    assert collection.captured_amount == Decimal(20)
