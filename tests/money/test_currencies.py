"""Which currencies there are, and how many decimals each has."""

from __future__ import annotations

from typing import Any

import pytest

from payments.exceptions import CurrencyError
from payments.money import EXPONENTS, exponent, is_known, normalize_currency

pytestmark = pytest.mark.database_independent


@pytest.mark.parametrize(
    ("code", "decimals"),
    [
        ("eur", 2),
        ("USD", 2),
        ("jpy", 0),
        ("isk", 0),
        ("Kwd", 3),
        ("iqd", 3),
        ("clf", 4),
        ("mga", 2),
        ("idr", 2),
    ],
)
def test_exponent_is_that_of_iso_4217_and_not_of_display_conventions(code: str, decimals: int) -> None:
    assert exponent(code) == decimals


@pytest.mark.parametrize("code", ["zwg", "xcg", "sle", "ves", "ved", "mru", "stn", "byn", "ssp"])
def test_recent_currencies_are_known(code: str) -> None:
    assert is_known(code)
    assert exponent(code) == 2


@pytest.mark.parametrize(
    "code", ["dem", "bgn", "hrk", "ang", "zwl", "sll", "cuc", "mro", "vef", "byr", "std"]
)
def test_withdrawn_currencies_are_refused(code: str) -> None:
    assert not is_known(code)


@pytest.mark.parametrize(
    "code", ["xau", "xag", "xpt", "xpd", "xdr", "xxx", "xts", "xsu", "xua", "xba", "xad"]
)
def test_codes_nobody_pays_with_are_refused(code: str) -> None:
    assert not is_known(code)


def test_table_holds_all_codes_of_list_one_that_people_pay_with() -> None:
    count = {decimals: list(EXPONENTS.values()).count(decimals) for decimals in (0, 2, 3, 4)}
    assert count == {0: 17, 2: 138, 3: 7, 4: 2}
    assert all(len(code) == 3 and code.isascii() and code.islower() for code in EXPONENTS)


def test_table_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        EXPONENTS["eur"] = 3  # type: ignore[index]


@pytest.mark.parametrize("code", ["EUR", "eur", "Eur", "eUR"])
def test_code_is_stored_in_lower_case(code: str) -> None:
    assert normalize_currency(code) == "eur"


@pytest.mark.parametrize(
    "code", ["", "eu", "euro", " eur", "eur ", "€", "978", "\u212ales", "\u212awd", None, 978, b"eur"]
)
def test_anything_else_is_refused_with_the_field_and_the_rule(code: Any) -> None:
    with pytest.raises(CurrencyError, match="three letters from ISO 4217") as caught:
        normalize_currency(code)
    assert (caught.value.code, caught.value.field) == ("unknown_currency", "currency_code")


def test_error_names_the_field_that_the_caller_names() -> None:
    with pytest.raises(CurrencyError) as caught:
        normalize_currency("xyz", field="currency")
    assert caught.value.field == "currency"


def test_error_does_not_repeat_an_endless_code() -> None:
    with pytest.raises(CurrencyError) as caught:
        normalize_currency("x" * 1_000_000)
    assert len(str(caught.value)) < 200
