"""Amounts of money: currencies, exact reading and writing, minor units, and a model field.

It may import Django and `payments.exceptions`, but no other part of the app.
"""

from __future__ import annotations

from payments.money.amounts import (
    ISO_4217,
    MAX_AMOUNT,
    MAX_DIGITS,
    SCALE,
    ZERO,
    MinorUnits,
    check_multiple,
    display_amount,
    exact_decimal,
    format_amount,
    from_minor_units,
    parse_amount,
    smallest_amount,
    split_amount,
    to_minor_units,
)
from payments.money.currencies import EXPONENTS, exponent, is_known, normalize_currency
from payments.money.expressions import AmountExpressionError
from payments.money.fields import AmountField

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
