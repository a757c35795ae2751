"""Payments in the hands of an operator: capture, refund, cancel, and what comes back when a provider misbehaves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from payments import services
from payments.models import Payment, PaymentOperation, RefundReason
from payments.providers import CaptureResult, Failure, SessionFact
from payments.states import Outcome
from payments.testing import Script, scripted_provider
from tests.api.client import Visitor

pytestmark = pytest.mark.django_db

PAYMENT_KEYS = {
    "id",
    "payment_collection_id",
    "payment_session_id",
    "provider_id",
    "provider_reference",
    "status",
    "currency_code",
    "amount",
    "captured_amount",
    "refunded_amount",
    "canceled_amount",
    "charged_back_amount",
    "reinstated_amount",
    "capturable_amount",
    "refundable_amount",
    "captures",
    "refunds",
    "unclear",
    "metadata",
    "provider_data",
    "expires_at",
    "captured_at",
    "canceled_at",
    "created_at",
    "updated_at",
}
MOVEMENT_KEYS = {
    "id",
    "status",
    "amount",
    "provider_reference",
    "error",
    "metadata",
    "created_at",
    "succeeded_at",
}
DECLINED = CaptureResult(
    outcome=Outcome.DECLINED,
    failure=Failure(code="authorization_expired", message="The authorization has expired.", detail="raw"),
)


@pytest.fixture
def path(payment: Payment) -> str:
    return f"staff/payments/{payment.pk}/"


@pytest.mark.database_independent
def test_a_payment_shows_these_keys(boss: Visitor, captured: Payment, path: str) -> None:
    services.refund_payment(captured, amount="1.00")

    shown = boss.get(path).body

    assert set(shown) == PAYMENT_KEYS
    assert set(shown["captures"][0]) == MOVEMENT_KEYS | {"received_at", "reference", "note"}
    assert set(shown["refunds"][0]) == MOVEMENT_KEYS | {"refund_reason", "note"}
    assert shown == boss.get("staff/payments/").body["results"][0]


def test_without_an_amount_all_that_is_left_is_taken_and_given_back(boss: Visitor, path: str) -> None:
    boss.post(f"{path}capture/", {"amount": "30.00"})
    captured = boss.post(f"{path}capture/")
    boss.post(f"{path}refund/", {"amount": "10.00"})
    refunded = boss.post(f"{path}refund/", {})

    assert [row["amount"] for row in captured.body["captures"]] == ["30.00", "70.00"]
    assert [row["amount"] for row in refunded.body["refunds"]] == ["10.00", "90.00"]
    assert (refunded.body["status"], refunded.body["refundable_amount"]) == ("refunded", "0.00")


@pytest.mark.database_independent
def test_a_declined_capture_is_the_providers_error_and_frees_the_amount(
    boss: Visitor, path: str, script: Script
) -> None:
    script.next("capture", DECLINED)

    declined = boss.post(f"{path}capture/", {"amount": "60.00"})

    assert declined.error == (402, "provider_error", "authorization_expired", [])
    assert declined.body["message"] == "The authorization has expired."
    assert b"raw" not in declined.raw
    shown = boss.get(path).body
    assert (shown["captures"][0]["status"], shown["capturable_amount"]) == ("failed", "100.00")
    assert shown["captures"][0]["error"]["code"] == "authorization_expired"


@pytest.mark.database_independent
def test_a_provider_that_can_not_be_reached_may_be_tried_again(
    boss: Visitor, path: str, script: Script
) -> None:
    script.next("capture", CaptureResult(outcome=Outcome.NOT_SENT))

    refused = boss.post(f"{path}capture/")
    again = boss.post(f"{path}capture/")

    assert refused.error == (503, "provider_error", "provider_unavailable", [])
    assert refused.headers["Retry-After"] == "5"
    assert (again.status, again.body["status"]) == (200, "captured")


@pytest.mark.parametrize("verb", ["capture", "refund", "cancel"])
@pytest.mark.database_independent
def test_an_unknown_outcome_is_accepted_and_names_its_operation(
    boss: Visitor, payment: Payment, path: str, script: Script, verb: Any
) -> None:
    if verb == "refund":
        services.capture_payment(payment)
    script.next(verb, TimeoutError())

    accepted = boss.post(f"{path}{verb}/")
    again = boss.post(f"{path}{verb}/")

    assert accepted.status == 202
    assert set(accepted.body) == PAYMENT_KEYS | {"operation_id"}
    assert accepted.body["operation_id"] == script.requests(verb)[0].operation_id
    assert accepted.headers["Retry-After"] == "2"
    assert again.error[:3] == (409, "conflict", "operation_in_progress")
    assert len(script.requests(verb)) == 1


@pytest.mark.database_independent
def test_a_capture_that_the_provider_answers_later_is_accepted(
    boss: Visitor, path: str, script: Script
) -> None:
    script.next("capture", CaptureResult(outcome=Outcome.PENDING))

    accepted = boss.post(f"{path}capture/", {"amount": "40.00"})
    next_one = boss.post(f"{path}capture/", {"amount": "10.00"})

    assert (accepted.status, accepted.body["captures"][0]["status"]) == (202, "pending")
    assert "operation_id" in accepted.body
    assert next_one.status == 200


@pytest.mark.database_independent
def test_what_a_provider_can_not_do_is_refused(boss: Visitor, payment: Payment, path: str) -> None:
    with scripted_provider(lacks={"partial_capture"}):
        refused = boss.post(f"{path}capture/", {"amount": "40.00"})

    assert refused.error == (400, "invalid_request", "not_supported", [("amount", "not_supported")])


def test_canceling_twice_releases_once(boss: Visitor, path: str, script: Script) -> None:
    first = boss.post(f"{path}cancel/")
    second = boss.post(f"{path}cancel/")

    assert (first.status, first.body["status"]) == (200, "canceled")
    assert second.body == first.body
    assert len(script.requests("cancel")) == 1


@pytest.mark.database_independent
def test_a_reason_is_optional_and_may_be_null(boss: Visitor, captured: Payment, path: str) -> None:
    reason = RefundReason.objects.create(label="Damaged")

    boss.post(f"{path}refund/", {"amount": "1.00", "refund_reason_id": None})
    refunded = boss.post(f"{path}refund/", {"amount": "1.00", "refund_reason_id": reason.pk})

    assert [row["refund_reason"] for row in refunded.body["refunds"]] == [
        None,
        {"id": reason.pk, "label": "Damaged"},
    ]


@pytest.mark.parametrize("field", ["status", "currency_code", "captured_amount", "provider_reference"])
@pytest.mark.database_independent
def test_a_capture_takes_only_an_amount(boss: Visitor, path: str, field: str) -> None:
    refused = boss.post(f"{path}capture/", {"amount": "1.00", field: "x"})

    assert refused.error == (400, "invalid_request", "unknown_field", [(field, "unknown_field")])


@pytest.mark.database_independent
def test_what_the_bank_took_back_is_shown(boss: Visitor, captured: Payment, path: str) -> None:
    fact = SessionFact(currency_code="eur", captured_amount=captured.amount, charged_back_amount=Decimal(40))
    services.record_fact(captured.session, fact, origin=services.Origin())

    shown = boss.get(path).body

    assert (shown["captured_amount"], shown["charged_back_amount"]) == ("100.00", "40.00")
    assert shown["refundable_amount"] == "60.00"


@pytest.mark.database_independent
def test_a_payment_shows_what_is_unclear_and_when_it_is_looked_at(
    boss: Visitor, captured: Payment, path: str, script: Script
) -> None:
    script.next("refund", TimeoutError())
    accepted = boss.post(f"{path}refund/", {"amount": "20.00"})

    (unclear,) = boss.get(path).body["unclear"]

    assert unclear["operation_id"] == accepted.body["operation_id"]
    assert (unclear["kind"], unclear["status"], unclear["amount"]) == ("refund", "unknown", "20.00")
    assert unclear["next_attempt_at"] is not None
    collection = boss.get(f"staff/payment-collections/{captured.collection_id}/").body
    assert collection["payments"][0]["unclear"] == [unclear]


def test_the_same_refund_again_is_refused_while_the_first_is_unclear(
    boss: Visitor, captured: Payment, path: str, script: Script
) -> None:
    script.next("refund", TimeoutError())
    boss.post(f"{path}refund/", {"amount": "20.00"})

    assert boss.post(f"{path}refund/", {"amount": "20.00"}).error == (
        409,
        "conflict",
        "possible_repetition",
        [],
    )
    assert boss.post(f"{path}refund/", {"amount": "20.00", "despite_unclear": True}).status == 200


@pytest.mark.database_independent
def test_what_is_in_the_way_is_told_truly_and_with_its_time(
    boss: Visitor, payment: Payment, path: str, script: Script
) -> None:
    script.next("capture", TimeoutError())
    boss.post(f"{path}capture/")
    PaymentOperation.objects.filter(kind="capture").update(
        next_attempt_at=timezone.now() + timedelta(minutes=15)
    )

    refused = boss.post(f"{path}cancel/")

    assert refused.error == (409, "conflict", "operation_in_progress", [])
    assert refused.body["message"].startswith("Unclear since ")
    assert "Capture, 100.00 EUR. The next check is at " in refused.body["message"]
    assert 890 <= int(refused.headers["Retry-After"]) <= 900
