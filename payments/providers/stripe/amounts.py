"""Stripe's own rules about minor units, where they aren't ISO 4217's.

Source: https://docs.stripe.com/currencies, sections “Zero-decimal currencies”, “Three-decimal currencies” and “Special
cases”, read in November 2026:

* MGA counts as zero-decimal, though ISO gives it two decimals.
* ISK and UGX are zero-decimal, but have to be sent with two decimals that are always 00: 5 UGX are 500. (UGX is also
  in the page's zero-decimal list; the special case is what the API does: a request for 5 UGX as 5 is refused.)
* BHD, JOD, KWD, OMR and TND have three decimals, the last of which must be 0: 5.124 KWD has to become 5.120 or 5.130.
* HUF and TWD are only special for payouts, which the shop doesn't make here.

All other currencies that Stripe takes have ISO's decimals. Which ones it takes depends on the account, so Stripe says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from payments.exceptions import AmountError, CurrencyError, DeclinedError
from payments.money import MinorUnits, from_minor_units, to_minor_units

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

    Raises AmountError for what is no whole number, and CurrencyError.
    """
    try:
        return from_minor_units(units, currency_code, rules=RULES)
    except AmountError:
        if not isinstance(units, int):
            raise
        return Decimal(units).scaleb(-RULES.exponent(currency_code))
