"""What the document says of the operator's API."""

from __future__ import annotations

from typing import Any, Final

from payments.api.schema import examples
from payments.api.schema.operations import Answer, Operation
from payments.api.schema.parameters import IDEMPOTENCY_KEY, list_parameters
from payments.api.serializers import OutputSerializer
from payments.api.staff import (
    collections,
    operations,
    payments,
    providers,
    refund_reasons,
    sessions,
    webhook_events,
)
from payments.states import (
    CollectionStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)

_READ: Final = frozenset({401, 403, 406, 422, 503})
_CHANGE: Final = _READ | {400, 404, 409, 411, 413, 415}
_ACT: Final = _CHANGE | {402}

_OPERATOR: Final[tuple[dict[str, list[str]], ...]] = ({"session": []},)
_CHANGING_OPERATOR: Final[tuple[dict[str, list[str]], ...]] = ({"session": [], "csrf": []},)

_OPERATION_ID: Final = {
    "operation_id": {"type": "string", "description": "The operation that tells what becomes of it."}
}


def _operation(**values: Any) -> Operation:
    is_read = values["method"] == "GET"
    defaults: dict[str, Any] = {
        "tag": "staff",
        "errors": _READ | {404} if is_read else _ACT,
        "security": _OPERATOR if is_read else _CHANGING_OPERATOR,
        "parameters": (IDEMPOTENCY_KEY,) if values["method"] == "POST" else (),
    }
    return Operation(**(defaults | values))


def _list(view: Any, name: str, row: type[OutputSerializer], example: Any, **words: Any) -> Operation:
    return _operation(
        view=view,
        method="GET",
        name=f"staff_list_{name}",
        errors=_READ | {400},
        parameters=list_parameters(view, **words),
        answers={
            200: Answer(
                row=row,
                is_page=True,
                description="A page of rows.",
                example={"next": None, "previous": None, "results": [example]},
            )
        },
    )


def _get(view: Any, name: str, row: type[OutputSerializer], example: Any) -> Operation:
    return _operation(
        view=view,
        method="GET",
        name=f"staff_get_{name}",
        answers={200: Answer(row=row, description="The row.", example=example)},
    )


def _act(view: Any, name: str, row: type[OutputSerializer], shown: Any, **values: Any) -> Operation:
    """Return what is said of a verb that a provider may leave unanswered."""
    answers = {
        200: Answer(row=row, description="The row as it is afterwards.", example=shown),
        202: Answer(
            row=row,
            extra=_OPERATION_ID,
            description="The provider has not said yet what became of it. Look at the operation, at `Location`, or at "
            "the row again, after `Retry-After` seconds.",
            example=shown | {"operation_id": examples.OPERATION_ID},
        ),
    }
    method: str = values.pop("method", "POST")
    return _operation(view=view, method=method, name=f"staff_{name}", answers=answers, **values)


def _change(view: Any, name: str, row: type[OutputSerializer], shown: Any, **values: Any) -> Operation:
    """Return what is said of a change in which no provider has a say."""
    status = values.pop("status", 200)
    method: str = values.pop("method", "POST")
    return _operation(
        view=view,
        method=method,
        name=f"staff_{name}",
        answers={status: Answer(row=row, description="The row as it is afterwards.", example=shown)},
        **({"errors": _CHANGE} | values),
    )


_COLLECTION: Final[tuple[Any, Any]] = (collections.CollectionSerializer, examples.STAFF_COLLECTION)
_SESSION: Final[tuple[Any, Any]] = (sessions.SessionSerializer, examples.STAFF_SESSION)
_PAYMENT: Final[tuple[Any, Any]] = (payments.PaymentSerializer, examples.PAYMENT)
_REASON: Final[tuple[Any, Any]] = (refund_reasons.RefundReasonSerializer, examples.REASON)
_PROVIDER: Final[tuple[Any, Any]] = (providers.ProviderSerializer, examples.STAFF_PROVIDER)
_CALL: Final[tuple[Any, Any]] = (operations.OperationSerializer, examples.OPERATION)
_EVENT: Final[tuple[Any, Any]] = (webhook_events.WebhookEventSerializer, examples.WEBHOOK_EVENT)

OPERATIONS: Final = (
    _list(collections.PaymentCollectionsView, "payment_collections", *_COLLECTION, status=CollectionStatus),
    _change(
        collections.PaymentCollectionsView,
        "create_payment_collection",
        *_COLLECTION,
        status=201,
        errors=_CHANGE - {404},
        body=collections.CreateCollectionInput,
        example={"amount": "100.00", "currency_code": "eur", "payable": {"type": "shop.order", "id": "12"}},
    ),
    _get(collections.PaymentCollectionView, "payment_collection", *_COLLECTION),
    _act(
        collections.PaymentCollectionView,
        "update_payment_collection",
        *_COLLECTION,
        method="PATCH",
        body=collections.UpdateCollectionInput,
        example={"amount": "120.00"},
    ),
    _act(collections.CancelCollectionView, "cancel_payment_collection", *_COLLECTION),
    _act(
        collections.MarkAsPaidView,
        "mark_payment_collection_as_paid",
        *_COLLECTION,
        body=collections.MarkAsPaidInput,
        example={
            "amount": "20.00",
            "received_at": "2026-11-24T09:30:00Z",
            "reference": "RF18 5390 0754",
            "note": "Two transfers.",
        },
    ),
    _list(sessions.PaymentSessionsView, "payment_sessions", *_SESSION, status=SessionStatus),
    _get(sessions.PaymentSessionView, "payment_session", *_SESSION),
    _act(sessions.AuthorizeSessionView, "authorize_payment_session", *_SESSION),
    _act(sessions.CancelSessionView, "cancel_payment_session", *_SESSION),
    _act(sessions.SyncSessionView, "sync_payment_session", *_SESSION),
    _list(payments.PaymentsListView, "payments", *_PAYMENT, status=PaymentStatus),
    _get(payments.PaymentView, "payment", *_PAYMENT),
    _act(
        payments.CapturePaymentView,
        "capture_payment",
        *_PAYMENT,
        body=payments.CaptureInput,
        example={"amount": "25.00"},
    ),
    _act(
        payments.RefundPaymentView,
        "refund_payment",
        *_PAYMENT,
        body=payments.RefundInput,
        example={"amount": "15.00", "refund_reason_id": examples.REASON_ID, "note": "A dent in the lid."},
    ),
    _act(payments.CancelPaymentView, "cancel_payment", *_PAYMENT),
    _act(payments.SyncPaymentView, "sync_payment", *_PAYMENT),
    _list(refund_reasons.RefundReasonsView, "refund_reasons", *_REASON),
    _change(
        refund_reasons.RefundReasonsView,
        "create_refund_reason",
        *_REASON,
        status=201,
        errors=_CHANGE - {404},
        body=refund_reasons.RefundReasonInput,
        example={"label": "Damaged", "description": "It arrived broken."},
    ),
    _get(refund_reasons.RefundReasonView, "refund_reason", *_REASON),
    _change(
        refund_reasons.RefundReasonView,
        "replace_refund_reason",
        *_REASON,
        method="PUT",
        body=refund_reasons.RefundReasonInput,
        example={"label": "Damaged", "description": "It arrived broken."},
    ),
    _change(
        refund_reasons.RefundReasonView,
        "update_refund_reason",
        *_REASON,
        method="PATCH",
        body=refund_reasons.RefundReasonChanges,
        example={"description": "It arrived broken."},
    ),
    _operation(
        view=refund_reasons.RefundReasonView,
        method="DELETE",
        name="staff_delete_refund_reason",
        errors=_READ | {404, 409},
        answers={204: Answer(description="It is deleted.")},
    ),
    _operation(
        view=providers.PaymentProvidersView,
        method="GET",
        name="staff_list_payment_providers",
        errors=_READ,
        answers={
            200: Answer(
                row=providers.ProviderSerializer,
                is_list=True,
                description="All providers.",
                example={"results": [examples.STAFF_PROVIDER]},
            )
        },
    ),
    _change(providers.EnableProviderView, "enable_payment_provider", *_PROVIDER),
    _change(providers.DisableProviderView, "disable_payment_provider", *_PROVIDER),
    _list(operations.OperationsView, "operations", *_CALL, status=OperationStatus, kind=OperationKind),
    _get(operations.OperationView, "operation", *_CALL),
    _change(operations.CheckOperationView, "check_operation", *_CALL),
    _change(
        operations.ResolveOperationView,
        "resolve_operation",
        operations.OperationSerializer,
        examples.RESOLVED_OPERATION,
        body=operations.ResolveInput,
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
        operations.OperationSerializer,
        examples.RESOLVED_OPERATION,
        body=operations.ResolveInput,
        example={"has_happened": False, "reason": "It was another order's."},
    ),
    _list(webhook_events.WebhookEventsView, "webhook_events", *_EVENT, status=WebhookEventStatus),
    _get(webhook_events.WebhookEventView, "webhook_event", *_EVENT),
    _change(webhook_events.ReplayWebhookEventView, "replay_webhook_event", *_EVENT),
)
