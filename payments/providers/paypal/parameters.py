"""Our requests as PayPal's parameters, and amounts as PayPal spells them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, CurrencyError, DeclinedError
from payments.money import MinorUnits, parse_amount, to_minor_units
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

# Source: https://developer.paypal.com/api/rest/reference/currency-codes/, read in November 2026. PayPal takes these
# currencies and no others, with two decimals; HUF, JPY and TWD it takes without any, though ISO 4217 gives the forint
# and the New Taiwan dollar two. BRL, CNY, INR and MYR are for accounts in their own countries only, which PayPal says
# itself where it refuses them.
_CODES: Final = (
    "aud brl cad chf cny czk dkk eur gbp hkd huf ils inr jpy mxn myr nok nzd php pln rub sek sgd thb twd usd"
)

CURRENCIES: Final = frozenset(_CODES.split())
"""The currencies that PayPal takes, in lower case."""

RULES: Final = MinorUnits(exponents={"huf": 0, "jpy": 0, "twd": 0})


def order_id(request: ProviderRequest) -> str:
    """Return the order's id; a session has none before it is initiated."""
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
    """Return how to mark an order as not to be authorized any longer: PayPal can't cancel one."""
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


def amount_step(currency_code: str) -> Decimal:
    """Return the amount (major units) of which PayPal takes multiples only.

    Raises DeclinedError for a currency that PayPal doesn't take.
    """
    _check_currency(currency_code)
    return RULES.step(currency_code)


def to_value(amount: Decimal, currency_code: str) -> str:
    """Return an amount (major units) as PayPal spells it: "10.00" euros, "1000" forints.

    Raises DeclinedError for a currency that PayPal doesn't take, and for an amount with more decimals than it takes.
    """
    _check_currency(currency_code)
    try:
        units = to_minor_units(amount, currency_code, rules=RULES)
    except (AmountError, CurrencyError) as error:
        raise DeclinedError(error.message, code=error.code) from error
    return f"{Decimal(units).scaleb(-RULES.exponent(currency_code)):f}"


def from_value(value: object, currency_code: str) -> Decimal:
    """Return what PayPal spells as an amount in major units; raise AmountError or CurrencyError for nonsense."""
    if not isinstance(value, str):
        raise AmountError("PayPal's amount is not a text.", code="invalid")
    return parse_amount(value, currency_code, allow_zero=True)


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


def _check_currency(currency_code: str) -> None:
    if currency_code not in CURRENCIES:
        raise DeclinedError(
            _("PayPal doesn't take %(currency)s. Choose another way to pay."),
            code="currency_not_supported",
            params={"currency": currency_code.upper()},
        )
