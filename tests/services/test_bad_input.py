"""Bad input is refused with the field and the rule, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from payments import services
from payments.exceptions import AmountError, CurrencyError
from payments.models import Payment, PaymentCollection, PaymentSession
from tests.services.facts import books
from tests.services.results import SCRIPTS

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

AMOUNTS: list[tuple[Any, str]] = [
    (0, "not_positive"),
    ("0.00", "not_positive"),
    (-5, "not_positive"),
    ("-0.01", "not_positive"),
    ("NaN", "not_finite"),
    (Decimal("NaN"), "not_finite"),
    (Decimal("sNaN"), "not_finite"),
    ("Infinity", "not_finite"),
    (Decimal("-Infinity"), "not_finite"),
    ("1e400", "too_large"),
    (Decimal("1e400"), "too_large"),
    ("100000000000000", "too_large"),
    ("0.001", "too_many_decimals"),
    (Decimal("10.005"), "too_many_decimals"),
    ("10,00", "invalid"),
    ("", "invalid"),
    (" 10", "invalid"),
    ("ten", "invalid"),
    (True, "invalid"),
    ([10], "invalid"),
    (10.0, "float_not_allowed"),
    (float("nan"), "float_not_allowed"),
]


@pytest.mark.parametrize(("amount", "code"), AMOUNTS, ids=repr)
def test_no_verb_takes_an_impossible_amount(collection: PaymentCollection, amount: Any, code: str) -> None:
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    payment = services.authorize_payment_session(held).payment
    assert payment is not None
    services.capture_payment(payment, amount="30.00")
    waiting = services.create_payment_session(collection, provider_id="card", amount="10.00")
    before, asked = books(), list(SCRIPTS["card"].verbs)
    for verb in (
        lambda: services.create_payment_collection(amount=amount, currency_code="eur"),
        lambda: services.update_payment_collection(collection, amount=amount),
        lambda: services.create_payment_session(collection, provider_id="card", amount=amount),
        lambda: services.update_payment_session(waiting, amount=amount),
        lambda: services.capture_payment(payment, amount=amount),
        lambda: services.refund_payment(payment, amount=amount),
    ):
        with pytest.raises(AmountError) as refusal:
            verb()
        assert (refusal.value.code, refusal.value.field) == (code, "amount")
    assert books() == before
    assert SCRIPTS["card"].verbs == asked


@pytest.mark.parametrize(
    ("amount", "currency_code"), [("10.5", "jpy"), ("1.2345", "kwd"), ("0.001", "eur"), ("1.23456", "clf")]
)
def test_amount_has_no_more_decimals_than_its_currency(db: None, amount: str, currency_code: str) -> None:
    with pytest.raises(AmountError) as refusal:
        services.create_payment_collection(amount=amount, currency_code=currency_code)
    assert (refusal.value.code, refusal.value.field) == ("too_many_decimals", "amount")
    assert currency_code.upper() in refusal.value.message
    assert not PaymentCollection.objects.exists()


@pytest.mark.parametrize(("amount", "currency_code"), [("10", "jpy"), ("1.234", "kwd"), ("0.01", "eur")])
def test_amount_with_the_decimals_of_its_currency_is_taken_as_it_is(
    db: None, amount: str, currency_code: str
) -> None:
    collection = services.create_payment_collection(amount=amount, currency_code=currency_code)
    session = services.create_payment_session(collection, provider_id="card")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.capture_payment(payment)
    services.refund_payment(payment)
    assert PaymentCollection.objects.get().refunded_amount == Decimal(amount)


@pytest.mark.parametrize("currency_code", ["", "eu", "euro", "xyz", "€", "e\u0131r", "978"])
def test_currency_that_iso_4217_does_not_know_is_refused(db: None, currency_code: str) -> None:
    with pytest.raises(CurrencyError) as refusal:
        services.create_payment_collection(amount=10, currency_code=currency_code)
    assert (refusal.value.code, refusal.value.field) == ("unknown_currency", "currency_code")
    assert not PaymentCollection.objects.exists()


def _split_too_large(collection: PaymentCollection, _payment: Payment) -> Any:
    return services.create_payment_session(collection, provider_id="card", amount="40.01")


def _capture_too_large(_collection: PaymentCollection, payment: Payment) -> Any:
    return services.capture_payment(payment, amount="30.01")


def _refund_too_large(_collection: PaymentCollection, payment: Payment) -> Any:
    return services.refund_payment(payment, amount="30.01")


@pytest.mark.parametrize("excess", [_split_too_large, _capture_too_large, _refund_too_large])
def test_more_than_there_is_leaves_nothing_behind(
    collection: PaymentCollection, excess: Callable[[PaymentCollection, Payment], Any]
) -> None:
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    payment = services.authorize_payment_session(held).payment
    assert payment is not None
    services.capture_payment(payment, amount="30.00")
    before = books()
    with pytest.raises(AmountError) as refusal:
        excess(collection, payment)
    assert (refusal.value.code, refusal.value.field) == ("exceeds_remaining", "amount")
    assert books() == before


def test_refused_split_does_not_cancel_the_session_that_it_would_replace(session: PaymentSession) -> None:
    before = books()
    with pytest.raises(AmountError):
        services.create_payment_session(session.collection, provider_id="card", amount="100.01")
    assert books() == before
