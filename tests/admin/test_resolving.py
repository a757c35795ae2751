"""Deciding what an operation stands for: what the operator is told before, and what the history keeps afterwards."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from payments.admin.formatting import reasons_text
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentEvent, PaymentOperation
from payments.providers import CaptureResult, MovementFact, SessionFact
from payments.services import Origin, capture_payment, record_fact
from payments.states import AttentionReason, MovementKind, MovementStatus, Outcome, SessionStatus
from tests.admin.acting import act, action_url, confirm, inputs, open_form, told
from tests.admin.answers import answering
from tests.admin.pages import html, listing, page, panel, text
from tests.admin.scenes import make_attention, make_authorized, make_collection

pytestmark = pytest.mark.django_db

MISMATCH = "Another amount was captured than was asked: expected 55.00 EUR, reported 54.00 EUR."
CHARGE_BACK = "The payer's bank took money back: 60.00 EUR."


@pytest.fixture
def report() -> PaymentOperation:
    """Return what stands for a charge-back of a whole payment, told by webhook."""
    payment = capture_payment(make_authorized(make_collection("60.00")))
    fact = SessionFact(currency_code="eur", charged_back_amount=Decimal(60))
    record_fact(payment.session, fact, origin=Origin.of(source="webhook"))
    return PaymentOperation.objects.get(kind="sync")


@pytest.mark.database_independent
def test_page_says_why_somebody_has_to_decide_and_what_the_answers_do(operator: Client) -> None:
    words = text(html(operator, action_url(make_attention(), "resolve")))
    assert MISMATCH in words
    assert "Check the dashboard of Scripted (card)." in words
    assert "Has it happened at the provider?" in words


@pytest.mark.database_independent
def test_review_of_a_yes_fills_in_what_was_reported_and_shows_the_books(
    operator: Client,
) -> None:
    operation = make_attention()
    sent = {**open_form(operator, operation, "resolve"), "has_happened": "yes", "reason": "Seen"}
    words = text(operator.post(action_url(operation, "resolve"), sent).content.decode())
    assert MISMATCH in words
    assert "The books will say that 54.00 EUR has moved: Capture. 55.00 EUR was asked for." in words
    assert "Captured so far 0.00 EUR; with this 54.00 EUR." in words


@pytest.mark.database_independent
def test_review_of_what_was_asked_says_so(operator: Client) -> None:
    operation = make_attention()
    sent = {**open_form(operator, operation, "resolve"), "has_happened": "yes", "reason": "Seen"}
    assert sent["amount"] == "54.00"
    response = operator.post(action_url(operation, "resolve"), {**sent, "amount": "55.00"})
    words = text(response.content.decode())
    assert "The books will say that this has happened as it was asked for: Capture, 55.00 EUR." in words


@pytest.mark.database_independent
def test_more_than_was_authorized_asks_for_a_tick(operator: Client) -> None:
    operation = make_attention()
    sent = {
        **open_form(operator, operation, "resolve"),
        "has_happened": "yes",
        "amount": "65.00",
        "reason": "Seen",
    }
    assert 'type="checkbox"' not in html(operator, action_url(operation, "resolve"))
    response = operator.post(action_url(operation, "resolve"), sent)
    shown = response.content.decode()
    told_excess = (
        "Captured so far 0.00 EUR; with this 65.00 EUR, which is 10.00 EUR more than was authorized."
    )
    assert (response.status_code, told_excess in text(shown)) == (409, True)
    assert 'type="checkbox"' in shown
    assert confirm(operator, operation, "resolve", sent).status_code == 409
    ticked = {**sent, "accept_excess": "on"}
    review = operator.post(action_url(operation, "resolve"), ticked).content.decode()
    assert told_excess in text(review)
    assert "confirmed" in inputs(review)
    confirm(operator, operation, "resolve", inputs(review))
    assert Payment.objects.get().captured_amount == Decimal(65)


def test_money_that_a_webhook_has_booked_meanwhile_is_told_and_not_booked_again(operator: Client) -> None:
    operation = make_attention()
    movement = MovementFact(
        kind=MovementKind.CAPTURE,
        status=MovementStatus.SUCCEEDED,
        amount=Decimal(54),
        currency_code="eur",
        provider_reference="cap_54",
    )
    record_fact(
        operation.session,
        SessionFact(currency_code="eur", movements=(movement,)),
        origin=Origin.of(source="webhook"),
    )
    sent = {**open_form(operator, operation, "resolve"), "has_happened": "yes", "reason": "Seen"}
    refused = text(operator.post(action_url(operation, "resolve"), sent).content.decode())
    assert "The provider has reported 54.00 EUR meanwhile: capt_" in refused
    named = {**sent, "provider_reference": "cap_54"}
    words = text(operator.post(action_url(operation, "resolve"), named).content.decode())
    assert "it is the same money, and isn't booked again" in words
    assert "Captured so far 54.00 EUR; with this 54.00 EUR." in words
    confirm(operator, operation, "resolve", named)
    assert Payment.objects.get().captured_amount == Decimal(54)


def test_unknown_outcome_is_resolved_when_ten_minutes_are_over(operator: Client) -> None:
    payment = make_authorized(make_collection("55.00"))
    with answering(TimeoutError()), pytest.raises(OutcomeUnknownError):
        capture_payment(payment)
    operation = PaymentOperation.objects.get(status="unknown")
    early = operator.get(action_url(operation, "resolve"))
    assert told(early) == "The outcome has been unknown for less than ten minutes. Ask the provider first."
    PaymentOperation.objects.filter(pk=operation.pk).update(
        unclear_since=F("unclear_since") - timedelta(minutes=10)
    )
    act(operator, operation, "resolve", has_happened="yes", reason="Seen")
    operation.refresh_from_db()
    assert operation.status == "succeeded"


@pytest.mark.database_independent
def test_no_to_what_the_books_hold_is_refused_before_it_is_confirmed(operator: Client) -> None:
    payment = make_authorized(make_collection("60.00"))
    capture_payment(payment)
    operation = PaymentOperation.objects.get(kind="capture")
    operation.require_attention(detail="capture_failed_late: expected succeeded, reported capt_1 failed")
    operation.save()
    sent = {**open_form(operator, operation, "resolve"), "has_happened": "no", "reason": "Seen"}
    response = operator.post(action_url(operation, "resolve"), sent)
    assert "This has happened: refund or cancel it" in text(response.content.decode())
    assert "confirmed" not in inputs(response.content.decode())


@pytest.mark.database_independent
def test_mere_report_is_acknowledged_and_not_answered_with_yes_or_no(
    report: PaymentOperation, operator: Client
) -> None:
    assert "Resolve…" not in html(operator, page(report))
    words = text(html(operator, action_url(report, "acknowledge")))
    assert CHARGE_BACK in words
    assert "Sync, " not in words
    assert "Has it happened" not in words
    assert "Scripted (card) has reported this; it wasn't asked to do anything." in words
    assert (
        "Nothing changes in the books: authorized 60.00 EUR, captured 60.00 EUR, refunded 0.00 EUR, "
        "taken back by the payer's bank 60.00 EUR." in words
    )


def test_acknowledged_report_is_over_and_the_books_stay_as_they_are(
    report: PaymentOperation, operator: Client, olivia: Any
) -> None:
    before = Payment.objects.values().get()
    response = act(operator, report, "acknowledge", reason="The shop was told", evidence="case 7")
    assert told(response) == "The report is acknowledged. Nobody has to look at it any more."
    report.refresh_from_db()
    assert (report.status, report.resolved_by) == ("succeeded", olivia)
    after = Payment.objects.values().get()
    assert {**before, "updated_at": None} == {**after, "updated_at": None}


@pytest.mark.database_independent
def test_report_of_a_session_without_payment_is_told_with_its_status(operator: Client) -> None:
    session = make_collection("60.00").sessions.create(
        provider=make_authorized(make_collection("1.00")).provider, amount=Decimal(60)
    )
    fact = SessionFact(currency_code="usd", status=SessionStatus.AUTHORIZED)
    record_fact(session, fact, origin=Origin.of(source="webhook"))
    report = PaymentOperation.objects.get(kind="sync")
    words = text(html(operator, action_url(report, "acknowledge")))
    assert "The provider reports another currency: expected EUR, reported USD." in words
    assert "Nothing changes in the books: a session of 60.00 EUR, Pending." in words


@pytest.mark.database_independent
def test_question_and_acknowledgement_are_each_offered_where_they_make_sense(
    report: PaymentOperation, operator: Client
) -> None:
    asked = make_attention()
    assert action_url(asked, "resolve") in html(operator, page(asked))
    assert action_url(asked, "acknowledge") not in html(operator, page(asked))
    assert action_url(report, "acknowledge") in html(operator, page(report))
    assert operator.get(action_url(report, "resolve")).status_code == 302
    assert operator.get(action_url(asked, "acknowledge")).status_code == 302


@pytest.mark.database_independent
def test_timeline_keeps_reason_and_evidence(operator: Client) -> None:
    operation = make_attention()
    act(operator, operation, "resolve", has_happened="no", reason="Not in <the> list", evidence="case 7")
    for row in (operation, operation.collection):
        shown = panel(html(operator, page(row)), "history")
        assert "Operation resolved by a person Not in <the> list · Evidence: case 7" in shown
        assert "Outcome recorded" in shown
        assert shown.count("was asked: Capture") == 1  # by the attention's answer, not by the person's
    event = PaymentEvent.objects.get(type="operation.resolved")
    assert "Not in <the> list" in text(html(operator, page(event)))


@pytest.mark.database_independent
def test_timeline_tells_a_report_by_webhook_as_one(report: PaymentOperation, operator: Client) -> None:
    act(operator, report, "acknowledge", reason="The shop was told")
    shown = panel(html(operator, page(report)), "history")
    assert "was asked" not in shown
    assert "60.00 EUR" not in shown.replace(CHARGE_BACK, "")
    assert "Provider's answer recorded" not in shown
    assert f"Report needs attention {CHARGE_BACK}" in shown
    assert f"Provider's report differs from the books {CHARGE_BACK}" in shown
    assert "Report acknowledged" in shown


@pytest.mark.database_independent
def test_movement_that_a_webhook_told_of_says_so(operator: Client) -> None:
    payment = make_authorized(make_collection("60.00"))
    with answering(CaptureResult(outcome=Outcome.PENDING)):
        capture_payment(payment)
    fact = SessionFact(currency_code="eur", captured_amount=Decimal(60))
    record_fact(payment.session, fact, origin=Origin.of(source="webhook"))
    shown = panel(html(operator, page(payment.collection)), "history")
    assert "Webhook" in shown[shown.index("Money captured") :]


@pytest.mark.database_independent
def test_reason_is_in_words_wherever_it_is_shown(operator: Client, settings: Any) -> None:
    operation = make_attention()
    places = (page(operation), page(operation.collection), listing(PaymentOperation), listing(PaymentEvent))
    for url in places:
        shown = text(html(operator, url))
        assert MISMATCH in shown, url
        assert "capture_amount_mismatch" not in shown.replace('"code": "capture_amount_mismatch"', "")
    settings.LANGUAGE_CODE = "de"
    told_in_german = "Es wurde ein anderer Betrag eingezogen als verlangt"
    for url in places:
        assert f"{told_in_german}: erwartet 55,00" in text(html(operator, url)), url


@pytest.mark.database_independent
def test_collection_names_its_one_reason_and_counts_several(operator: Client) -> None:
    operation = make_attention()
    shown = html(operator, page(operation.collection))
    assert f"An operation of this collection needs attention. {MISMATCH}" in text(shown)


@pytest.mark.parametrize("answer", ["yes", "no"])
@pytest.mark.database_independent
def test_operation_that_is_over_raises_no_alarm(answer: str, operator: Client) -> None:
    operation = make_attention()
    act(operator, operation, "resolve", has_happened=answer, reason="I looked", evidence="case 7")
    shown = html(operator, page(operation))
    assert "payments-notice" not in shown
    assert (f"What was wrong {MISMATCH}" in text(shown)) is (answer == "yes")
    assert "Resolved by olivia I looked · Evidence: case 7" in text(shown)
    assert "resolved_as_not_done" not in text(shown.split('id="history"')[0])


@pytest.mark.database_independent
def test_operation_that_succeeded_after_all_raises_no_alarm(operator: Client) -> None:
    make_authorized(make_collection("60.00"))
    operation = PaymentOperation.objects.filter(kind="authorize").get()
    PaymentOperation.objects.filter(pk=operation.pk).update(detail="TimeoutError")
    shown = html(operator, page(operation))
    assert "payments-notice" not in shown
    assert "What was wrong TimeoutError" in text(shown)


def told_of(detail: str) -> str:
    """Return in words what an operation keeps of its discrepancies and of other reasons, written as its `detail` is."""
    pattern = re.compile(r"(\w+): expected (.*), reported (.*)")
    found = [match.groups() for line in detail.splitlines() if (match := pattern.fullmatch(line))]
    entries = [{"code": code, "expected": asked, "reported": came} for code, asked, came in found]
    return " ".join(reasons_text(detail, entries, "eur"))


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("still_pending", "The provider has left it pending."),
        (
            "refunded_more_than_captured: expected 10, reported 12.5 re_7",
            "More was refunded than was captured: expected 10.00 EUR, reported 12.50 EUR (re_7).",
        ),
        (
            "update_mismatch: expected 172.0000 eur, reported 1000 jpy",
            "The session has another amount than was asked: expected 172.00 EUR, reported 1,000 JPY.",
        ),
        (
            "update_mismatch: expected 172.0000 eur, reported None None",
            "The session has another amount than was asked: expected 172.00 EUR, reported None None.",
        ),
        (
            "late_authorization: expected canceled, reported authorized",
            "Authorized after it had been canceled: expected Canceled, reported Authorized.",
        ),
        (
            "reference_reused: expected payses_1, reported 100",
            "The provider's reference already belongs to another payment: expected payses_1, reported 100.",
        ),
        (
            "capture_failed_late: expected succeeded, reported capt_1 failed",
            "A capture that had succeeded has failed: capt_1.",
        ),
        (
            "impossible_amount: expected an amount in eur, reported NaN",
            "The provider reports an impossible amount: NaN.",
        ),
        (
            "refund_without_reference: expected a reference, reported 5",
            "A refund was reported that can't be told from others: 5.00 EUR.",
        ),
        (
            "reference_mismatch: expected 100, reported 200",
            "The report is about another payment at the provider: expected 100, reported 200.",
        ),
        (
            "still_pending\ncharged_back: expected 0, reported 5",
            "The provider has left it pending. The payer's bank took money back: 5.00 EUR.",
        ),
        ("TimeoutError", "TimeoutError"),
        ("made_up: expected 1, reported 2", "made_up: expected 1, reported 2"),
        ("", ""),
    ],
)
@pytest.mark.database_independent
def test_detail_is_told_in_words_and_amounts(detail: str, words: str) -> None:
    assert told_of(detail) == words


@pytest.mark.parametrize("reason", AttentionReason.values)
@pytest.mark.database_independent
def test_every_reason_can_be_told_of_anything(reason: str) -> None:
    words = told_of(f"{reason}: expected x y z, reported 1e999999")
    assert reason not in words
    assert words.startswith(str(AttentionReason(reason).label))


@pytest.mark.database_independent
def test_confirming_twice_is_told_with_the_same_words(report: PaymentOperation, operator: Client) -> None:
    sent = open_form(operator, report, "acknowledge")
    confirm(operator, report, "acknowledge", sent, reason="Known")
    again = confirm(operator, report, "acknowledge", sent, reason="Known")
    assert "You have done this already" in told(again)


def test_what_was_said_by_mistake_is_corrected(operator: Client) -> None:
    operation = make_attention()
    act(operator, operation, "resolve", has_happened="yes", reason="Seen", amount="54.00")
    assert "Correct…" in html(operator, page(operation))
    words = text(html(operator, action_url(operation, "correct")))
    assert "So far: Succeeded. Seen" in words
    response = act(operator, operation, "correct", has_happened="no", reason="Another order's")
    assert told(response) == "The operation is corrected. Status: Declined."
    assert Payment.objects.get().captured_amount == Decimal(0)
    shown = panel(html(operator, page(operation.collection)), "history")
    assert "Operation resolved by a person Seen · 54.00 EUR" in shown
    assert "Resolution corrected by a person Another order's · 54.00 EUR → not done" in shown


@pytest.mark.database_independent
def test_what_the_provider_has_answered_is_not_offered_for_correction(operator: Client) -> None:
    capture_payment(make_authorized(make_collection("60.00")))
    operation = PaymentOperation.objects.get(kind="capture")
    assert "Correct…" not in html(operator, page(operation))
    assert operator.get(action_url(operation, "correct")).status_code == 302
