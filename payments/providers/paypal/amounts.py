"""PayPal's currencies, and how it spells their amounts.

Source: https://developer.paypal.com/api/rest/reference/currency-codes/, read in November 2026. PayPal takes the
currencies below and no others, with two decimals; HUF, JPY and TWD it takes without any, though ISO 4217 gives the
forint and the New Taiwan dollar two. BRL, CNY, INR and MYR are for accounts in their own countries only, which PayPal
says itself where it refuses them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, CurrencyError, DeclinedError
from payments.money import MinorUnits, parse_amount, to_minor_units

_CODES: Final = (
    "aud brl cad chf cny czk dkk eur gbp hkd huf ils inr jpy mxn myr nok nzd php pln rub sek sgd thb twd usd"
)

CURRENCIES: Final = frozenset(_CODES.split())
"""The currencies that PayPal takes, in lower case."""

RULES: Final = MinorUnits(exponents={"huf": 0, "jpy": 0, "twd": 0})


def step(currency_code: str) -> Decimal:
    """Return the amount (major units) of which PayPal takes multiples only.

    Raises DeclinedError for a currency that PayPal doesn't take.
    """
    _require_currency(currency_code)
    return RULES.step(currency_code)


def to_value(amount: Decimal, currency_code: str) -> str:
    """Return an amount (major units) as PayPal spells it: "10.00" euros, "1000" forints.

    Raises DeclinedError for a currency that PayPal doesn't take, and for an amount with more decimals than it takes.
    """
    _require_currency(currency_code)
    try:
        units = to_minor_units(amount, currency_code, rules=RULES)
    except (AmountError, CurrencyError) as error:
        raise DeclinedError(error.message, code=error.code) from error
    return f"{Decimal(units).scaleb(-RULES.exponent(currency_code)):f}"


def from_value(value: object, currency_code: str) -> Decimal:
    """Return what PayPal spells as an amount in major units; raise AmountError or CurrencyError for nonsense."""
    if not isinstance(value, str):
        raise AmountError("PayPal's amount is no text.", code="invalid")
    return parse_amount(value, currency_code, allow_zero=True)


def _require_currency(currency_code: str) -> None:
    if currency_code not in CURRENCIES:
        raise DeclinedError(
            _("PayPal doesn't take %(currency)s. Choose another way to pay."),
            code="currency_not_supported",
            params={"currency": currency_code.upper()},
        )
