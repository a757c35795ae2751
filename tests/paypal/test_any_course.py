"""Whatever is done to a payment, in whatever order and on however bad a line: PayPal's books and the reports agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.providers import MovementResult
from payments.states import MovementKind, Outcome
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of, total
from tests.paypal.conftest import authorized
from tests.paypal.fake import FakePayPal, Fault
from tests.paypal.fake.wire import ApiError

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]

QUICK = [fault for fault in Fault if not fault.startswith("silence")]
"""The ways to misbehave for which nobody has to wait."""

Verb = Literal["capture", "refund", "fail_refund"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Say what is done, of how much (in cents), and what goes wrong with which of its requests."""

    verb: Verb
    cents: int
    in_dashboard: bool
    fault: Fault | None
    after: int

    @property
    def amount(self) -> Decimal:
        return Decimal(self.cents).scaleb(-2)


STEPS = st.builds(
    Step,
    verb=st.sampled_from(["capture", "refund", "refund", "fail_refund"]),
    cents=st.integers(min_value=1, max_value=6000),
    in_dashboard=st.sampled_from([False, False, False, True]),
    fault=st.none() | st.sampled_from(QUICK),
    after=st.integers(min_value=0, max_value=1),
)


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakePayPal]:
    """One fake for all examples: each of them opens a session of its own."""
    with FakePayPal() as fake:
        yield fake


@given(steps=st.lists(STEPS, min_size=2, max_size=9))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_books_and_reports_agree_whatever_happens(running_fake: FakePayPal, steps: list[Step]) -> None:
    fake, driver = running_fake, authorized(running_fake, multicapture=True)
    moved = {"capture": Decimal(0), "refund": Decimal(0)}
    for step in steps:
        if step.verb == "fail_refund":
            moved["refund"] -= failed_late(fake, driver, step)
        else:
            moved[step.verb] += (
                in_dashboard(fake, driver, step) if step.in_dashboard else asked(fake, driver, step)
            )
        captures = fake.captures_of(driver.session_id)
        assert moved["capture"] == sum(row.amount for row in captures) <= 115
        assert moved["refund"] == sum(fake.movements.refunded(row) for row in captures) <= moved["capture"]
    fact = fact_of(driver)
    assert total(fact, MovementKind.CAPTURE) == moved["capture"]
    assert total(fact, MovementKind.REFUND) == moved["refund"]


def asked(fake: FakePayPal, driver: SessionDriver, step: Step) -> Decimal:
    """Ask the provider for a movement until it is known what became of it, and return how much moved."""
    if step.fault is not None:
        fake.misbehave(step.verb, step.fault, after=step.after)
    result: MovementResult = getattr(driver, step.verb)(step.amount)
    for _time in range(5):
        if result.outcome not in (Outcome.UNKNOWN, Outcome.NOT_SENT):
            break
        result = driver.resend()
    fake.behave()
    if result.outcome == Outcome.SUCCEEDED:
        assert result.amount == step.amount
        return step.amount
    assert result.outcome == Outcome.DECLINED
    return Decimal(0)


def failed_late(fake: FakePayPal, driver: SessionDriver, step: Step) -> Decimal:
    """Have one of PayPal's refunds fail after it had succeeded, if there is one, and return how much it gave back."""
    captures = fake.captures_of(driver.session_id)
    made = (refund for row in captures for refund in fake.books.all("refund", parent=row.id))
    given = [refund for refund in made if refund.status == "COMPLETED"]
    if not given:
        return Decimal(0)
    refund = given[step.cents % len(given)]
    fake.movements.settle_refund(refund.id, succeeds=False)
    return refund.amount


def in_dashboard(fake: FakePayPal, driver: SessionDriver, step: Step) -> Decimal:
    """Move money behind the provider's back, if PayPal lets somebody, and return how much moved."""
    money = {"amount": {"currency_code": "EUR", "value": f"{step.amount:.2f}"}}
    captures = fake.captures_of(driver.session_id)
    try:
        if step.verb == "refund":
            fake.movements.refund(captures[-1].id if captures else "NONE", money)
        else:
            own = {"invoice_id": f"by-hand-{len(captures)}-{driver.session_id}"}
            fake.movements.capture(fake.authorization_of(driver.session_id).id, money | own)
    except ApiError:
        return Decimal(0)
    return step.amount
