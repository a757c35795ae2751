"""Rows as they look in an answer, from one order that was paid with a card and partly refunded."""

from __future__ import annotations

from typing import Any, Final

COLLECTION_ID: Final = "pay_col_01M85K4A4H9V2E7C3Z8QJ5TXWD"
SESSION_ID: Final = "payses_01M85K4QXA6J1R8S2YB0NDKFZG"
PAYMENT_ID: Final = "pay_01M85K5B2C3D4E5F6G7H8J9KAM"
REASON_ID: Final = "refr_01M85K0M1N2P3Q4R5S6T7V8WXY"
OPERATION_ID: Final = "payop_01M85K6Z9Y8X7W6V5T4S3R2Q1P"
EVENT_ID: Final = "paywh_01M85K7A1B2C3D4E5F6G7H8J9K"
CREATED: Final = "2026-11-24T09:30:00.000000Z"
LATER: Final = "2026-11-24T09:31:12.345678Z"

Example = dict[str, Any]

SESSION: Final[Example] = {
    "id": SESSION_ID,
    "payment_collection_id": COLLECTION_ID,
    "provider_id": "card",
    "status": "requires_more",
    "amount": "100.00",
    "authorized_amount": "0.00",
    "currency_code": "eur",
    "data": {"client_token": "ct_5f2a"},
    "accepts_saved_payment_methods": False,
    "in_progress": None,
    "next_action": {"type": "redirect", "url": "https://bank.example/3ds/5f2a"},
    "error": None,
    "due_at": None,
    "expires_at": None,
    "authorized_at": None,
    "created_at": CREATED,
}
AUTHORIZED_SESSION: Final[Example] = SESSION | {
    "status": "authorized",
    "authorized_amount": "100.00",
    "next_action": None,
    "authorized_at": LATER,
}
CANCELED_SESSION: Final[Example] = SESSION | {"status": "canceled", "next_action": None}

COLLECTION: Final[Example] = {
    "id": COLLECTION_ID,
    "status": "awaiting",
    "currency_code": "eur",
    "amount": "100.00",
    "authorized_amount": "0.00",
    "captured_amount": "0.00",
    "refunded_amount": "0.00",
    "accepts_saved_payment_methods": False,
    "payment_sessions": [SESSION],
    "completed_at": None,
    "canceled_at": None,
    "created_at": CREATED,
}
OPENED_COLLECTION: Final[Example] = COLLECTION | {
    "status": "not_paid",
    "payment_sessions": [],
    "client_secret": "paycs_Jz0mZ4hC8uVv3c1yQe7bW5n2kXrT9sLd",
}

SAVED_METHOD: Final[Example] = {
    "id": "pm_5f2a",
    "type": "card",
    "brand": "visa",
    "last4": "4242",
    "expires": "2034-12",
}
METHOD_SETUP: Final[Example] = {
    "data": {"client_token": "st_5f2a"},
    "next_action": {"type": "redirect", "url": "https://provider.example/save/5f2a"},
}

STAFF_SESSION: Final[Example] = {
    "id": SESSION_ID,
    "payment_collection_id": COLLECTION_ID,
    "payment_id": PAYMENT_ID,
    "provider_id": "card",
    "provider_reference": "int_5f2a",
    "status": "authorized",
    "amount": "100.00",
    "authorized_amount": "100.00",
    "currency_code": "eur",
    "is_split": False,
    "data": {"client_token": "ct_5f2a"},
    "provider_data": {"vault": "v_5f2a"},
    "context": {"customer_id": "7", "email": "sam@shopper.example"},
    "metadata": {},
    "in_progress": None,
    "next_action": None,
    "error": None,
    "installment": None,
    "due_at": None,
    "is_automatic": False,
    "expires_at": None,
    "initiated_at": CREATED,
    "authorized_at": LATER,
    "canceled_at": None,
    "created_at": CREATED,
    "updated_at": LATER,
}
_MOVEMENT: Final[Example] = {
    "id": "capt_01M85K6A1B2C3D4E5F6G7H8J9K",
    "status": "succeeded",
    "amount": "100.00",
    "provider_reference": "cap_5f2a",
    "error": None,
    "metadata": {},
    "created_at": LATER,
    "succeeded_at": LATER,
}
CAPTURE: Final[Example] = _MOVEMENT | {"received_at": None, "reference": "", "note": ""}
REFUND: Final[Example] = _MOVEMENT | {
    "id": "ref_01M85K6B1C2D3E4F5G6H7J8K9A",
    "amount": "15.00",
    "provider_reference": "re_5f2a",
    "refund_reason": {"id": REASON_ID, "label": "Damaged"},
    "note": "A dent in the lid.",
}
PAYMENT: Final[Example] = {
    "id": PAYMENT_ID,
    "payment_collection_id": COLLECTION_ID,
    "payment_session_id": SESSION_ID,
    "provider_id": "card",
    "provider_reference": "int_5f2a",
    "status": "partially_refunded",
    "currency_code": "eur",
    "amount": "100.00",
    "captured_amount": "100.00",
    "refunded_amount": "15.00",
    "canceled_amount": "0.00",
    "charged_back_amount": "0.00",
    "reinstated_amount": "0.00",
    "capturable_amount": "0.00",
    "refundable_amount": "85.00",
    "captures": [CAPTURE],
    "refunds": [REFUND],
    "unclear": [],
    "metadata": {},
    "provider_data": {"vault": "v_5f2a"},
    "expires_at": None,
    "captured_at": LATER,
    "canceled_at": None,
    "created_at": CREATED,
    "updated_at": LATER,
}
STAFF_COLLECTION: Final[Example] = {
    "id": COLLECTION_ID,
    "status": "completed",
    "currency_code": "eur",
    "amount": "100.00",
    "authorized_amount": "100.00",
    "captured_amount": "100.00",
    "refunded_amount": "15.00",
    "charged_back_amount": "0.00",
    "payable": {"type": "shop.order", "id": "12"},
    "customer_id": 7,
    "description": "Order 12",
    "metadata": {},
    "payment_sessions": [STAFF_SESSION],
    "payments": [PAYMENT],
    "completed_at": LATER,
    "canceled_at": None,
    "created_at": CREATED,
    "updated_at": LATER,
}
REASON: Final[Example] = {
    "id": REASON_ID,
    "label": "Damaged",
    "description": "It arrived broken.",
    "metadata": {},
    "created_at": CREATED,
    "updated_at": CREATED,
}
STAFF_PROVIDER: Final[Example] = {
    "id": "card",
    "name": "Card",
    "is_enabled": True,
    "is_configured": True,
    "created_at": CREATED,
    "updated_at": CREATED,
}
OPERATION: Final[Example] = {
    "id": OPERATION_ID,
    "kind": "refund",
    "status": "attention",
    "payment_collection_id": COLLECTION_ID,
    "payment_session_id": SESSION_ID,
    "payment_id": PAYMENT_ID,
    "capture_id": None,
    "refund_id": REFUND["id"],
    "provider_id": "card",
    "amount": "15.00",
    "currency_code": "eur",
    "error": {"code": "outcome_unknown", "message": ""},
    "detail": "not_found_after_key_window",
    "input": {},
    "exchange": {"id": "re_5f2a"},
    "requested_from": "staff",
    "actor_id": 1,
    "attempts": 2,
    "resolution": None,
    "next_attempt_at": None,
    "finished_at": None,
    "created_at": CREATED,
    "updated_at": LATER,
}
RESOLVED_OPERATION: Final[Example] = OPERATION | {
    "status": "succeeded",
    "error": None,
    "resolution": {"reason": "Seen in the dashboard.", "evidence": "Case 7", "resolved_by_id": 1},
    "finished_at": LATER,
}
WEBHOOK_EVENT: Final[Example] = {
    "id": EVENT_ID,
    "provider_id": "card",
    "event_id": "evt_5f2a",
    "type": "intent.captured",
    "status": "applied",
    "detail": "",
    "payment_session_id": SESSION_ID,
    "provider_reference": "int_5f2a",
    "payload": {"id": "int_5f2a", "status": "captured"},
    "fact": None,
    "attempts": 1,
    "occurred_at": CREATED,
    "next_attempt_at": None,
    "applied_at": LATER,
    "created_at": CREATED,
    "updated_at": LATER,
}
FIGURES: Final[Example] = {
    "oldest_unresolved_operation_seconds": {"card": 0.0},
    "inbox_lag_seconds": 0.0,
    "outbox_lag_seconds": 0.0,
    "attention_count": 0,
    "failed_event_count": 0,
}
