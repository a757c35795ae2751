"""Minor units, as ISO 4217 and as a provider with exceptions count them."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.exceptions import AmountError, CurrencyError
from payments.money import (
    EXPONENTS,
    ISO_4217,
    MAX_AMOUNT,
    MinorUnits,
    from_minor_units,
    parse_amount,
    to_minor_units,
)

pytestmark = pytest.mark.database_independent

# As https://docs.stripe.com/currencies describes it: two decimals for ISK and UGX for old times' sake, none for
# MGA, and a last digit of 0 for currencies with three decimals.
EXCEPTIONS = MinorUnits(
    exponents={"isk": 2, "ugx": 2, "mga": 0}, last_digit_zero=frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
)


@pytest.mark.parametrize(
    ("value", "code", "units"),
    [
        ("10.00", "eur", 1000),
        ("10.5", "EUR", 1050),
        ("1000", "jpy", 1000),
        ("1.234", "kwd", 1234),
        ("0", "eur", 0),
    ],
)
def test_minor_units_follow_iso_4217(value: str, code: str, units: int) -> None:
    assert to_minor_units(Decimal(value), code) == units
    assert from_minor_units(units, code) == Decimal(value)


@pytest.mark.parametrize(
    ("value", "code", "units"),
    [("5", "isk", 500), ("5", "ugx", 500), ("12", "mga", 12), ("5.120", "kwd", 5120), ("5.12", "usd", 512)],
)
def test_providers_exceptions_are_followed(value: str, code: str, units: int) -> None:
    assert to_minor_units(Decimal(value), code, rules=EXCEPTIONS) == units
    back = from_minor_units(units, code, rules=EXCEPTIONS)
    assert (back, back.as_tuple().exponent) == (Decimal(value), -EXPONENTS[code])


@given(st.integers(1, 99_999), st.sampled_from(sorted(EXPONENTS)), st.sampled_from([ISO_4217, EXCEPTIONS]))
def test_multiples_of_the_step_are_taken_and_nothing_between(
    times: int, code: str, rules: MinorUnits
) -> None:
    step = rules.step(code)
    assert to_minor_units(times * step, code, rules=rules) > 0
    for fraction in (Decimal("0.5"), Decimal("0.1")):
        with pytest.raises(AmountError):
            to_minor_units((times + fraction) * step, code, rules=rules)


@pytest.mark.parametrize(
    ("value", "code", "error"),
    [
        ("5.124", "kwd", "last_digit_not_zero"),
        ("10.50", "mga", "too_many_decimals"),
        ("5.5", "isk", "too_many_decimals"),
        ("-1", "eur", "not_positive"),
        ("0.001", "eur", "too_many_decimals"),
        ("NaN", "eur", "not_finite"),
    ],
)
def test_amount_that_the_provider_can_not_take_is_refused(value: str, code: str, error: str) -> None:
    with pytest.raises(AmountError) as caught:
        to_minor_units(Decimal(value), code, rules=EXCEPTIONS)
    assert caught.value.code == error


@pytest.mark.parametrize(
    ("units", "code", "error"),
    [
        (550, "isk", "too_many_decimals"),
        (-1, "eur", "not_positive"),
        (True, "eur", "invalid"),
        (10.0, "eur", "invalid"),
        ("1000", "eur", "invalid"),
        (None, "eur", "invalid"),
        (10**30, "eur", "too_large"),
        (1 << 10_000_000, "jpy", "too_large"),
    ],
    ids=["half a krona", "negative", "bool", "float", "string", "none", "large", "monstrous"],
)
def test_units_that_are_no_amount_are_refused(units: Any, code: str, error: str) -> None:
    with pytest.raises(AmountError) as caught:
        from_minor_units(units, code, rules=EXCEPTIONS)
    assert caught.value.code == error


def test_unknown_currency_is_refused_both_ways() -> None:
    with pytest.raises(CurrencyError):
        to_minor_units(Decimal(1), "xyz")
    with pytest.raises(CurrencyError):
        from_minor_units(1, "xyz")


def test_rules_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXCEPTIONS.last_digit_zero = frozenset()  # type: ignore[misc]


@given(st.sampled_from(sorted(EXPONENTS)), st.data(), st.sampled_from([MinorUnits(), EXCEPTIONS]))
def test_minor_units_come_back_as_the_same_amount(code: str, data: st.DataObject, rules: MinorUnits) -> None:
    largest = int(MAX_AMOUNT * 10 ** EXPONENTS[code])
    amount = parse_amount(Decimal(data.draw(st.integers(1, largest))).scaleb(-EXPONENTS[code]), code)
    try:
        units = to_minor_units(amount, code, rules=rules)
    except AmountError as error:
        assert rules is EXCEPTIONS
        assert error.code in {"last_digit_not_zero", "too_many_decimals"}
        return
    assert units == amount * 10 ** rules.exponent(code)
    assert str(from_minor_units(units, code, rules=rules)) == str(amount)
