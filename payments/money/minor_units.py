"""Converting amounts to the whole minor units that providers use, and back.

Most providers follow ISO 4217; the others pass their exceptions as `MinorUnits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError
from payments.money.amounts import exact_decimal, parse_amount, smallest_amount
from payments.money.currencies import exponent, normalize_currency

_CONTEXT = Context(prec=60)
_LAST_DIGIT = 10


@dataclass(frozen=True, kw_only=True)
class MinorUnits:
    """A provider's deviations from ISO 4217.

    `exponents` maps codes in lower case to the number of decimals that the provider uses instead of ISO's.
    `last_digit_zero` names the currencies whose minor units must be a multiple of ten.
    """

    exponents: Mapping[str, int] = field(default_factory=dict)
    last_digit_zero: frozenset[str] = frozenset()

    def exponent(self, currency_code: str) -> int:
        """Return how many decimals a currency has for the provider."""
        code = normalize_currency(currency_code)
        return self.exponents.get(code, exponent(code))

    def step(self, currency_code: str) -> Decimal:
        """Return the amount (major units) whose multiples the provider takes: 0.01 euros, 0.010 dinars."""
        code = normalize_currency(currency_code)
        units = _LAST_DIGIT if code in self.last_digit_zero else 1
        return max(Decimal(units).scaleb(-self.exponent(code), _CONTEXT), smallest_amount(code))


ISO_4217: Final = MinorUnits()
"""Minor units exactly as ISO 4217 defines them."""


def to_minor_units(value: Decimal, currency_code: str, *, rules: MinorUnits = ISO_4217) -> int:
    """Return an amount in the provider's whole minor units: 1000 for 10.00 euros, 1000 for 1000 yen.

    `value` is in major units, zero or more, and has no more decimals than its currency.

    Raises `AmountError`: the codes of `parse_amount`; `too_many_decimals` if the provider takes fewer decimals than the
    currency has and they aren't zero; `last_digit_not_zero` if the provider asks for multiples of ten.
    """
    code = normalize_currency(currency_code)
    scaled = parse_amount(value, code, allow_zero=True).scaleb(rules.exponent(code), _CONTEXT)
    units = int(scaled)
    if units != scaled:
        raise _too_many_decimals(code, rules.exponent(code))
    if code in rules.last_digit_zero and units % _LAST_DIGIT:
        raise AmountError(
            _("The payment provider takes %(currency)s with a last decimal of 0 only."),
            code="last_digit_not_zero",
            params={"currency": code.upper()},
        )
    return units


def from_minor_units(units: int, currency_code: str, *, rules: MinorUnits = ISO_4217) -> Decimal:
    """Return a provider's whole minor units as an amount in major units, with its currency's decimals.

    Raises `AmountError`: `invalid` if `units` isn't an `int`, `not_positive` if it is negative, `too_large`, and
    `too_many_decimals` if the result has more decimals than ISO 4217 gives the currency (5.50 Icelandic krona).
    """
    code = normalize_currency(currency_code)
    if isinstance(units, bool) or not isinstance(units, int):
        raise AmountError(_("Minor units must be a whole number."), code="invalid")
    # The range is checked on the integer, which is cheap, before it becomes a Decimal.
    exact_decimal(units // 10 ** rules.exponent(code))
    return parse_amount(Decimal(units).scaleb(-rules.exponent(code), _CONTEXT), code, allow_zero=True)


def _too_many_decimals(code: str, places: int) -> AmountError:
    return AmountError(
        _("The payment provider takes %(currency)s with at most %(decimals)s decimals."),
        code="too_many_decimals",
        params={"currency": code.upper(), "decimals": places},
    )
