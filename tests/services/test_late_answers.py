"""Answers that come late: a report was faster, another attempt came between, or a person had decided."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from payments import providers, services
from payments.exceptions import DeclinedError, OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.services.ledger.records import record_result
from payments.states import MovementKind, MovementStatus, Outcome
from payments.testing import Script
from tests.services.facts import (
    AUTHORIZED,
    CANCELED,
    PENDING,
    REFUSED,
    REQUIRES_MORE,
    books,
    captured,
    moved,
    tell,
)
from tests.services.results import authorized

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

NOT_SENT = providers.Failure(code="not_sent")


def test_report_of_an_initiation_does_not_cost_the_session_its_token(
    collection: PaymentCollection, card: Script
) -> None:
    def answer(request: Any) -> providers.InitiateResult:
        tell(PaymentSession.objects.get(), PENDING)
        return providers.InitiateResult(
            outcome=Outcome.SUCCEEDED,
            provider_reference="int_1",
            data={"client_token": "token"},
            provider_data={"secret": "s3cr3t"},
        )

    card.next("initiate", answer)
    session = services.create_payment_session(collection, provider_id="card")
    assert session.data == {"client_token": "token"}
    assert (session.provider_data, session.provider_reference) == ({"secret": "s3cr3t"}, "int_1")
    assert session.operations.get().status == "succeeded"


def test_late_initiation_does_not_undo_what_a_report_has_renewed(
    collection: PaymentCollection, card: Script
) -> None:
    def answer(request: Any) -> providers.InitiateResult:
        session = PaymentSession.objects.get()
        tell(session, replace(REQUIRES_MORE, data={"client_token": "new"}))
        return providers.InitiateResult(outcome=Outcome.SUCCEEDED, data={"client_token": "old"})

    card.next("initiate", answer)
    session = services.create_payment_session(collection, provider_id="card")
    assert session.data == {"client_token": "new"}


@pytest.mark.parametrize(
    "report", [REQUIRES_MORE, REFUSED, AUTHORIZED, CANCELED], ids=lambda fact: fact.status
)
def test_authorization_is_recorded_whatever_was_reported_before_its_answer(
    session: PaymentSession, card: Script, report: Any
) -> None:
    def answer(request: Any) -> providers.AuthorizeResult:
        tell(PaymentSession.objects.get(), report)
        return authorized("100.00")

    card.next("authorize", answer)
    with pytest.raises(OutcomeUnknownError) if report == CANCELED else nullcontext():
        services.authorize_payment_session(session)
    session.refresh_from_db()
    assert session.status == "authorized"
    assert session.payment is not None
    operation = session.operations.get(kind="authorize")
    assert operation.status == ("attention" if report == CANCELED else "succeeded")
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("verb", ["initiate", "authorize"])
@pytest.mark.parametrize("known", [None, {"charge": "new"}])
def test_payment_has_from_the_answer_what_the_report_did_not_say(
    collection: PaymentCollection, card: Script, verb: Any, known: dict[str, str] | None
) -> None:
    told: dict[str, Any] = {"provider_reference": "int_1", "provider_data": {"charge": "old"}}

    def answer(request: Any) -> Any:
        tell(PaymentSession.objects.get(), replace(AUTHORIZED, provider_data=known))
        if verb == "authorize":
            return replace(authorized("100.00"), **told)
        return providers.InitiateResult(outcome=Outcome.SUCCEEDED, **told)

    card.next("initiate", providers.InitiateResult(outcome=Outcome.SUCCEEDED))
    if verb == "initiate":
        card.clear()
    card.next(verb, answer)
    session = services.create_payment_session(collection, provider_id="card")
    services.authorize_payment_session(session)

    services.capture_payment(Payment.objects.get())
    asked = card.requests("capture")[0]
    assert (asked.provider_reference, asked.provider_data) == ("int_1", known or {"charge": "old"})


def test_two_payments_do_not_get_one_reference(rows: None, card: Script) -> None:
    def answer(request: Any) -> Any:
        tell(PaymentSession.objects.get(pk=request.session_id), AUTHORIZED)
        return replace(authorized("100.00"), provider_reference="int_1")

    for _time in range(2):
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        card.next("initiate", providers.InitiateResult(outcome=Outcome.SUCCEEDED))
        card.next("authorize", answer)
        session = services.create_payment_session(collection, provider_id="card")
        with suppress(OutcomeUnknownError):
            services.authorize_payment_session(session)
    references = [payment.provider_reference for payment in Payment.objects.order_by("created_at")]
    assert references == ["int_1", None]
    assert PaymentEvent.objects.get(type="fact.discrepancy").data["code"] == "reference_reused"


def test_capture_reported_before_its_answer_is_one_capture_and_one_event(
    payment: Payment, card: Script
) -> None:
    def answer(request: Any) -> providers.CaptureResult:
        tell(payment.session, captured("100"))
        return providers.CaptureResult(
            outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur", provider_reference="cap_1"
        )

    card.next("capture", answer)
    services.capture_payment(payment)
    assert payment.captures.get().provider_reference == "cap_1"
    assert payment.captured_amount == Decimal(100)
    assert PaymentEvent.objects.filter(type="payment.captured").count() == 1


def test_capture_reported_as_failed_before_its_answer_says_it_succeeded(
    payment: Payment, card: Script
) -> None:
    def answer(request: Any) -> providers.CaptureResult:
        fact = moved(MovementKind.CAPTURE, "100", MovementStatus.FAILED, operation_id=request.operation_id)
        tell(payment.session, fact)
        return providers.CaptureResult(outcome=Outcome.SUCCEEDED, amount=Decimal(100), currency_code="eur")

    card.next("capture", answer)
    services.capture_payment(payment)
    assert payment.captured_amount == Decimal(100)
    assert payment.operations.get(kind="capture").status == "succeeded"


def test_answer_that_contradicts_the_report_needs_a_person(payment: Payment, card: Script) -> None:
    def answer(request: Any) -> providers.CaptureResult:
        tell(payment.session, captured("100"))
        return providers.CaptureResult(outcome=Outcome.SUCCEEDED, amount=Decimal(90), currency_code="eur")

    card.next("capture", answer)
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    assert payment.operations.get(kind="capture").status == "attention"


def test_same_answer_twice_changes_nothing(payment: Payment) -> None:
    services.capture_payment(payment, amount="60.00")
    operation = payment.operations.get(kind="capture")
    before = books()
    answer = providers.CaptureResult(outcome=Outcome.SUCCEEDED, amount=Decimal(60), currency_code="eur")
    assert record_result(operation, answer).status == "succeeded"
    assert books() == before


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.NOT_SENT, Outcome.UNKNOWN, Outcome.PENDING])
def test_ended_operation_only_heeds_a_success(payment: Payment, outcome: Outcome) -> None:
    services.capture_payment(payment)
    before = books()
    record_result(payment.operations.get(kind="capture"), providers.CaptureResult(outcome=outcome))
    assert books() == before


def test_attempt_that_was_not_sent_says_nothing_of_an_earlier_one(payment: Payment, card: Script) -> None:
    card.next("capture", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    operation = payment.operations.get(kind="capture")
    record_result(operation, providers.CaptureResult(outcome=Outcome.NOT_SENT, failure=NOT_SENT))
    operation.refresh_from_db()
    assert (operation.status, payment.captures.get().status) == ("unknown", "pending")


def test_operation_pending_at_the_provider_is_not_withdrawn(payment: Payment, card: Script) -> None:
    card.next("capture", providers.CaptureResult(outcome=Outcome.PENDING))
    services.capture_payment(payment)
    operation = payment.operations.get(kind="capture")
    assert record_result(operation, providers.CaptureResult(outcome=Outcome.NOT_SENT)).status == "pending"


def test_update_that_was_overtaken_does_not_come_back(session: PaymentSession, card: Script) -> None:
    services.update_payment_session(session, amount="70.00")
    slow = session.operations.get(kind="update")
    services.update_payment_session(session, amount="80.00")
    record_result(
        slow, providers.UpdateResult(outcome=Outcome.SUCCEEDED, amount=Decimal(70), currency_code="eur")
    )
    session.refresh_from_db()
    assert session.amount == Decimal(80)


def test_cancelation_that_was_overtaken_does_not_release_a_later_payment(session: PaymentSession) -> None:
    services.cancel_payment_session(session)
    tell(session, AUTHORIZED)
    record_result(session.operations.get(kind="cancel"), providers.CancelResult(outcome=Outcome.SUCCEEDED))
    assert Payment.objects.get().status == "authorized"


def test_payer_who_is_faster_than_the_cancelation_keeps_the_session(
    session: PaymentSession, card: Script
) -> None:
    def answer(request: Any) -> providers.CancelResult:
        tell(PaymentSession.objects.get(), AUTHORIZED)
        return providers.CancelResult(
            outcome=Outcome.DECLINED, failure=providers.Failure(code="already_authorized")
        )

    card.next("cancel", answer)
    with pytest.raises(DeclinedError):
        services.cancel_payment_session(session)
    session.refresh_from_db()
    assert (session.status, Payment.objects.get().status) == ("authorized", "authorized")


def test_person_who_decides_is_named_and_the_books_follow(payment: Payment, card: Script, staff: Any) -> None:
    card.next("capture", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    operation = PaymentOperation.objects.get(kind="capture")
    operation.require_attention(detail="unresolved")
    operation.save_fields("status", "detail", "in_flight_key")
    services.resolve_operation(operation, has_happened=True, reason="Seen on the statement.", actor=staff)
    payment.refresh_from_db()
    assert payment.status == "captured"
    event = PaymentEvent.objects.get(type="operation.resolved")
    assert (event.actor_label, event.data["reason"]) == ("alice", "Seen on the statement.")
