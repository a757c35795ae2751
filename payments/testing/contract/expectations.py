"""What the contract's tests say again and again, each with a failure message that names the rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, is_dataclass
from decimal import Decimal
from typing import Any, TypeVar

from django.core.serializers.json import DjangoJSONEncoder

from payments.money import ZERO, exponent
from payments.providers import BaseProvider, MovementFact, ProviderResult, SessionFact
from payments.providers.publishing import CODE, declared_data
from payments.providers.validation import UnusableAnswerError, check_usable
from payments.states import MovementKind, MovementStatus, Outcome
from payments.testing.contract.driver import SessionDriver

ResultT = TypeVar("ResultT", bound=ProviderResult)


def expect(driver: SessionDriver, result: ResultT, *outcomes: Outcome) -> ResultT:
    """Return a result whose outcome is one of those expected; otherwise fail, with what the provider raised."""
    if result.outcome not in outcomes:
        expected = " or ".join(outcomes)
        raise AssertionError(
            f"Expected a {type(result).__name__} that {expected}, got {result.outcome}: {result.failure}"
        ) from driver.error
    return result


def succeeded(driver: SessionDriver, result: ResultT) -> ResultT:
    """Expect a success."""
    return expect(driver, result, Outcome.SUCCEEDED)


def declined(driver: SessionDriver, result: ResultT) -> ResultT:
    """Expect a refusal, with a code for programs and words for the payer."""
    expect(driver, result, Outcome.DECLINED)
    failure = result.failure
    assert failure is not None, "A refusal has a failure that says why."
    assert failure.code, "A refusal has a code."
    assert CODE.fullmatch(failure.code), f"A code is one word, for programs: {CODE.pattern}."
    assert str(failure.message).strip(), "A refusal has a message that a payer may read."
    return result


def declares(provider: BaseProvider[Any], data: Mapping[str, Any] | None) -> None:
    """Check that all of a session's public data is declared, what is nested in it too."""
    _kept, undeclared = declared_data(data or {}, provider.public_data_keys)
    assert not undeclared, f"Not in public_data_keys: {undeclared}"


def states_amount(result: Any, amount: Decimal, currency_code: str) -> None:
    """Check that a result states exactly this amount, in the currency's decimals at most."""
    assert isinstance(result.amount, Decimal), f"An amount is a Decimal, not {result.amount!r}."
    assert result.amount == amount, f"Asked for {amount}, the provider states {result.amount}."
    assert fits(result.amount, currency_code), f"{result.amount} has more decimals than {currency_code} has."
    assert result.currency_code == currency_code, "The currency is that of the request, in lower case."


def fits(amount: Decimal, currency_code: str) -> bool:
    """Return whether an amount is finite and has no more decimals than its currency."""
    return amount.is_finite() and amount == round(amount, exponent(currency_code))


def is_json(value: Any) -> bool:
    """Return whether a value can be stored as JSON and comes back as the same keys and structure."""
    try:
        text = json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return has_text_keys(value) and isinstance(json.loads(text), type(value))


def has_text_keys(value: Any) -> bool:
    """Return whether every key of a nested value is a string, as JSON wants it."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and has_text_keys(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(has_text_keys(each) for each in value)
    return True


def is_usable(result: Any) -> None:
    """Check that a result can be stored and shown; the services take any other for none."""
    try:
        check_usable(result)
    except UnusableAnswerError as error:
        raise AssertionError(
            f"A {type(result).__name__} that can't be used: {error.where} isn't what its dataclass says, or holds what "
            "no database can: NaN, a NUL, half of a surrogate pair, what is no JSON, a time without a zone."
        ) from error


def is_frozen(value: Any) -> bool:
    """Return whether a dataclass refuses assignment."""
    assert is_dataclass(value), f"{value!r} is no dataclass."
    name = fields(value)[0].name
    try:
        setattr(value, name, getattr(value, name))
    except FrozenInstanceError:
        return True
    return False


def fact_of(driver: SessionDriver) -> SessionFact:
    """Return what the provider reports of a session that it has to know."""
    result = succeeded(driver, driver.retrieve())
    assert result.fact is not None, "The provider knows the session, so a retrieve has a fact."
    return result.fact


def total(fact: SessionFact, kind: MovementKind) -> Decimal:
    """Return how much a fact says was captured or refunded, from its total or from its movements."""
    stated = fact.captured_amount if kind == MovementKind.CAPTURE else fact.refunded_amount
    listed = sum((each.amount for each in moved(fact, kind)), ZERO)
    if stated is None:
        return listed
    if fact.movements:
        assert stated == listed, f"The {kind}s listed add up to {listed}, the total says {stated}."
    return stated


def moved(fact: SessionFact, kind: MovementKind) -> list[MovementFact]:
    """Return the captures or refunds of a fact that succeeded."""
    return [each for each in fact.movements if each.kind == kind and each.status == MovementStatus.SUCCEEDED]
