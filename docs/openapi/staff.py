"""What the document says of the operator's API."""

from __future__ import annotations

from typing import Any, Final

from docs.openapi import examples
from docs.openapi.operations import Answer, Operation
from payments.api.staff import (
    collections,
    operations,
    payments,
    providers,
    refund_reasons,
    sessions,
    webhook_events,
)

_OPERATOR: Final[tuple[dict[str, list[str]], ...]] = ({"session": []},)
_CHANGING_OPERATOR: Final[tuple[dict[str, list[str]], ...]] = ({"session": [], "csrf": []},)
_ACCEPTED: Final = 202


def _operation(**values: Any) -> Operation:
    security = _OPERATOR if values["method"] == "GET" else _CHANGING_OPERATOR
    return Operation(tag="staff", security=security, **values)


def _list(view: Any, name: str, example: Any) -> Operation:
    page = {"next": None, "previous": None, "results": [example]}
    answers = {200: Answer(description="A page of rows.", example=page)}
    return _operation(view=view, method="GET", name=f"staff_list_{name}", answers=answers)


def _get(view: Any, name: str, example: Any) -> Operation:
    answers = {200: Answer(description="The row.", example=example)}
    return _operation(view=view, method="GET", name=f"staff_get_{name}", answers=answers)


def _change(view: Any, name: str, shown: Any, *, method: str = "POST", example: Any = None) -> Operation:
    """Return what is said of a change, and of a verb that a provider may leave unanswered."""
    afterwards = Answer(description="The row as it is afterwards.", example=shown)
    not_known_yet = Answer(
        description="The provider has not said yet what became of it. Look at the operation, at `Location`, or at the "
        "row again, after `Retry-After` seconds.",
    )
    answers = {
        status: not_known_yet if status == _ACCEPTED else afterwards
        for status in view.statuses.get(method, (200,))
    }
    return _operation(view=view, method=method, name=f"staff_{name}", answers=answers, example=example)


OPERATIONS: Final = (
    _list(collections.PaymentCollectionsView, "payment_collections", examples.STAFF_COLLECTION),
    _change(
        collections.PaymentCollectionsView,
        "create_payment_collection",
        examples.STAFF_COLLECTION,
        example={"amount": "100.00", "currency_code": "eur", "payable": {"type": "shop.order", "id": "12"}},
    ),
    _get(collections.PaymentCollectionView, "payment_collection", examples.STAFF_COLLECTION),
    _change(
        collections.PaymentCollectionView,
        "update_payment_collection",
        examples.STAFF_COLLECTION,
        method="PATCH",
        example={"amount": "120.00"},
    ),
    _change(collections.CancelCollectionView, "cancel_payment_collection", examples.STAFF_COLLECTION),
    _change(
        collections.MarkAsPaidView,
        "mark_payment_collection_as_paid",
        examples.STAFF_COLLECTION,
        example={
            "amount": "20.00",
            "received_at": "2026-11-24T09:30:00Z",
            "reference": "RF18 5390 0754",
            "note": "Two transfers.",
        },
    ),
    _list(sessions.PaymentSessionsView, "payment_sessions", examples.STAFF_SESSION),
    _get(sessions.PaymentSessionView, "payment_session", examples.STAFF_SESSION),
    _change(sessions.AuthorizeSessionView, "authorize_payment_session", examples.STAFF_SESSION),
    _change(sessions.CancelSessionView, "cancel_payment_session", examples.STAFF_SESSION),
    _change(sessions.SyncSessionView, "sync_payment_session", examples.STAFF_SESSION),
    _list(payments.PaymentsListView, "payments", examples.PAYMENT),
    _get(payments.PaymentView, "payment", examples.PAYMENT),
    _change(
        payments.CapturePaymentView,
        "capture_payment",
        examples.PAYMENT,
        example={"amount": "25.00"},
    ),
    _change(
        payments.RefundPaymentView,
        "refund_payment",
        examples.PAYMENT,
        example={"amount": "15.00", "refund_reason_id": examples.REASON_ID, "note": "A dent in the lid."},
    ),
    _change(payments.CancelPaymentView, "cancel_payment", examples.PAYMENT),
    _change(payments.SyncPaymentView, "sync_payment", examples.PAYMENT),
    _list(refund_reasons.RefundReasonsView, "refund_reasons", examples.REASON),
    _change(
        refund_reasons.RefundReasonsView,
        "create_refund_reason",
        examples.REASON,
        example={"label": "Damaged", "description": "It arrived broken."},
    ),
    _get(refund_reasons.RefundReasonView, "refund_reason", examples.REASON),
    _change(
        refund_reasons.RefundReasonView,
        "replace_refund_reason",
        examples.REASON,
        method="PUT",
        example={"label": "Damaged", "description": "It arrived broken."},
    ),
    _change(
        refund_reasons.RefundReasonView,
        "update_refund_reason",
        examples.REASON,
        method="PATCH",
        example={"description": "It arrived broken."},
    ),
    _operation(
        view=refund_reasons.RefundReasonView,
        method="DELETE",
        name="staff_delete_refund_reason",
        answers={204: Answer(description="It is deleted.")},
    ),
    _operation(
        view=providers.PaymentProvidersView,
        method="GET",
        name="staff_list_payment_providers",
        answers={
            200: Answer(
                description="All providers.",
                example={"results": [examples.STAFF_PROVIDER]},
            )
        },
    ),
    _change(providers.EnableProviderView, "enable_payment_provider", examples.STAFF_PROVIDER),
    _change(providers.DisableProviderView, "disable_payment_provider", examples.STAFF_PROVIDER),
    _list(operations.OperationsView, "operations", examples.OPERATION),
    _get(operations.OperationView, "operation", examples.OPERATION),
    _change(operations.CheckOperationView, "check_operation", examples.OPERATION),
    _change(
        operations.ResolveOperationView,
        "resolve_operation",
        examples.RESOLVED_OPERATION,
        example={
            "has_happened": True,
            "amount": "15.00",
            "reason": "Seen in the dashboard.",
            "evidence": "Case 7",
            "provider_reference": "re_5f2a",
        },
    ),
    _change(
        operations.CorrectOperationView,
        "correct_operation",
        examples.RESOLVED_OPERATION,
        example={"has_happened": False, "reason": "It was another order's."},
    ),
    _list(webhook_events.WebhookEventsView, "webhook_events", examples.WEBHOOK_EVENT),
    _get(webhook_events.WebhookEventView, "webhook_event", examples.WEBHOOK_EVENT),
    _change(webhook_events.ReplayWebhookEventView, "replay_webhook_event", examples.WEBHOOK_EVENT),
)
