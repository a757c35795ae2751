"""From our requests to PayPal's parameters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from payments.exceptions import DeclinedError
from payments.providers.paypal.amounts import to_value
from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.references import canceled_mark, refund_mark
from payments.providers.requests import (
    CancelRequest,
    CaptureRequest,
    InitiateRequest,
    ProviderRequest,
    RefundRequest,
    UpdateRequest,
)

Json = dict[str, Any]

LONGEST_DESCRIPTION: Final = 127

_UNIT: Final = "/purchase_units/@reference_id=='default'"


def order_id(request: ProviderRequest) -> str:
    """Return the order's id; nobody knows of a session's order before it is initiated."""
    if not request.provider_reference:
        raise DeclinedError("The payment isn't known to PayPal.", code="not_initiated")
    return request.provider_reference


def create_order(request: InitiateRequest, options: PayPalOptions) -> Json:
    """Return how to make an order."""
    unit = {
        "amount": money(request.amount, request.currency_code),
        "custom_id": request.session_id,
        "invoice_id": request.session_id,
    }
    if request.context.description:
        unit["description"] = request.context.description[:LONGEST_DESCRIPTION]
    if options.soft_descriptor:
        unit["soft_descriptor"] = options.soft_descriptor
    return {
        "intent": options.intent.upper(),
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": _experience(request, options)}},
    }


def update_order(request: UpdateRequest) -> list[Json]:
    """Return how to change an order's amount."""
    amount = money(request.amount, request.currency_code)
    return [{"op": "replace", "path": f"{_UNIT}/amount", "value": amount}]


def abandon_order(request: CancelRequest) -> list[Json]:
    """Return how to write on an order that it isn't to be authorized any more: PayPal can't cancel one."""
    mark = canceled_mark(request.session_id)
    return [{"op": "replace", "path": f"{_UNIT}/custom_id", "value": mark}]


def capture(request: CaptureRequest, options: PayPalOptions, *, keeps_rest: bool) -> Json:
    """Return how to take a part of what is held."""
    body = {
        "amount": money(request.amount, request.currency_code),
        "invoice_id": request.operation_id,
        "final_capture": not keeps_rest,
    }
    if options.soft_descriptor:
        body["soft_descriptor"] = options.soft_descriptor
    return body


def refund(request: RefundRequest, amount: Decimal, *, total: Decimal | None) -> Json:
    """Return how to give back `amount` of one capture; `total` is given where that is only a part of the refund.

    Why money goes back is for operators, so it isn't sent: PayPal would show it to the payer.
    """
    return {
        "amount": money(amount, request.currency_code),
        "custom_id": refund_mark(request.session_id, request.operation_id, total=total),
    }


def money(amount: Decimal, currency_code: str) -> Json:
    """Return an amount as PayPal takes it; raise DeclinedError for one that it can't take."""
    return {"currency_code": currency_code.upper(), "value": to_value(amount, currency_code)}


def _experience(request: InitiateRequest, options: PayPalOptions) -> Json:
    """Return what the payer sees at PayPal, and where they go afterwards."""
    experience = {
        "user_action": "PAY_NOW",
        "shipping_preference": options.shipping_preference,
        "payment_method_preference": options.payment_method_preference,
    }
    if options.brand_name:
        experience["brand_name"] = options.brand_name
    if request.context.return_url:
        experience["return_url"] = experience["cancel_url"] = request.context.return_url
    return experience
