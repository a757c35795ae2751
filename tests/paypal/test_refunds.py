"""Refunds with PayPal, which gives money back capture by capture."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.providers import MovementFact
from payments.providers.paypal import refunds
from payments.providers.paypal.errors import RefusedError
from payments.providers.paypal.orders import Order, read_order
from payments.providers.paypal.refunds import plan_refund
from payments.states import MovementKind, MovementStatus, Outcome
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of
from tests.fakes import Json
from tests.paypal.conftest import authorized, captured
from tests.paypal.fake import FakePayPal, Fault, Funding
from tests.providers.results import refusal_of

pytestmark = pytest.mark.database_independent

HUNDRED = Decimal("100.00")
EIGHTY = Decimal("80.00")
SIXTY = Decimal("60.00")
FORTY = Decimal("40.00")


def refunds_of(driver: SessionDriver) -> list[MovementFact]:
    return [row for row in fact_of(driver).movements if row.kind == MovementKind.REFUND]


def given_back(fake: FakePayPal, driver: SessionDriver) -> list[Decimal]:
    """Return how much of each capture was given back."""
    return [fake.movements.refunded(row) for row in fake.captures_of(driver.session_id)]


def order_with(captures: list[int], refunds: list[int]) -> Order:
    """Return an order with captures, of each of which so much was refunded."""

    def money(amount: int) -> Json:
        return {"currency_code": "JPY", "value": str(amount)}

    rows = [{"id": f"C{n}", "status": "COMPLETED", "amount": money(each)} for n, each in enumerate(captures)]
    back = [
        {
            "id": f"R{n}",
            "status": "COMPLETED",
            "amount": money(each),
            "links": [{"rel": "up", "href": f"x/C{n}"}],
        }
        for n, each in enumerate(refunds)
        if each
    ]
    unit = {"amount": money(1000), "payments": {"captures": rows, "refunds": back}}
    return read_order({"id": "O1", "status": "COMPLETED", "intent": "CAPTURE", "purchase_units": [unit]})


def test_a_refund_that_was_made_already_is_found_instead_of_repeated(fake: FakePayPal) -> None:
    driver = captured(fake)
    first = driver.refund(operation_id="payop_1", idempotency_key="first")
    again = driver.refund(operation_id="payop_1", idempotency_key="second")
    assert (again.outcome, again.provider_reference) == (Outcome.SUCCEEDED, first.provider_reference)
    assert fake.executed.count("refund") == 1


def test_why_money_goes_back_is_not_told_to_the_payer(fake: FakePayPal) -> None:
    driver = captured(fake)
    driver.refund(reason="Fraudulent")
    assert "Fraudulent" not in str([request.body for request in fake.requests])


@pytest.mark.parametrize(
    ("left", "code"), [(FORTY, "refund_amount_exceeded"), (Decimal(0), "capture_fully_refunded")]
)
def test_a_refund_of_more_than_is_left_has_a_code(fake: FakePayPal, left: Decimal, code: str) -> None:
    driver = captured(fake)
    driver.refund(HUNDRED - left)
    assert refusal_of(driver.refund(Decimal("40.01"))).code == code


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("20.00", ["0", "0", "20.00"]),
        ("30.00", ["0", "30.00", "0"]),
        ("50.00", ["50.00", "0", "0"]),
        ("60.00", ["50.00", "10.00", "0"]),
        ("100.00", ["50.00", "30.00", "20.00"]),
    ],
)
def test_a_refund_takes_as_few_captures_as_it_can(fake: FakePayPal, amount: str, expected: list[str]) -> None:
    driver = captured(fake, "50.00", "30.00", "20.00")
    result = driver.refund(Decimal(amount))
    assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Decimal(amount))
    assert given_back(fake, driver) == [Decimal(each) for each in expected]
    [refund] = refunds_of(driver)
    assert (refund.amount, refund.operation_id) == (Decimal(amount), driver.operation_ids[-1])
    assert refund.provider_reference == result.provider_reference
    assert fact_of(driver).refunded_amount == Decimal(amount)


@given(
    captures=st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=5),
    refunds=st.lists(st.integers(min_value=0, max_value=50), min_size=5, max_size=5),
    amount=st.integers(min_value=1, max_value=200),
)
def test_a_plan_adds_up_and_takes_no_more_than_is_left(
    captures: list[int], refunds: list[int], amount: int
) -> None:
    order = order_with(captures, refunds)
    left = {row.id: order.left_of(row) for row in order.captures}
    try:
        plan = plan_refund(order, Decimal(amount))
    except RefusedError:
        assert sum(left.values()) < amount
        return
    assert sum(part.amount for part in plan) == amount
    assert len({part.capture.id for part in plan}) == len(plan)
    assert all(0 < part.amount <= left[part.capture.id] for part in plan)
    if max(left.values()) >= amount:
        assert len(plan) == 1


@pytest.mark.parametrize(
    "fault", [Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER, Fault.ERROR_AFTER, Fault.TOO_MANY]
)
def test_a_refund_that_breaks_off_is_unknown_and_completed_when_sent_again(
    fake: FakePayPal, fault: Fault
) -> None:
    driver = captured(fake, "60.00", "40.00")
    fake.misbehave("refund", fault, after=1)
    names = {"operation_id": "payop_1", "idempotency_key": "key"}
    assert driver.refund(EIGHTY, **names).outcome == Outcome.UNKNOWN
    if not fault.acts:
        assert fact_of(driver).refunded_amount == 0, "A half is no whole."
        assert not refunds_of(driver)
    again = driver.refund(EIGHTY, **names)
    assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, EIGHTY)
    assert given_back(fake, driver) == [SIXTY, Decimal("20.00")]
    assert fact_of(driver).refunded_amount == EIGHTY


def test_half_a_refund_is_reported_once_it_can_not_become_whole(
    fake: FakePayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = captured(fake, "60.00", "40.00")
    capture, _other = fake.captures_of(driver.session_id)
    fake.movements.refund(
        capture.id,
        {
            "amount": {"currency_code": "EUR", "value": "60.00"},
            "custom_id": f"{driver.session_id}/payop_1/80.00",
        },
    )
    assert refunds_of(driver) == []
    monkeypatch.setattr(refunds, "PATIENCE", timedelta(0))
    ours, half = refunds_of(driver)
    assert (ours.amount, ours.status, ours.operation_id) == (EIGHTY, MovementStatus.FAILED, "payop_1")
    assert (half.amount, half.status, half.operation_id) == (SIXTY, MovementStatus.SUCCEEDED, None)
    assert fact_of(driver).refunded_amount == SIXTY


def test_a_refund_of_which_a_part_has_failed_is_not_completed(fake: FakePayPal) -> None:
    driver = captured(fake, "60.00", "40.00")
    names = {"operation_id": "payop_1", "idempotency_key": "key"}
    driver.refund(EIGHTY, **names)
    fake.movements.settle_refund(fake.books.all("refund")[0].id, succeeds=False)
    assert refusal_of(driver.refund(EIGHTY, **names)).code == "refunded_in_part"
    assert given_back(fake, driver) == [0, Decimal("20.00")]
    assert fake.executed.count("refund") == 2


def test_a_refund_of_which_a_part_is_refused_says_how_much_was_given_back(fake: FakePayPal) -> None:
    driver = captured(fake, "60.00", "40.00")
    _first, second = fake.captures_of(driver.session_id)
    fake.movements.dispute(second.id, amount="40.00")
    result = driver.refund(EIGHTY)
    refusal = refusal_of(result)
    assert refusal.code == "refunded_in_part"
    assert "CAPTURE_DISPUTED_PARTIAL_REFUND_NOT_ALLOWED" in refusal.detail
    assert result.fact is not None
    [half] = result.fact.movements
    assert (half.amount, half.status, half.operation_id) == (SIXTY, MovementStatus.SUCCEEDED, None)


def test_what_another_refund_took_meanwhile_is_taken_from_elsewhere(
    fake: FakePayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = captured(fake, "60.00", "40.00")
    first, _second = fake.captures_of(driver.session_id)
    looks = iter([lambda: fake.movements.refund(first.id, {})])
    ask = type(driver.provider._api).order  # type: ignore[attr-defined]

    def look(api: object, order_id: str) -> object:
        seen = ask(api, order_id)
        next(looks, lambda: None)()
        return seen

    monkeypatch.setattr(type(driver.provider._api), "order", look)  # type: ignore[attr-defined]
    result = driver.refund(FORTY - 10)
    assert result.outcome == Outcome.SUCCEEDED
    assert given_back(fake, driver) == [SIXTY, Decimal("30.00")]


@pytest.mark.parametrize(
    ("succeeds", "status"), [(True, MovementStatus.SUCCEEDED), (False, MovementStatus.FAILED)]
)
def test_a_slow_refund_is_pending_until_it_is_settled(
    fake: FakePayPal, succeeds: bool, status: MovementStatus
) -> None:
    driver = authorized(fake, Funding.SLOW_REFUND)
    driver.capture()
    result = driver.refund(SIXTY)
    assert result.outcome == Outcome.PENDING
    assert fact_of(driver).refunded_amount == 0
    fake.movements.settle_refund(result.provider_reference or "", succeeds=succeeds)
    [refund] = refunds_of(driver)
    assert refund.status == status
    assert fact_of(driver).refunded_amount == (SIXTY if succeeds else 0)
