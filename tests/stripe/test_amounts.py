"""Stripe's rules about amounts: exact in every currency, and refused where Stripe can't take an amount."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.exceptions import DeclinedError
from payments.money import EXPONENTS, exponent
from payments.providers.stripe.parameters import RULES, from_units, to_units
from payments.services import (
    authorize_payment_session,
    create_installment_plan,
    create_payment_collection,
)
from payments.testing import Attempt, SessionDriver
from tests.providers.results import assert_exact, refusal_of
from tests.stripe.conftest import VISA, provider_for
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.database_independent

ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
"""As on https://docs.stripe.com/currencies in November 2026, but for UGX, which its special cases correct."""


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("10.99", "eur", 1099),
        ("10", "usd", 1000),
        ("500", "jpy", 500),
        ("1000", "krw", 1000),
        ("1200", "mga", 1200),
        ("5", "ugx", 500),
        ("5", "isk", 500),
        ("10.45", "huf", 1045),
        ("800.45", "twd", 80045),
        ("5.120", "kwd", 5120),
        ("100.12", "bhd", 100120),
        ("1.500", "tnd", 1500),
    ],
)
def test_amounts_are_counted_as_stripe_counts_them(amount: str, currency: str, units: int) -> None:
    assert to_units(Decimal(amount), currency) == units
    assert from_units(units, currency) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("5.124", "kwd", "last_digit_not_zero"),
        ("1.001", "omr", "last_digit_not_zero"),
        ("10.50", "mga", "too_many_decimals"),
        ("10.5", "jpy", "too_many_decimals"),
        ("10.5", "isk", "too_many_decimals"),
        ("10.5", "ugx", "too_many_decimals"),
    ],
)
def test_an_amount_that_stripe_cannot_take_is_refused(amount: str, currency: str, code: str) -> None:
    with pytest.raises(DeclinedError) as caught:
        to_units(Decimal(amount), currency)
    assert caught.value.code == code


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_every_currency_has_the_decimals_that_stripe_lists(currency: str) -> None:
    special = {"isk": 2, "ugx": 2}
    listed = special.get(currency, 0 if currency in ZERO_DECIMAL.split() else exponent(currency))
    assert RULES.exponent(currency) == listed
    assert (currency in RULES.last_digit_zero) == (currency in {"bhd", "jod", "kwd", "omr", "tnd"})


@given(units=st.integers(min_value=0, max_value=99_999_999), currency=st.sampled_from(sorted(EXPONENTS)))
def test_whatever_stripe_states_comes_back_exactly(units: int, currency: str) -> None:
    whole = {"isk": 100, "ugx": 100}.get(currency, 10 if currency in RULES.last_digit_zero else 1)
    units -= units % whole
    assert to_units(from_units(units, currency), currency) == units


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("1000", "isk"),
        ("5000", "ugx"),
        ("5000", "mga"),
        ("100.120", "kwd"),
        ("1001", "jpy"),
        ("30.07", "eur"),
    ],
)
def test_a_payment_in_each_kind_of_currency_stays_exact(fake: FakeStripe, amount: str, currency: str) -> None:
    attempt = Attempt(amount=Decimal(amount), currency_code=currency, input=VISA)
    driver = SessionDriver(provider=provider_for(fake), attempt=attempt)
    driver.initiate()
    assert_exact(driver)


def test_an_amount_that_stripe_cannot_take_reaches_nobody(fake: FakeStripe) -> None:
    attempt = Attempt(amount=Decimal("1.234"), currency_code="kwd")
    driver = SessionDriver(provider=provider_for(fake), attempt=attempt)
    assert refusal_of(driver.initiate()).code == "last_digit_not_zero"
    assert fake.requests == []


@pytest.mark.parametrize(("amount", "code"), [("0.10", "amount_too_small"), ("1000000", "amount_too_large")])
def test_stripe_s_own_limits_are_refusals_with_their_code(fake: FakeStripe, amount: str, code: str) -> None:
    attempt = replace(Attempt(), amount=Decimal(amount))
    driver = SessionDriver(provider=provider_for(fake), attempt=attempt)
    assert refusal_of(driver.initiate()).code == code


@pytest.mark.parametrize(
    ("currency", "step"),
    [
        ("eur", "0.01"),
        ("jpy", "1"),
        ("kwd", "0.01"),
        ("isk", "1"),
        ("ugx", "1"),
        ("mga", "1"),
        ("iqd", "0.001"),
    ],
)
def test_stripe_s_step_of_a_currency(currency: str, step: str) -> None:
    assert RULES.step(currency) == Decimal(step)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("amount", "currency", "parts"),
    [
        ("10.000", "kwd", ["3.34", "3.33", "3.33"]),
        ("1000", "isk", ["334", "333", "333"]),
        ("10000", "ugx", ["3334", "3333", "3333"]),
        ("5000.00", "mga", ["1668", "1666", "1666"]),
    ],
)
def test_each_part_of_a_plan_can_be_paid_with_stripe(
    shop: FakeStripe, amount: str, currency: str, parts: list[str]
) -> None:
    collection = create_payment_collection(amount=amount, currency_code=currency)
    plan = create_installment_plan(collection, provider_id="stripe", count=3, interval="month")
    assert [session.amount for session in plan] == [Decimal(part) for part in parts]
    for session in plan:
        assert authorize_payment_session(session, data=VISA).payment is not None
