"""Every address of the API with a body that it takes, for the tests that try something everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from payments.models import Payment, PaymentOperation
from payments.testing.factories import AccountHolderFactory, RefundReasonFactory, WebhookEventFactory


@dataclass(frozen=True, kw_only=True)
class Route:
    """Say how one thing is asked for; `path` is below the API's root."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


STOREFRONT = (
    Route(method="GET", path="storefront/payment-providers/"),
    Route(method="GET", path="storefront/payment-providers/scripted/saved-payment-methods/"),
    Route(
        method="POST",
        path="storefront/payment-providers/scripted/saved-payment-methods/",
        body={"return_url": "http://testserver/back"},
    ),
    Route(method="DELETE", path="storefront/payment-providers/scripted/saved-payment-methods/{method}/"),
    Route(method="POST", path="storefront/payment-collections/", body={"reference": "A-1"}),
    Route(method="GET", path="storefront/payment-collections/{collection}/"),
    Route(
        method="POST",
        path="storefront/payment-collections/{collection}/payment-sessions/",
        body={
            "provider_id": "scripted",
            "amount": "1.00",
            "data": {"token": "t"},
            "return_url": "http://testserver/back",
        },
    ),
    Route(method="GET", path="storefront/payment-sessions/{session}/"),
    Route(
        method="PATCH",
        path="storefront/payment-sessions/{session}/",
        body={"amount": "1.00", "data": {"code": "1"}},
    ),
    Route(
        method="POST", path="storefront/payment-sessions/{session}/authorize/", body={"data": {"token": "t"}}
    ),
    Route(method="POST", path="storefront/payment-sessions/{session}/cancel/", body={}),
)

STAFF = (
    Route(method="GET", path="staff/payment-collections/"),
    Route(
        method="POST",
        path="staff/payment-collections/",
        body={
            "amount": "1.00",
            "currency_code": "eur",
            "payable": {"type": "shop.order", "id": "{order}"},
            "customer_id": "{customer}",
            "description": "Order 12",
            "metadata": {"note": "n", "nested": {"list": ["x"]}},
        },
    ),
    Route(method="GET", path="staff/payment-collections/{collection}/"),
    Route(method="PATCH", path="staff/payment-collections/{collection}/", body={"amount": "120.00"}),
    Route(method="POST", path="staff/payment-collections/{collection}/cancel/", body={}),
    Route(
        method="POST",
        path="staff/payment-collections/{collection}/mark-as-paid/",
        body={"amount": "1.00", "received_at": "2026-01-01T00:00:00Z", "reference": "r", "note": "n"},
    ),
    Route(method="GET", path="staff/payment-sessions/"),
    Route(method="GET", path="staff/payment-sessions/{session}/"),
    Route(method="POST", path="staff/payment-sessions/{session}/authorize/", body={}),
    Route(method="POST", path="staff/payment-sessions/{session}/cancel/", body={}),
    Route(method="POST", path="staff/payment-sessions/{session}/sync/", body={}),
    Route(method="GET", path="staff/payments/"),
    Route(method="GET", path="staff/payments/{payment}/"),
    Route(
        method="POST",
        path="staff/payments/{payment}/capture/",
        body={"amount": "1.00", "metadata": {"till": 4}, "despite_unclear": True},
    ),
    Route(
        method="POST",
        path="staff/payments/{payment}/refund/",
        body={
            "amount": "1.00",
            "refund_reason_id": "{reason}",
            "note": "a dent",
            "metadata": {"ticket": "T-1"},
            "despite_unclear": True,
        },
    ),
    Route(method="POST", path="staff/payments/{payment}/cancel/", body={}),
    Route(method="POST", path="staff/payments/{payment}/sync/", body={}),
    Route(method="GET", path="staff/refund-reasons/"),
    Route(
        method="POST",
        path="staff/refund-reasons/",
        body={"label": "Late", "description": "d", "metadata": {"note": "n"}},
    ),
    Route(method="GET", path="staff/refund-reasons/{reason}/"),
    Route(
        method="PUT",
        path="staff/refund-reasons/{reason}/",
        body={"label": "Lost", "description": "d", "metadata": {"note": "n"}},
    ),
    Route(method="PATCH", path="staff/refund-reasons/{reason}/", body={"description": "d"}),
    Route(method="GET", path="staff/payment-providers/"),
    Route(method="POST", path="staff/payment-providers/system/enable/", body={}),
    Route(method="POST", path="staff/payment-providers/system/disable/", body={}),
    Route(method="GET", path="staff/operations/"),
    Route(method="GET", path="staff/operations/{operation}/"),
    Route(method="POST", path="staff/operations/{operation}/check/", body={}),
    Route(
        method="POST",
        path="staff/operations/{operation}/resolve/",
        body={
            "has_happened": True,
            "reason": "r",
            "evidence": "e",
            "provider_reference": "p",
            "accept_excess": True,
        },
    ),
    Route(
        method="POST",
        path="staff/operations/{operation}/correct/",
        body={"has_happened": True, "amount": "90.00", "reason": "r", "evidence": "e"},
    ),
    Route(method="GET", path="staff/webhook-events/"),
    Route(method="GET", path="staff/webhook-events/{event}/"),
    Route(method="POST", path="staff/webhook-events/{event}/replay/", body={}),
    Route(method="DELETE", path="staff/refund-reasons/{reason}/"),
)

MONITORING = (Route(method="GET", path="health/"), Route(method="GET", path="metrics/"))

ROUTES = (*STOREFRONT, *STAFF, *MONITORING)


def keys_of(payment: Payment) -> dict[str, str]:
    """Return what the routes are filled with, around one payment; the rows that are missing are made."""
    operation = PaymentOperation.objects.filter(session=payment.session, kind="authorize").first()
    return {
        "collection": payment.collection_id,
        "session": payment.session_id,
        "payment": payment.pk,
        "order": str(payment.collection.payable_id),
        "customer": str(payment.collection.customer_id),
        "reason": RefundReasonFactory.create().pk,
        "operation": "payop_0" if operation is None else operation.pk,
        "event": WebhookEventFactory.create(session=payment.session).pk,
        "method": _saved_method(payment),
    }


def _saved_method(payment: Payment) -> str:
    """Return what the payer has saved with the scripted provider, whose cards have such ids."""
    customer = payment.collection.customer
    if customer is None:
        return "card_of_nobody"
    holder = AccountHolderFactory.create(provider=payment.provider, customer=customer)
    return f"card_of_{holder.provider_reference}"


def filled(value: Any, keys: dict[str, str]) -> Any:
    """Return a path or a body with the keys in the places that are kept for them."""
    if isinstance(value, str):
        return value.format_map(keys) if "{" in value else value
    if isinstance(value, dict):
        return {name: filled(inner, keys) for name, inner in value.items()}
    return [filled(inner, keys) for inner in value] if isinstance(value, list) else value
