"""Captures, refunds, releases and disputes with Stripe, also those that were made in its dashboard."""

from __future__ import annotations

from decimal import Decimal

import pytest

from payments.states import MovementKind, MovementStatus, Outcome, SessionStatus
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of
from tests.providers.results import refusal_of
from tests.stripe.conftest import driver_for
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.database_independent

HUNDRED = Decimal("100.00")
SIXTY = Decimal("60.00")
FORTY = Decimal("40.00")


def authorized(fake: FakeStripe, method: str = "pm_card_visa", **changes: object) -> SessionDriver:
    driver = driver_for(fake, method, **changes)
    assert driver.authorize().outcome == Outcome.SUCCEEDED
    return driver


def captured(fake: FakeStripe, method: str = "pm_card_visa") -> SessionDriver:
    driver = authorized(fake, method)
    assert driver.capture().outcome == Outcome.SUCCEEDED
    return driver


def test_a_partial_capture_takes_the_exact_amount_and_releases_the_rest(fake: FakeStripe) -> None:
    driver = authorized(fake)
    result = driver.capture(SIXTY)
    assert result.amount == SIXTY
    assert result.releases_remainder
    fact = fact_of(driver)
    assert (fact.authorized_amount, fact.captured_amount, fact.canceled_amount) == (HUNDRED, SIXTY, FORTY)
    assert fact.refunded_amount == 0
    assert fact.movements[0].operation_id == driver.operation_ids[-1]


def test_what_stripe_notes_as_a_refund_because_it_was_let_go_is_none(fake: FakeStripe) -> None:
    driver = authorized(fake)
    driver.capture(SIXTY)
    assert [row["amount"] for row in fake.books.all("refund")] == [4000]
    assert [row.kind for row in fact_of(driver).movements] == [MovementKind.CAPTURE]
    released = authorized(fake)
    released.cancel(payment_id=released.payment_id)
    assert fact_of(released).movements == ()
    assert fact_of(released).status == SessionStatus.CANCELED


def test_several_captures_are_told_apart_where_the_account_allows_them(fake: FakeStripe) -> None:
    driver = authorized(fake, multicapture=True)
    for amount in (Decimal("10.00"), Decimal("10.00"), FORTY):
        result = driver.capture(amount)
        assert (result.amount, result.releases_remainder) == (amount, False)
    assert fact_of(driver).status == SessionStatus.AUTHORIZED
    assert driver.cancel(FORTY, payment_id=driver.payment_id).outcome == Outcome.SUCCEEDED
    fact = fact_of(driver)
    assert (fact.captured_amount, fact.canceled_amount) == (SIXTY, FORTY)
    assert len({row.provider_reference for row in fact.movements}) == 3


def test_a_capture_beside_one_in_the_dashboard_takes_what_it_has_noted(fake: FakeStripe) -> None:
    driver = authorized(fake, multicapture=True)
    fake.intents.capture(driver.provider_reference or "", {"amount_to_capture": 1000, "final_capture": False})
    assert driver.capture(FORTY).amount == FORTY
    fact = fact_of(driver)
    assert fact.captured_amount == FORTY + 10
    assert [row.amount for row in fact.movements] == [FORTY]


def test_what_is_taken_of_a_single_capture_is_the_whole_total(fake: FakeStripe) -> None:
    driver = authorized(fake)
    driver.capture(FORTY, operation_id="payop_1", idempotency_key="first")
    fake.intent_of(driver.session_id)["amount_received"] = 6000
    assert driver.capture(FORTY, operation_id="payop_1", idempotency_key="second").amount == SIXTY


def test_a_capture_takes_no_more_than_the_total_bears_out(fake: FakeStripe) -> None:
    driver = authorized(fake, multicapture=True)
    driver.capture(FORTY)
    fake.intent_of(driver.session_id)["amount_received"] = 1000
    assert driver.capture(FORTY).amount == Decimal("10.00")


def test_a_card_that_does_not_allow_several_captures_releases_the_rest(fake: FakeStripe) -> None:
    driver = authorized(fake, multicapture=True)
    charge = fake.books.objects[fake.intent_of(driver.session_id)["latest_charge"]]
    charge["payment_method_details"]["card"]["multicapture"]["status"] = "unavailable"
    result = driver.capture(SIXTY)
    assert (result.amount, result.releases_remainder) == (SIXTY, True)


def test_releasing_what_is_released_already_is_no_refusal(fake: FakeStripe) -> None:
    driver = authorized(fake)
    fake.intents.cancel(driver.provider_reference or "", {})
    assert driver.cancel(payment_id=driver.payment_id).outcome == Outcome.SUCCEEDED
    partly = authorized(fake)
    partly.capture(SIXTY)
    assert partly.cancel(FORTY, payment_id=partly.payment_id).outcome == Outcome.SUCCEEDED


def test_what_is_captured_is_not_canceled(fake: FakeStripe) -> None:
    driver = captured(fake)
    assert refusal_of(driver.cancel(payment_id=driver.payment_id)).code == "payment_intent_unexpected_state"


def test_a_capture_of_more_than_is_held_has_stripe_s_code(fake: FakeStripe) -> None:
    assert refusal_of(authorized(fake).capture(Decimal("100.01"))).code == "amount_too_large"


def test_a_capture_that_was_done_already_is_found_instead_of_refused(fake: FakeStripe) -> None:
    driver = authorized(fake)
    driver.capture(operation_id="payop_1", idempotency_key="first")
    again = driver.capture(operation_id="payop_1", idempotency_key="second")
    assert again.outcome == Outcome.SUCCEEDED
    assert again.amount == HUNDRED
    assert fake.intent_of(driver.session_id)["amount_received"] == 10000


def test_a_refund_that_was_made_already_is_found_instead_of_refused(fake: FakeStripe) -> None:
    driver = captured(fake)
    first = driver.refund(operation_id="payop_1", idempotency_key="first")
    again = driver.refund(operation_id="payop_1", idempotency_key="second")
    assert again.provider_reference == first.provider_reference
    assert again.outcome == Outcome.SUCCEEDED
    assert fact_of(driver).refunded_amount == HUNDRED


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("Duplicate", "duplicate"),
        ("requested by customer", "requested_by_customer"),
        ("fraudulent", "fraudulent"),
        ("Damaged in transit", None),
        (None, None),
    ],
)
def test_only_a_reason_that_stripe_knows_is_sent(
    fake: FakeStripe, given: str | None, sent: str | None
) -> None:
    driver = captured(fake)
    driver.refund(reason=given)
    [refund] = fake.books.all("refund")
    assert refund["reason"] == sent
    assert refund["metadata"]["payment_operation"] == driver.operation_ids[-1]
    assert refund["metadata"]["payment_refund"].startswith("ref_")


@pytest.mark.parametrize(
    ("left", "code"), [(FORTY, "invalid_amount"), (Decimal(0), "charge_already_refunded")]
)
def test_a_refund_of_more_than_is_left_has_a_code(fake: FakeStripe, left: Decimal, code: str) -> None:
    driver = captured(fake)
    driver.refund(HUNDRED - left)
    assert refusal_of(driver.refund(Decimal("40.01"))).code == code


@pytest.mark.parametrize(
    ("succeeds", "status"), [(True, MovementStatus.SUCCEEDED), (False, MovementStatus.FAILED)]
)
def test_a_slow_refund_is_pending_until_it_is_settled(
    fake: FakeStripe, succeeds: bool, status: MovementStatus
) -> None:
    driver = captured(fake, "pm_card_pendingRefund")
    result = driver.refund(SIXTY)
    assert result.outcome == Outcome.PENDING
    assert fact_of(driver).refunded_amount == 0
    fake.movements.settle_refund(result.provider_reference or "", succeeds=succeeds)
    fact = fact_of(driver)
    [refund] = [row for row in fact.movements if row.kind == MovementKind.REFUND]
    assert refund.status == status
    assert fact.refunded_amount == (SIXTY if succeeds else 0)


def test_a_refund_that_fails_after_all_says_why(fake: FakeStripe) -> None:
    driver = captured(fake, "pm_card_refundFail")
    refund_id = driver.refund(SIXTY).provider_reference
    fake.movements.settle_refund(refund_id or "", succeeds=False)
    [refund] = [row for row in fact_of(driver).movements if row.kind == MovementKind.REFUND]
    assert refund.status == MovementStatus.FAILED
    assert refund.failure is not None
    assert refund.failure.code == "refund_expired_or_canceled_card"


def test_what_was_done_in_the_dashboard_is_reported_without_an_operation(fake: FakeStripe) -> None:
    driver = authorized(fake)
    intent_id = driver.provider_reference or ""
    fake.intents.capture(intent_id, {"amount_to_capture": 6000})
    fake.movements.refund({"payment_intent": intent_id, "amount": 1000})
    fact = fact_of(driver)
    assert (fact.captured_amount, fact.refunded_amount) == (SIXTY, Decimal("10.00"))
    [refund] = fact.movements
    assert (refund.kind, refund.operation_id) == (MovementKind.REFUND, None)


def test_hundreds_of_refunds_are_all_read(fake: FakeStripe) -> None:
    driver = captured(fake)
    for _number in range(205):
        fake.movements.refund({"payment_intent": driver.provider_reference, "amount": 10})
    fact = fact_of(driver)
    assert fact.refunded_amount == Decimal("20.50")
    assert len(fact.movements) == 206


@pytest.mark.parametrize(
    ("status", "charged_back"),
    [
        ("needs_response", SIXTY),
        ("under_review", SIXTY),
        ("lost", SIXTY),
        ("won", SIXTY),
        ("warning_needs_response", None),
        ("warning_closed", None),
    ],
)
def test_a_dispute_counts_once_stripe_has_taken_the_money(
    fake: FakeStripe, status: str, charged_back: Decimal | None
) -> None:
    driver = captured(fake)
    fake.movements.dispute(driver.provider_reference or "", amount=6000, status=status)
    fact = fact_of(driver)
    assert fact.charged_back_amount == charged_back
    assert fact.reinstated_amount == (charged_back if status == "won" else None)


@pytest.mark.parametrize(
    ("status", "told"), [("needs_response", True), ("lost", True), ("won", False), ("warning_closed", False)]
)
def test_a_dispute_in_another_currency_is_told_of(fake: FakeStripe, status: str, told: bool) -> None:
    driver = captured(fake)
    dispute = fake.movements.dispute(driver.provider_reference or "", amount=11000, status=status)
    fake.books.objects[dispute["id"]]["currency"] = "usd"
    fact = fact_of(driver)
    assert (fact.charged_back_amount, fact.reinstated_amount) == (None, None)
    assert fact.unclear_charge_backs == ((f"110.00 usd ({dispute['id']})",) if told else ())


@pytest.mark.shows(
    "A dispute at Stripe is prevented by giving the money back, won in part, or appealed",
    "What Stripe has taken and given back counts, and a status that isn't known yet counts as an open dispute",
)
@pytest.mark.parametrize(
    ("status", "moves", "charged_back", "reinstated"),
    [
        ("prevented", [-6000], SIXTY, None),
        ("prevented", [], None, None),
        ("lost", [-6000, 4000], SIXTY, Decimal("40.00")),
        ("lost", [-6000, 6000, -6000], Decimal("120.00"), SIXTY),
        ("won", [-6000, 6000], SIXTY, SIXTY),
        ("under_review", [-6000, 6000], SIXTY, None),
        ("appeal_needs_response", [-6000, 6000], SIXTY, None),
        ("of_next_year", [], SIXTY, None),
    ],
)
def test_what_a_dispute_has_moved_counts(
    fake: FakeStripe,
    status: str,
    moves: list[int],
    charged_back: Decimal | None,
    reinstated: Decimal | None,
) -> None:
    driver = captured(fake)
    dispute = fake.movements.dispute(driver.provider_reference or "", amount=6000, status=status)
    fake.books.objects[dispute["id"]]["balance_transactions"] = [
        {"amount": units, "currency": "eur"} for units in moves
    ]
    fact = fact_of(driver)
    assert (fact.charged_back_amount, fact.reinstated_amount) == (charged_back, reinstated)


@pytest.mark.parametrize(("moves", "charged_back"), [([-6500], SIXTY), ([], None)])
def test_what_a_prevented_dispute_has_moved_in_the_shops_currency_counts_in_the_payments(
    fake: FakeStripe, moves: list[int], charged_back: Decimal | None
) -> None:
    driver = captured(fake)
    dispute = fake.movements.dispute(driver.provider_reference or "", amount=6000, status="prevented")
    fake.books.objects[dispute["id"]]["balance_transactions"] = [
        {"amount": units, "currency": "usd"} for units in moves
    ]
    assert fact_of(driver).charged_back_amount == charged_back


def test_a_disputed_payment_is_not_refunded(fake: FakeStripe) -> None:
    driver = captured(fake)
    fake.movements.dispute(driver.provider_reference or "", amount=10000)
    assert refusal_of(driver.refund()).code == "charge_disputed"


def test_captures_that_the_total_does_not_bear_out_are_not_believed(fake: FakeStripe) -> None:
    driver = captured(fake)
    fake.intent_of(driver.session_id)["metadata"]["capture_payop_forged"] = "99999"
    fact = fact_of(driver)
    assert fact.movements == ()
    assert fact.captured_amount == HUNDRED
