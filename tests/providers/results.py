"""What tests of providers read in results again and again."""

from __future__ import annotations

from payments.providers import Failure, ProviderResult
from payments.states import Outcome
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of


def refusal_of(result: ProviderResult) -> Failure:
    """Return why a provider has refused, which it must have done."""
    assert result.outcome == Outcome.DECLINED, result
    assert result.failure is not None
    return result.failure


def assert_exact(driver: SessionDriver) -> None:
    """Make sure that an initiated session's amount stays what it is, to the last digit, until it is refunded."""
    amount = driver.amount
    assert driver.authorize().amount == amount
    assert driver.capture().amount == amount
    assert driver.refund().amount == amount
    fact = fact_of(driver)
    assert (fact.captured_amount, fact.refunded_amount) == (amount, amount)
