"""Amounts of money: currencies, exact reading and writing, minor units, and a model field.

It may import Django and `payments.exceptions`, but no other part of the app.
"""

from __future__ import annotations

from payments.money.amounts import (
    MAX_AMOUNT,
    MAX_DIGITS,
    SCALE,
    ZERO,
    check_multiple,
    display_amount,
    exact_decimal,
    format_amount,
    parse_amount,
    smallest_amount,
    split_amount,
)
from payments.money.currencies import EXPONENTS, exponent, is_known, normalize_currency
from payments.money.expressions import AmountExpressionError
from payments.money.fields import AmountField
from payments.money.minor_units import ISO_4217, MinorUnits, from_minor_units, to_minor_units

__all__ = [
    "EXPONENTS",
    "ISO_4217",
    "MAX_AMOUNT",
    "MAX_DIGITS",
    "SCALE",
    "ZERO",
    "AmountExpressionError",
    "AmountField",
    "MinorUnits",
    "check_multiple",
    "display_amount",
    "exact_decimal",
    "exponent",
    "format_amount",
    "from_minor_units",
    "is_known",
    "normalize_currency",
    "parse_amount",
    "smallest_amount",
    "split_amount",
    "to_minor_units",
]
