"""Stripe's rules about amounts (https://docs.stripe.com/currencies)."""

from __future__ import annotations

from typing import Final

from tests.stripe.fake.wire import ApiError

_WHOLE: Final = frozenset({"isk", "ugx"})
_THREE_DECIMALS: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
_LEAST: Final = {"eur": 50, "usd": 50, "gbp": 30, "jpy": 50}
LARGEST: Final = 99_999_999


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that can't be charged."""
    check_units(amount, currency)
    if amount > LARGEST:
        raise ApiError("Amount must be no more than 999,999.99", code="amount_too_large", param="amount")
    if amount < _LEAST.get(currency, 1):
        raise ApiError("Amount must be at least 50 cents", code="amount_too_small", param="amount")


def check_units(amount: int, currency: str) -> None:
    """Refuse an amount that its currency can't have."""
    if currency in _WHOLE and amount % 100:
        raise ApiError(
            f"Invalid amount. Currency {currency.upper()} has become effectively zero-decimal and charged amounts must "
            "be evenly divisible by 100.",
            code="invalid_charge_amount_no_decimal_compatible",
            param="amount",
        )
    if currency in _THREE_DECIMALS and amount % 10:
        raise ApiError("The least-significant digit must be 0.", code="invalid_charge_amount", param="amount")
