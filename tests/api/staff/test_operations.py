"""Operations and webhook events, as operators see them and decide about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.models import Payment, PaymentEvent, PaymentOperation, WebhookEvent
from payments.providers import CaptureResult, MovementFact, RetrieveResult, SessionFact, encode_fact
from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import Script
from payments.testing.factories import WebhookEventFactory
from tests.api.client import Visitor

pytestmark = pytest.mark.django_db

OPERATION_KEYS = {
    *("id", "kind", "status", "payment_collection_id", "payment_session_id", "payment_id", "capture_id"),
    *("refund_id", "provider_id", "amount", "currency_code", "error", "detail", "input", "exchange"),
    *("requested_from", "actor_id", "attempts", "resolution", "next_attempt_at", "finished_at"),
    *("created_at", "updated_at"),
}
EVENT_KEYS = {
    *(
        "id",
        "provider_id",
        "event_id",
        "type",
        "status",
        "detail",
        "payment_session_id",
        "provider_reference",
    ),
    *(
        "payload",
        "fact",
        "attempts",
        "occurred_at",
        "next_attempt_at",
        "applied_at",
        "created_at",
        "updated_at",
    ),
}


@pytest.fixture
def stuck(boss: Visitor, payment: Payment, script: Script) -> PaymentOperation:
    """Return a capture of 40.00 euros of which nobody knows whether it happened."""
    script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
    assert boss.post(f"staff/payments/{payment.pk}/capture/", {"amount": "40.00"}).status == 202
    operation = PaymentOperation.objects.get(kind="capture")
    operation.require_attention(detail="unresolved")
    operation.save_fields("status", "detail", "finished_at", "in_flight_key")
    return operation


@pytest.mark.database_independent
def test_an_operation_tells_what_was_asked_and_what_is_known(boss: Visitor, stuck: PaymentOperation) -> None:
    shown = boss.get(f"staff/operations/{stuck.pk}/").body

    assert set(shown) == OPERATION_KEYS
    assert (shown["kind"], shown["status"], shown["detail"]) == ("capture", "attention", "unresolved")
    assert (shown["amount"], shown["currency_code"], shown["provider_id"]) == ("40.00", "eur", "scripted")
    assert (shown["payment_id"], shown["capture_id"], shown["refund_id"]) == (
        stuck.payment_id,
        stuck.capture_id,
        None,
    )
    assert (shown["requested_from"], shown["actor_id"]) == ("staff", boss.user.pk)
    assert (shown["resolution"], shown["finished_at"]) == (None, None)


@pytest.mark.parametrize(
    ("has_happened", "status", "captured"), [(True, "succeeded", "40.00"), (False, "declined", "0.00")]
)
def test_an_operation_is_resolved_with_a_reason(
    boss: Visitor, stuck: PaymentOperation, has_happened: bool, status: str, captured: str
) -> None:
    body = {"has_happened": has_happened, "reason": "Seen in the dashboard", "evidence": "ch_1"}

    resolved = boss.post(f"staff/operations/{stuck.pk}/resolve/", body)

    assert (resolved.status, resolved.body["status"]) == (200, status)
    assert resolved.body["resolution"] == {
        "reason": "Seen in the dashboard",
        "evidence": "ch_1",
        "resolved_by_id": boss.user.pk,
    }
    assert boss.get(f"staff/payments/{stuck.payment_id}/").body["captured_amount"] == captured
    event = PaymentEvent.objects.get(type="operation.resolved")
    assert (event.source, event.actor_id) == ("staff", boss.user.pk)


TOO_LITTLE: list[tuple[dict[str, Any], str, str]] = [
    ({"reason": "x"}, "has_happened", "required"),
    ({"has_happened": True}, "reason", "required"),
    ({"has_happened": True, "reason": ""}, "reason", "blank"),
    ({"has_happened": True, "reason": "  "}, "reason", "blank"),
    ({"has_happened": "yes", "reason": "x"}, "has_happened", "invalid"),
    ({"has_happened": 1, "reason": "x"}, "has_happened", "invalid"),
    ({"has_happened": None, "reason": "x"}, "has_happened", "null"),
    ({"has_happened": True, "reason": "x" * 2001}, "reason", "max_length"),
    ({"has_happened": True, "reason": "x", "sum": "1"}, "sum", "unknown_field"),
    ({"has_happened": True, "reason": "x", "amount": "1.001"}, "amount", "too_many_decimals"),
    ({"has_happened": True, "reason": "x", "amount": 1.5}, "amount", "float_not_allowed"),
    ({"has_happened": True, "reason": "x", "amount": "200.00"}, "amount", "exceeds_possible"),
    ({"has_happened": False, "reason": "x", "amount": "20.00"}, "amount", "amount_not_expected"),
    ({"has_happened": True, "reason": "x", "accept_excess": "yes"}, "accept_excess", "invalid"),
]


@pytest.mark.database_independent
def test_a_resolution_that_says_too_little_is_refused(boss: Visitor, stuck: PaymentOperation) -> None:
    for body, field, code in TOO_LITTLE:
        refused = boss.post(f"staff/operations/{stuck.pk}/resolve/", body)

        assert refused.error == (400, "invalid_request", code, [(field, code)]), body
        assert PaymentOperation.objects.get(pk=stuck.pk).status == "attention"


def test_an_operation_is_resolved_with_another_amount_than_was_asked(
    boss: Visitor, stuck: PaymentOperation
) -> None:
    path = f"staff/operations/{stuck.pk}/resolve/"
    body = {"has_happened": True, "reason": "Seen in the dashboard", "amount": "35.00"}

    resolved = boss.post(path, body)

    assert (resolved.status, resolved.body["status"], resolved.body["amount"]) == (200, "succeeded", "40.00")
    assert boss.get(f"staff/payments/{stuck.payment_id}/").body["captured_amount"] == "35.00"


def test_more_than_possible_is_booked_when_it_is_said_again(boss: Visitor, stuck: PaymentOperation) -> None:
    path = f"staff/operations/{stuck.pk}/resolve/"
    body = {"has_happened": True, "reason": "Seen", "amount": "120.00"}
    assert boss.post(path, body).error[2] == "exceeds_possible"

    assert boss.post(path, body | {"accept_excess": True}).status == 200
    assert boss.get(f"staff/payments/{stuck.payment_id}/").body["captured_amount"] == "120.00"


@pytest.mark.database_independent
def test_an_operation_that_needs_no_attention_is_not_resolved(boss: Visitor, captured: Payment) -> None:
    operation = PaymentOperation.objects.get(kind="capture")

    refused = boss.post(f"staff/operations/{operation.pk}/resolve/", {"has_happened": False, "reason": "x"})

    assert refused.error == (409, "conflict", "not_in_attention", [])


def test_an_event_is_replayed_and_its_fact_recorded(boss: Visitor, payment: Payment) -> None:
    fact = SessionFact(
        status=SessionStatus.AUTHORIZED,
        currency_code="eur",
        movements=(
            MovementFact(
                kind=MovementKind.CAPTURE,
                status=MovementStatus.SUCCEEDED,
                amount=payment.amount,
                currency_code="eur",
                provider_reference="ch_1",
            ),
        ),
    )
    event = WebhookEventFactory.create(session=payment.session, fact=encode_fact(fact), failed=True)

    replayed = boss.post(f"staff/webhook-events/{event.pk}/replay/")

    assert set(replayed.body) == EVENT_KEYS
    assert (replayed.status, replayed.body["status"], replayed.body["detail"]) == (200, "applied", "")
    assert boss.get(f"staff/payments/{payment.pk}/").body["captured_amount"] == "100.00"
    event_of_replay = PaymentEvent.objects.get(type="webhook.replayed")
    assert event_of_replay.actor_id == boss.user.pk
    assert boss.post(f"staff/webhook-events/{event.pk}/replay/").status == 200
    assert payment.captures.count() == 1


def test_an_event_without_a_fact_waits_where_its_provider_has_no_answer(
    boss: Visitor, payment: Payment, script: Script
) -> None:
    script.next("retrieve", RetrieveResult(outcome=Outcome.UNKNOWN))
    event = WebhookEventFactory.create(session=payment.session)

    replayed = boss.post(f"staff/webhook-events/{event.pk}/replay/", {})

    assert (replayed.status, replayed.body["status"]) == (200, "deferred")
    assert WebhookEvent.objects.get().attempts == 1


def test_an_event_that_is_about_nothing_of_ours_is_ignored_again(boss: Visitor, db: None) -> None:
    event = WebhookEventFactory.create(ignored=True)

    assert boss.post(f"staff/webhook-events/{event.pk}/replay/").body["status"] == "ignored"


def test_an_operation_is_looked_into_at_once(boss: Visitor, payment: Payment, script: Script) -> None:
    script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
    boss.post(f"staff/payments/{payment.pk}/capture/", {"amount": "40.00"})
    operation = PaymentOperation.objects.get(kind="capture")

    looked = boss.post(f"staff/operations/{operation.pk}/check/")

    assert (looked.status, looked.body["status"], set(looked.body)) == (200, "succeeded", OPERATION_KEYS)
    assert len(script.requests("capture")) == 2
    assert boss.post(f"staff/operations/{operation.pk}/check/").body["status"] == "succeeded"


def test_an_operation_that_a_worker_is_at_is_left_to_it(
    boss: Visitor, payment: Payment, script: Script
) -> None:
    script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
    boss.post(f"staff/payments/{payment.pk}/capture/", {"amount": "40.00"})
    operation = PaymentOperation.objects.get(kind="capture")
    PaymentOperation.objects.filter(pk=operation.pk).update(
        lease_owner="worker", lease_expires_at=timezone.now() + timedelta(minutes=1)
    )

    refused = boss.post(f"staff/operations/{operation.pk}/check/")

    assert refused.error == (409, "conflict", "operation_in_progress", [])
