"""PayPal's rules about amounts: exact in every currency that it takes, and refused where it can't take one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.exceptions import AmountError, DeclinedError
from payments.money import EXPONENTS
from payments.providers.paypal.parameters import CURRENCIES, from_value, to_value
from payments.services import (
    authorize_payment_session,
    create_installment_plan,
    create_payment_collection,
)
from payments.states import Outcome
from payments.testing import SessionDriver
from tests.paypal.conftest import PayPalAttempt, approve, provider_for
from tests.paypal.fake import FakePayPal
from tests.providers.results import assert_exact, refusal_of

pytestmark = pytest.mark.database_independent

WHOLE = {"huf", "jpy", "twd"}
"""As on https://developer.paypal.com/api/rest/reference/currency-codes/ in November 2026."""


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [
        ("10.99", "eur", "10.99"),
        ("10", "usd", "10.00"),
        ("10.5000", "gbp", "10.50"),
        ("500", "jpy", "500"),
        ("1000.00", "huf", "1000"),
        ("800.0000", "twd", "800"),
        ("12345678.90", "brl", "12345678.90"),
    ],
)
def test_amounts_are_spelled_as_paypal_spells_them(amount: str, currency: str, value: str) -> None:
    assert to_value(Decimal(amount), currency) == value
    assert from_value(value, currency) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("10.50", "huf", "too_many_decimals"),
        ("10.50", "twd", "too_many_decimals"),
        ("10.5", "jpy", "too_many_decimals"),
        ("1.001", "eur", "too_many_decimals"),
        ("5.000", "kwd", "currency_not_supported"),
        ("5", "krw", "currency_not_supported"),
        ("5", "try", "currency_not_supported"),
    ],
)
def test_an_amount_that_paypal_cannot_take_is_refused(amount: str, currency: str, code: str) -> None:
    with pytest.raises(DeclinedError) as caught:
        to_value(Decimal(amount), currency)
    assert caught.value.code == code


def test_a_refused_currency_says_which() -> None:
    with pytest.raises(DeclinedError, match="KWD"):
        to_value(Decimal(5), "kwd")


@pytest.mark.parametrize("value", [None, 10, 10.99, "", "ten", "1,000.00", "NaN", "-5.00", "10.999"])
def test_what_is_no_amount_is_not_believed(value: object) -> None:
    with pytest.raises(AmountError):
        from_value(value, "eur")


def test_every_currency_of_paypal_s_is_one_of_iso_4217() -> None:
    assert set(EXPONENTS) > CURRENCIES


@given(units=st.integers(min_value=1, max_value=99_999_999), currency=st.sampled_from(sorted(CURRENCIES)))
def test_whatever_can_be_sent_comes_back_exactly(units: int, currency: str) -> None:
    amount = Decimal(units) if currency in WHOLE else Decimal(units).scaleb(-2)
    assert from_value(to_value(amount, currency), currency) == amount


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_the_fake_takes_the_same_currencies_with_the_same_decimals(fake: FakePayPal, currency: str) -> None:
    amount = Decimal("1001") if currency in WHOLE else Decimal("30.07")
    attempt = PayPalAttempt(amount=amount, currency_code=currency)
    driver = SessionDriver(provider=provider_for(fake), attempt=attempt)
    assert driver.initiate().outcome == Outcome.SUCCEEDED
    approve(fake, driver)
    assert driver.authorize().amount == amount


@pytest.mark.parametrize(("amount", "currency"), [("1001", "huf"), ("1001", "jpy"), ("30.07", "eur")])
def test_a_payment_in_each_kind_of_currency_stays_exact(fake: FakePayPal, amount: str, currency: str) -> None:
    attempt = PayPalAttempt(amount=Decimal(amount), currency_code=currency)
    driver = SessionDriver(
        provider=provider_for(fake), attempt=attempt, payer=lambda driver: approve(fake, driver)
    )
    driver.initiate()
    assert_exact(driver)


def test_an_amount_that_paypal_cannot_take_reaches_nobody(fake: FakePayPal) -> None:
    attempt = PayPalAttempt(amount=Decimal("5.000"), currency_code="kwd")
    driver = SessionDriver(provider=provider_for(fake), attempt=attempt)
    assert refusal_of(driver.initiate()).code == "currency_not_supported"
    assert fake.requests == []


@pytest.mark.parametrize(("currency", "step"), [("eur", "0.01"), ("huf", "1"), ("jpy", "1"), ("twd", "1")])
def test_paypal_s_step_of_a_currency(fake: FakePayPal, currency: str, step: str) -> None:
    assert provider_for(fake).amount_step(currency) == Decimal(step)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("amount", "currency"), [("1000.00", "huf"), ("1000.00", "twd"), ("1000", "jpy")])
def test_each_part_of_a_plan_can_be_paid_with_paypal(shop: FakePayPal, amount: str, currency: str) -> None:
    collection = create_payment_collection(amount=amount, currency_code=currency)
    plan = create_installment_plan(collection, provider_id="paypal", count=3, interval="month")
    assert [session.amount for session in plan] == [Decimal(334), Decimal(333), Decimal(333)]
    for session in plan:
        authorize_payment_session(session)
        shop.orders.approve(session.provider_reference or "")
        assert authorize_payment_session(session).payment is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("amount", "currency", "error"),
    [("1000.50", "huf", AmountError), ("10.000", "kwd", DeclinedError), ("1000", "krw", DeclinedError)],
)
def test_no_plan_is_made_that_paypal_cannot_take(
    shop: FakePayPal, amount: str, currency: str, error: type[Exception]
) -> None:
    collection = create_payment_collection(amount=amount, currency_code=currency)
    with pytest.raises(error):
        create_installment_plan(collection, provider_id="paypal", count=3, interval="month")
    assert not collection.sessions.exists()
