"""Our requests as Stripe's parameters, typed as Stripe's library types them, and amounts as Stripe counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, CurrencyError, DeclinedError
from payments.money import MinorUnits, from_minor_units, to_minor_units
from payments.providers.requests import (
    AuthorizeRequest,
    CancelRequest,
    CaptureRequest,
    InitiateRequest,
    ProviderRequest,
    RefundRequest,
    UpdateRequest,
)
from payments.providers.stripe.client import SESSION_KEY
from payments.providers.stripe.options import StripeOptions

if TYPE_CHECKING:
    from stripe import params as p


LONGEST_VALUE: Final = 500
"""How long a value in metadata may be, in characters (https://docs.stripe.com/api/metadata)."""

LONGEST_DESCRIPTION: Final = 1000

COLLECTION_KEY: Final = "payment_collection"
OPERATION_KEY: Final = "payment_operation"
RETURN_URL_KEY: Final = "payment_return_url"
REFUND_KEY: Final = "payment_refund"
CAPTURE_PREFIX: Final = "capture_"
"""With our operation's id behind it, a key is as long as Stripe allows: 40 characters."""

REFUND_REASONS: Final = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
"""Stripe takes no other reasons (https://docs.stripe.com/api/refunds/create)."""

# Stripe's own rules, where they aren't ISO 4217's. Source: https://docs.stripe.com/currencies, sections “Zero-decimal
# currencies”, “Three-decimal currencies” and “Special cases”, read in November 2026:
#
# * MGA counts as zero-decimal, though ISO gives it two decimals.
# * ISK and UGX are zero-decimal, but have to be sent with two decimals that are always 00: 5 UGX are 500. (UGX is also
#   in the page's zero-decimal list; the special case is what the API does: a request for 5 UGX as 5 is refused.)
# * BHD, JOD, KWD, OMR and TND have three decimals, the last of which must be 0: 5.124 KWD has to become 5.120 or 5.130.
# * HUF and TWD are only special for payouts, which the shop doesn't make here.
#
# Which of the other currencies Stripe takes depends on the account, so Stripe says.
RULES: Final = MinorUnits(
    exponents={"isk": 2, "mga": 0, "ugx": 2},
    last_digit_zero=frozenset({"bhd", "jod", "kwd", "omr", "tnd"}),
)


def to_units(amount: Decimal, currency_code: str) -> int:
    """Return an amount (major units) as Stripe counts it; raise DeclinedError for one that Stripe can't take."""
    try:
        return to_minor_units(amount, currency_code, rules=RULES)
    except (AmountError, CurrencyError) as error:
        raise DeclinedError(error.message, code=error.code) from error


def from_units(units: int, currency_code: str) -> Decimal:
    """Return what Stripe counts as an amount in major units, also one that its currency can't have: that is a fact too.

    Raises AmountError for what isn't a whole number, and CurrencyError.
    """
    try:
        return from_minor_units(units, currency_code, rules=RULES)
    except AmountError:
        if not isinstance(units, int):
            raise
        return Decimal(units).scaleb(-RULES.exponent(currency_code))


def intent_id(request: ProviderRequest) -> str:
    """Return the intent's id; a session has none before it is initiated."""
    if not request.provider_reference:
        raise DeclinedError("The payment isn't known to Stripe.", code="not_initiated")
    return request.provider_reference


def create_intent(request: InitiateRequest, options: StripeOptions) -> p.PaymentIntentCreateParams:
    """Return how to make an intent."""
    params: p.PaymentIntentCreateParams = {
        "amount": _units(request),
        "currency": request.currency_code,
        "capture_method": options.capture_method,
        "metadata": _metadata(request),
    }
    _choose_methods(params, request, options)
    if request.context.account_reference:
        params["customer"] = request.context.account_reference
        if options.setup_future_usage:
            params["setup_future_usage"] = options.setup_future_usage
    if request.context.description:
        params["description"] = request.context.description[:LONGEST_DESCRIPTION]
    if method := _early_method(request.input):
        params["payment_method"] = method
    return params


def as_guest(request: InitiateRequest) -> InitiateRequest:
    """Return the same request for a payer who has no Customer at Stripe; it needs a key of its own."""
    context = replace(request.context, account_reference=None)
    return replace(request, context=context, idempotency_key=f"{request.idempotency_key}-guest")


def update_intent(request: UpdateRequest) -> p.PaymentIntentUpdateParams:
    """Return how to change an intent's amount, and what the payer has chosen to pay with."""
    params: p.PaymentIntentUpdateParams = {"amount": _units(request)}
    if method := _early_method(request.input):
        params["payment_method"] = method
    return params


def confirm_intent(request: AuthorizeRequest) -> p.PaymentIntentConfirmParams:
    """Return how to confirm an intent with what the payer sent, if anything, or has saved.

    Nothing is saved for somebody who isn't the intent's Customer, whatever the intent was made with.
    """
    params: p.PaymentIntentConfirmParams = {}
    if request.saved_method:
        params["payment_method"] = request.saved_method
        params["off_session"] = True
    elif request.input.get("confirmation_token"):
        params["confirmation_token"] = str(request.input["confirmation_token"])
    elif request.input.get("payment_method"):
        params["payment_method"] = str(request.input["payment_method"])
    if request.refuses_saved:
        params["setup_future_usage"] = ""
    if request.provider_data.get("return_url"):
        params["return_url"] = request.provider_data["return_url"]
    return params


def capture_intent(request: CaptureRequest, *, keeps_rest: bool) -> p.PaymentIntentCaptureParams:
    """Return how to take a part of what an intent holds, noting on it which operation took how much."""
    units = _units(request)
    params: p.PaymentIntentCaptureParams = {
        "amount_to_capture": units,
        "metadata": {f"{CAPTURE_PREFIX}{request.operation_id}": str(units)},
    }
    if keeps_rest:
        params["final_capture"] = False
    return params


def cancel_intent(request: CancelRequest) -> p.PaymentIntentCancelParams:
    """Return how to cancel an intent; none of Stripe's reasons fits a merchant's releasing an authorization."""
    return {"cancellation_reason": "abandoned"} if request.payment_id is None else {}


def create_refund(request: RefundRequest) -> p.RefundCreateParams:
    """Return how to give money back."""
    params: p.RefundCreateParams = {
        "payment_intent": intent_id(request),
        "amount": _units(request),
        "metadata": {
            SESSION_KEY: request.session_id,
            REFUND_KEY: request.refund_id,
            OPERATION_KEY: request.operation_id,
        },
    }
    reason = (request.reason or "").strip().lower().replace(" ", "_")
    if reason in REFUND_REASONS:
        params["reason"] = reason
    return params


def _choose_methods(
    params: p.PaymentIntentCreateParams, request: InitiateRequest, options: StripeOptions
) -> None:
    """Add how payers may pay, and what of it they see on their statements."""
    if options.payment_method_types:
        params["allowed_payment_method_types"] = list(options.payment_method_types)
    else:
        redirects = "always" if request.context.return_url else "never"
        params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": redirects}
    if options.multicapture:
        params["payment_method_options"] = {"card": {"request_multicapture": "if_available"}}
    if options.statement_descriptor:
        params["statement_descriptor"] = options.statement_descriptor
    if options.statement_descriptor_suffix:
        params["statement_descriptor_suffix"] = options.statement_descriptor_suffix


def _metadata(request: InitiateRequest) -> dict[str, str]:
    values = {
        SESSION_KEY: request.session_id,
        COLLECTION_KEY: request.collection_id,
        OPERATION_KEY: request.operation_id,
    }
    return_url = request.context.return_url
    if return_url and len(return_url) <= LONGEST_VALUE:
        values[RETURN_URL_KEY] = return_url
    return values


def _early_method(sent: Mapping[str, Any]) -> str | None:
    """Return what the payer has chosen before authorizing; a confirmation token only serves to authorize."""
    if sent.get("confirmation_token"):
        raise DeclinedError(
            _("A confirmation token is sent when the session is authorized, not before."),
            code="confirmation_token_too_early",
        )
    return str(sent["payment_method"]) if sent.get("payment_method") else None


def _units(request: ProviderRequest) -> int:
    return to_units(request.amount, request.currency_code)
