"""Reading, writing and dividing amounts."""

from __future__ import annotations

import decimal
import time
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from payments.exceptions import AmountError, CurrencyError, InputError
from payments.money import (
    EXPONENTS,
    MAX_AMOUNT,
    check_multiple,
    display_amount,
    exact_decimal,
    exponent,
    format_amount,
    parse_amount,
    smallest_amount,
    split_amount,
)

pytestmark = pytest.mark.database_independent

currencies = st.sampled_from(sorted(EXPONENTS))


@st.composite
def money(draw: st.DrawFn) -> tuple[Decimal, str]:
    """Draw a positive amount and its currency."""
    code = draw(currencies)
    largest = int(MAX_AMOUNT * 10 ** EXPONENTS[code])
    return Decimal(draw(st.integers(1, largest))).scaleb(-EXPONENTS[code]), code


@pytest.mark.parametrize(
    ("value", "code", "amount"),
    [
        ("10.00", "eur", "10.00"),
        ("10", "EUR", "10.00"),
        (10, "eur", "10.00"),
        (Decimal("1E+1"), "eur", "10.00"),
        (Decimal("10.0000"), "eur", "10.00"),
        ("1000", "jpy", "1000"),
        (Decimal("1000.0000"), "jpy", "1000"),
        ("1.234", "kwd", "1.234"),
        ("0.0001", "clf", "0.0001"),
        ("0.01", "usd", "0.01"),
        ("99999999999999.99", "usd", "99999999999999.99"),
    ],
)
def test_amount_is_read_with_its_currencys_decimals(value: Any, code: str, amount: str) -> None:
    assert str(parse_amount(value, code)) == amount


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "invalid"),
        (" 10", "invalid"),
        ("10 ", "invalid"),
        ("10.00\n", "invalid"),
        ("10,00", "invalid"),
        ("1,000.00", "invalid"),
        ("1_000", "invalid"),
        ("１２", "invalid"),
        ("٣", "invalid"),
        ("+10", "invalid"),
        (".5", "invalid"),
        ("5.", "invalid"),
        ("0x10", "invalid"),
        ("1e2", "invalid"),
        ("1E-2", "invalid"),
        ("1e-99999999999999999999", "invalid"),
        ("ten", "invalid"),
        (True, "invalid"),
        (None, "invalid"),
        (b"10", "invalid"),
        ([10], "invalid"),
        (10.0, "float_not_allowed"),
        (float("nan"), "float_not_allowed"),
        ("NaN", "not_finite"),
        ("nan", "not_finite"),
        ("Infinity", "not_finite"),
        ("-inf", "not_finite"),
        (Decimal("NaN"), "not_finite"),
        (Decimal("sNaN"), "not_finite"),
        (Decimal("-Infinity"), "not_finite"),
        ("0", "not_positive"),
        ("0.00", "not_positive"),
        ("-0", "not_positive"),
        (Decimal("-0.00"), "not_positive"),
        (Decimal("0E+999999999"), "not_positive"),
        ("-5", "not_positive"),
        (-5, "not_positive"),
        ("10.001", "too_many_decimals"),
        (Decimal("1E-999999999"), "too_many_decimals"),
        ("1e400", "too_large"),
        ("1E+15", "too_large"),
        ("1e999999999", "too_large"),
        ("1e99999999999999999999999", "too_large"),
        (Decimal("1e400"), "too_large"),
        (Decimal("1E+999999999"), "too_large"),
        ("100000000000000", "too_large"),
        (10**15, "too_large"),
        ("9" * 5000, "too_large"),
    ],
)
def test_what_is_no_amount_is_refused_with_a_stable_code(value: Any, code: str) -> None:
    with pytest.raises(AmountError) as caught:
        parse_amount(value, "eur")
    assert (caught.value.code, caught.value.field) == (code, "amount")


@pytest.mark.parametrize(
    "value",
    [
        "1e999999999",
        Decimal("1E+999999999"),
        Decimal("1E-999999999"),
        "9" * 1_000_000,
        "0." + "0" * 1_000_000 + "1",
        1 << 10_000_000,
    ],
    ids=["string", "decimal", "tiny", "digits", "decimals", "int"],
)
def test_monstrous_numbers_are_refused_at_once_and_not_repeated(value: Any) -> None:
    started = time.process_time()
    with pytest.raises(AmountError) as caught:
        parse_amount(value, "eur")
    assert time.process_time() - started < 0.5
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("10.5", "jpy", "An amount in JPY has at most 0 decimals."),
        ("0.001", "usd", "An amount in USD has at most 2 decimals."),
        ("1.2345", "kwd", "An amount in KWD has at most 3 decimals."),
        ("1.23456", "clf", "An amount in CLF has at most 4 decimals."),
    ],
)
def test_too_many_decimals_names_the_currency_and_how_many_it_has(
    value: str, code: str, message: str
) -> None:
    with pytest.raises(AmountError) as caught:
        parse_amount(value, code)
    assert caught.value.message == message


def test_error_names_the_field_that_the_caller_names() -> None:
    with pytest.raises(AmountError) as caught:
        parse_amount("x", "eur", field="total")
    assert caught.value.field == "total"


def test_unknown_currency_is_refused_before_the_amount_is_read() -> None:
    with pytest.raises(CurrencyError):
        parse_amount("x", "xyz")


@pytest.mark.parametrize("value", ["0", "-0", 0, Decimal("-0.0000")])
def test_total_may_be_zero_and_is_never_minus_zero(value: Any) -> None:
    assert str(parse_amount(value, "eur", allow_zero=True)) == "0.00"


def test_total_may_not_be_negative() -> None:
    with pytest.raises(AmountError, match="negative") as caught:
        parse_amount(-1, "eur", allow_zero=True)
    assert caught.value.code == "not_positive"


def test_callers_decimal_context_makes_no_difference() -> None:
    with decimal.localcontext() as context:
        context.prec = 2
        context.traps[decimal.Inexact] = True
        assert str(parse_amount("12345678901234.56", "eur")) == "12345678901234.56"
        assert format_amount(Decimal("12345678901234.5600"), "eur") == "12345678901234.56"
        assert display_amount(Decimal("12345678901234.5600"), "eur") == "12,345,678,901,234.56 EUR"
        assert [str(part) for part in split_amount(Decimal("10000"), "eur", 3)] == [
            "3333.34",
            "3333.33",
            "3333.33",
        ]


@given(money())
def test_what_is_written_is_read_back(amount_and_currency: tuple[Decimal, str]) -> None:
    amount, code = amount_and_currency
    read = parse_amount(format_amount(amount, code), code)
    assert (read, read.as_tuple().exponent) == (amount, -EXPONENTS[code])


@given(st.text() | st.integers() | st.decimals() | st.floats() | st.none() | st.booleans(), currencies)
def test_any_input_gives_an_exact_amount_or_an_amount_error(value: Any, code: str) -> None:
    try:
        amount = parse_amount(value, code)
    except AmountError as error:
        assert error.message
    else:
        assert amount == Decimal(value)
        assert 0 < amount <= MAX_AMOUNT
        assert amount.as_tuple().exponent == -exponent(code)


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (Decimal("10"), "eur", "10.00"),
        (Decimal("1E+3"), "jpy", "1000"),
        (Decimal("1.2340"), "kwd", "1.234"),
        (Decimal("0"), "eur", "0.00"),
        (Decimal("-0"), "eur", "0.00"),
        (Decimal("-10.5"), "EUR", "-10.50"),
        (MAX_AMOUNT, "clf", "99999999999999.9999"),
        (Decimal("10.005"), "eur", "10.005"),
        (Decimal("10.0050"), "jpy", "10.005"),
    ],
)
def test_format_shows_the_currencys_decimals_and_hides_none(value: Decimal, code: str, text: str) -> None:
    assert format_amount(value, code) == text


@pytest.mark.parametrize(
    ("language", "value", "code", "text"),
    [
        ("en", "100", "eur", "100.00 EUR"),
        ("en", "1234567.5", "EUR", "1,234,567.50 EUR"),
        ("en", "99999999999999.9999", "clf", "99,999,999,999,999.9999 CLF"),
        ("de", "1234.5", "eur", "1.234,50 EUR"),
        ("de", "-1234.5", "eur", "-1.234,50 EUR"),
        ("fr", "1234.5", "eur", "1\xa0234,50 EUR"),
        ("en", "1000", "jpy", "1,000 JPY"),
        ("de", "1.234", "kwd", "1,234 KWD"),
        ("en", "10.005", "eur", "10.005 EUR"),
    ],
)
def test_display_uses_the_languages_separators(language: str, value: str, code: str, text: str) -> None:
    with translation.override(language):
        assert display_amount(Decimal(value), code) == text


@pytest.mark.parametrize("show", [format_amount, display_amount])
def test_showing_refuses_what_is_no_exact_number(show: Any) -> None:
    with pytest.raises(AmountError, match="float"):
        show(10.0, "eur")
    with pytest.raises(AmountError, match="finite"):
        show(Decimal("NaN"), "eur")
    with pytest.raises(AmountError, match="at most"):
        show(Decimal("1e30"), "eur")


@pytest.mark.parametrize(("value", "shown"), [("10", "10.00"), ("1234.5", "1234.50"), ("1.2345", "1.2345")])
def test_a_withdrawn_currency_stays_readable(value: str, shown: str) -> None:
    assert format_amount(Decimal(value), "hrk") == shown
    assert display_amount(Decimal(value), "hrk").endswith(" HRK")


@pytest.mark.parametrize(
    ("total", "code", "count", "parts"),
    [
        ("100", "eur", 3, ["33.34", "33.33", "33.33"]),
        ("10", "eur", 7, ["1.48", *["1.42"] * 6]),
        ("100", "jpy", 3, ["34", "33", "33"]),
        ("0.003", "kwd", 3, ["0.001"] * 3),
        ("5.00", "eur", 1, ["5.00"]),
    ],
)
def test_split_puts_the_remainder_on_the_first_part(
    total: str, code: str, count: int, parts: list[str]
) -> None:
    assert [str(part) for part in split_amount(Decimal(total), code, count)] == parts


@pytest.mark.parametrize(
    ("total", "code", "step", "parts"),
    [
        ("10.000", "kwd", "0.010", ["3.340", "3.330", "3.330"]),
        ("1000.00", "huf", "1", ["334.00", "333.00", "333.00"]),
        ("10.00", "chf", "0.05", ["3.40", "3.30", "3.30"]),
    ],
)
def test_parts_are_multiples_of_a_step(total: str, code: str, step: str, parts: list[str]) -> None:
    divided = split_amount(Decimal(total), code, 3, step=Decimal(step))
    assert [str(part) for part in divided] == parts


@pytest.mark.parametrize(
    ("total", "code", "step", "error"),
    [
        ("10.001", "kwd", "0.010", "not_a_multiple"),
        ("1000.50", "huf", "1", "not_a_multiple"),
        ("2.00", "huf", "1", "too_small_to_split"),
    ],
)
def test_what_steps_do_not_divide_is_refused(total: str, code: str, step: str, error: str) -> None:
    with pytest.raises(AmountError) as caught:
        split_amount(Decimal(total), code, 3, step=Decimal(step))
    assert caught.value.code == error


def test_an_amount_between_two_steps_says_which_there_are() -> None:
    check_multiple(Decimal("1000.00"), "huf", Decimal(1))
    with pytest.raises(AmountError, match=r"multiples of 1\.00 HUF only, and 1,000\.50 HUF") as caught:
        check_multiple(Decimal("1000.50"), "huf", Decimal(1))
    assert (caught.value.code, caught.value.field) == ("not_a_multiple", "amount")


@given(money(), st.integers(1, 60))
def test_parts_add_up_to_the_total_exactly(amount_and_currency: tuple[Decimal, str], count: int) -> None:
    total, code = amount_and_currency
    try:
        parts = split_amount(total, code, count)
    except AmountError as error:
        assert error.code == "too_small_to_split"
        assert total * 10 ** exponent(code) < count
        return
    assert sum(parts) == total
    assert len(parts) == count
    assert all(parse_amount(part, code) == part for part in parts)
    assert len(set(parts[1:])) <= 1


@pytest.mark.parametrize(
    ("total", "code", "count"), [("0.02", "eur", 3), ("2", "jpy", 3), ("1", "eur", 10**12)]
)
def test_split_into_parts_of_nothing_is_refused(total: str, code: str, count: int) -> None:
    with pytest.raises(AmountError, match="a part would be nothing") as caught:
        split_amount(Decimal(total), code, count)
    assert caught.value.code == "too_small_to_split"


@pytest.mark.parametrize(("code", "smallest"), [("eur", "0.01"), ("jpy", "1"), ("kwd", "0.001")])
def test_the_smallest_amount_is_one_minor_unit(code: str, smallest: str) -> None:
    assert str(smallest_amount(code)) == smallest


@pytest.mark.parametrize("count", [0, -1, True, 2.0, "2", None])
def test_split_needs_a_count_from_one(count: Any) -> None:
    with pytest.raises(InputError, match="whole number from 1") as caught:
        split_amount(Decimal(10), "eur", count)
    assert caught.value.field == "count"


@pytest.mark.parametrize("total", ["0", "-1", "0.001"])
def test_split_needs_an_amount_of_the_currency(total: str) -> None:
    with pytest.raises(AmountError):
        split_amount(Decimal(total), "eur", 2)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("10", "10.0000"),
        (-5, "-5.0000"),
        (0, "0.0000"),
        (Decimal("-0"), "0.0000"),
        (MAX_AMOUNT, str(MAX_AMOUNT)),
    ],
)
def test_exact_decimal_has_four_decimals_and_any_sign(value: Any, stored: str) -> None:
    assert str(exact_decimal(value)) == stored


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1.00001", "too_many_decimals"),
        ("-1e15", "too_large"),
        (1.5, "float_not_allowed"),
        (-(10**14), "too_large"),
    ],
)
def test_exact_decimal_refuses_what_does_not_fit(value: Any, code: str) -> None:
    with pytest.raises(AmountError) as caught:
        exact_decimal(value, field="total")
    assert (caught.value.code, caught.value.field) == (code, "total")
