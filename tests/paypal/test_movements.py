"""Captures, releases and disputes with PayPal, also what was done in its dashboard."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from payments.providers.paypal.errors import PayPalAnswerError
from payments.states import MovementStatus, Outcome, SessionStatus
from payments.testing.contract.driver import fact_of
from tests.paypal.conftest import authorized, captured
from tests.paypal.fake import FakePayPal, Fault, Funding
from tests.providers.results import refusal_of

pytestmark = pytest.mark.database_independent

HUNDRED = Decimal("100.00")
SIXTY = Decimal("60.00")
FORTY = Decimal("40.00")


def test_a_partial_capture_takes_the_exact_amount_and_releases_the_rest(fake: FakePayPal) -> None:
    driver = authorized(fake)
    result = driver.capture(SIXTY)
    assert (result.amount, result.releases_remainder) == (SIXTY, True)
    fact = fact_of(driver)
    assert (fact.authorized_amount, fact.captured_amount, fact.canceled_amount) == (HUNDRED, SIXTY, FORTY)
    assert fact.movements[0].operation_id == driver.operation_ids[-1]


def test_several_captures_are_told_apart_where_the_account_allows_them(fake: FakePayPal) -> None:
    driver = authorized(fake, multicapture=True)
    for amount in (Decimal("10.00"), Decimal("10.00"), FORTY):
        result = driver.capture(amount)
        assert (result.amount, result.releases_remainder) == (amount, False)
    assert fact_of(driver).canceled_amount is None
    assert driver.cancel(FORTY, payment_id=driver.payment_id).outcome == Outcome.SUCCEEDED
    fact = fact_of(driver)
    assert (fact.captured_amount, fact.canceled_amount, fact.status) == (
        SIXTY,
        FORTY,
        SessionStatus.AUTHORIZED,
    )
    assert len({row.provider_reference for row in fact.movements}) == 3


def test_more_than_is_held_is_not_taken_though_paypal_would_allow_it(fake: FakePayPal) -> None:
    driver = authorized(fake)
    assert refusal_of(driver.capture(Decimal("100.01"))).code == "max_capture_amount_exceeded"
    assert "capture" not in fake.executed
    authorization = fake.authorization_of(driver.session_id)
    money = {"currency_code": "EUR", "value": "110.00"}
    assert fake.movements.capture(authorization.id, {"amount": money})["status"] == "COMPLETED"
    assert fact_of(driver).captured_amount == Decimal("110.00")


def test_a_capture_that_was_done_already_is_found_instead_of_repeated(fake: FakePayPal) -> None:
    driver = authorized(fake)
    first = driver.capture(operation_id="payop_1", idempotency_key="first")
    again = driver.capture(operation_id="payop_1", idempotency_key="second")
    assert (again.outcome, again.provider_reference) == (Outcome.SUCCEEDED, first.provider_reference)
    assert fake.executed.count("capture") == 1


def test_paypal_itself_refuses_a_second_capture_for_the_same_operation(fake: FakePayPal) -> None:
    driver = authorized(fake, multicapture=True)
    driver.capture(FORTY, operation_id="payop_1")
    capture = fake.captures_of(driver.session_id)[0]
    capture.parent, parent = "elsewhere", capture.parent  # a look that is behind doesn't show it
    result = driver.capture(FORTY, operation_id="payop_1", idempotency_key="another")
    capture.parent = parent
    assert refusal_of(result).code == "duplicate_invoice_id"
    assert fact_of(driver).captured_amount == FORTY


@pytest.mark.parametrize(
    ("succeeds", "status"), [(True, MovementStatus.SUCCEEDED), (False, MovementStatus.FAILED)]
)
def test_a_slow_capture_is_pending_until_it_is_settled(
    fake: FakePayPal, succeeds: bool, status: MovementStatus
) -> None:
    driver = authorized(fake, Funding.ECHECK)
    result = driver.capture()
    assert result.outcome == Outcome.PENDING
    assert fact_of(driver).captured_amount == 0
    assert driver.refund().failure is not None
    fake.movements.settle_capture(result.provider_reference or "", succeeds=succeeds)
    fact = fact_of(driver)
    assert [row.status for row in fact.movements] == [status]
    assert fact.captured_amount == (HUNDRED if succeeds else 0)


def test_a_declined_capture_takes_nothing_and_can_be_tried_again(fake: FakePayPal) -> None:
    driver = authorized(fake, Funding.CAPTURE_DECLINES)
    assert refusal_of(driver.capture()).code == "capture_declined"
    fake.order_of(driver.session_id).data["funding"] = Funding.GOOD
    assert driver.capture().outcome == Outcome.SUCCEEDED
    assert fact_of(driver).captured_amount == HUNDRED


def test_releasing_what_is_released_already_is_no_refusal(fake: FakePayPal) -> None:
    driver = authorized(fake)
    fake.movements.void(fake.authorization_of(driver.session_id).id)
    assert driver.cancel(payment_id=driver.payment_id).outcome == Outcome.SUCCEEDED
    partly = authorized(fake)
    partly.capture(SIXTY)
    assert partly.cancel(FORTY, payment_id=partly.payment_id).outcome == Outcome.SUCCEEDED


def test_what_is_captured_is_not_canceled(fake: FakePayPal) -> None:
    driver = captured(fake)
    assert refusal_of(driver.cancel(payment_id=driver.payment_id)).code == "previously_captured"


def test_an_authorization_that_ran_out_is_canceled_and_cannot_be_captured(fake: FakePayPal) -> None:
    driver = authorized(fake)
    fake.movements.expire(fake.authorization_of(driver.session_id).id)
    result = driver.capture()
    assert result.failure is not None
    assert result.failure.code == "authorization_voided"
    assert fact_of(driver).status == SessionStatus.CANCELED


def test_an_authorization_says_until_when_it_holds(fake: FakePayPal) -> None:
    driver = authorized(fake)
    fact = fact_of(driver)
    assert fact.expires_at is not None
    assert fact.expires_at.isoformat().startswith(
        fake.authorization_of(driver.session_id).data["expiration_time"][:19]
    )


def test_what_was_done_in_the_dashboard_is_reported_without_an_operation(fake: FakePayPal) -> None:
    driver = authorized(fake)
    money = {"currency_code": "EUR", "value": "60.00"}
    taken = fake.movements.capture(fake.authorization_of(driver.session_id).id, {"amount": money})
    fake.movements.refund(taken["id"], {"amount": {"currency_code": "EUR", "value": "10.00"}})
    fact = fact_of(driver)
    assert (fact.captured_amount, fact.refunded_amount) == (SIXTY, Decimal("10.00"))
    assert [row.operation_id for row in fact.movements] == [None, None]


@pytest.mark.parametrize(
    ("stage", "outcome", "charged_back", "reinstated"),
    [
        ("INQUIRY", None, None, None),
        ("INQUIRY", "CANCELED_BY_BUYER", None, None),
        ("INQUIRY", "ACCEPTED", SIXTY, None),
        ("CHARGEBACK", None, SIXTY, None),
        ("PRE_ARBITRATION", None, SIXTY, None),
        ("CHARGEBACK", "RESOLVED_BUYER_FAVOUR", SIXTY, None),
        ("CHARGEBACK", "RESOLVED_SELLER_FAVOUR", SIXTY, SIXTY),
        ("CHARGEBACK", "RESOLVED_WITH_PAYOUT", SIXTY, SIXTY),
        ("CHARGEBACK", "CANCELED_BY_BUYER", SIXTY, SIXTY),
    ],
)
def test_a_claim_keeps_the_money_until_it_is_won(
    fake: FakePayPal,
    stage: str,
    outcome: str | None,
    charged_back: Decimal | None,
    reinstated: Decimal | None,
) -> None:
    driver = captured(fake)
    [capture] = fake.captures_of(driver.session_id)
    dispute = fake.movements.dispute(capture.id, amount="60.00", stage=stage)
    if outcome is not None:
        fake.movements.resolve(dispute, outcome)
    fact = fact_of(driver)
    assert (fact.charged_back_amount, fact.reinstated_amount) == (charged_back, reinstated)


@pytest.mark.parametrize(
    ("outcome", "told"), [(None, True), ("RESOLVED_BUYER_FAVOUR", True), ("RESOLVED_SELLER_FAVOUR", False)]
)
def test_a_claim_in_another_currency_is_told_of(fake: FakePayPal, outcome: str | None, told: bool) -> None:
    driver = captured(fake)
    [capture] = fake.captures_of(driver.session_id)
    dispute = fake.movements.dispute(capture.id, amount="110.00")
    dispute.currency = "USD"
    if outcome is not None:
        fake.movements.resolve(dispute, outcome)
    fact = fact_of(driver)
    assert (fact.charged_back_amount, fact.reinstated_amount) == (None, None)
    assert fact.unclear_charge_backs == ((f"110.00 USD ({dispute.id})",) if told else ())


def test_an_app_that_may_not_read_disputes_reports_the_rest(
    fake: FakePayPal, caplog: pytest.LogCaptureFixture
) -> None:
    driver = captured(fake)
    fake.movements.may_read_disputes = False
    fact = fact_of(driver)
    assert "permission “Disputes”" in caplog.text
    assert (fact.captured_amount, fact.charged_back_amount) == (HUNDRED, None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda order: order.update(purchase_units=[]),
        lambda order: order.update(status=None),
        lambda order: order["purchase_units"][0]["amount"].update(value="a lot"),
        lambda order: order["purchase_units"][0]["amount"].update(value=100),
        lambda order: order["purchase_units"][0]["payments"]["captures"][0]["amount"].update(
            currency_code="USD"
        ),
        lambda order: order["purchase_units"][0]["payments"]["authorizations"][0].update(
            expiration_time="soon"
        ),
    ],
)
def test_an_order_that_is_not_as_documented_is_not_believed(
    fake: FakePayPal, spoil: Callable[[dict[str, object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = captured(fake)
    shown = fake.orders.shown(fake.order_of(driver.session_id))
    spoil(shown)
    monkeypatch.setattr(fake.orders, "shown", lambda order: shown)
    assert driver.retrieve().outcome == Outcome.UNKNOWN
    assert isinstance(driver.error, PayPalAnswerError)


def test_what_another_program_has_renewed_is_captured_by_the_new_authorization(fake: FakePayPal) -> None:
    driver = authorized(fake)
    first = fake.authorization_of(driver.session_id)
    renewal = fake.movements.reauthorize(first.id)
    assert driver.capture().outcome == Outcome.SUCCEEDED
    assert (first.status, renewal.status) == ("CREATED", "CAPTURED")
    assert (fact_of(driver).authorized_amount, fact_of(driver).captured_amount) == (HUNDRED, HUNDRED)


def test_a_renewal_that_is_denied_leaves_what_the_first_authorization_holds(fake: FakePayPal) -> None:
    driver = authorized(fake)
    first = fake.authorization_of(driver.session_id)
    fake.movements.reauthorize(first.id, accepts=False)
    fact = fact_of(driver)
    assert (fact.status, fact.authorized_amount, fact.failure) == (SessionStatus.AUTHORIZED, HUNDRED, None)
    assert driver.capture().outcome == Outcome.SUCCEEDED
    assert first.status == "CAPTURED"


def test_a_renewed_authorization_is_released_by_the_first_one(fake: FakePayPal) -> None:
    driver = authorized(fake)
    first = fake.authorization_of(driver.session_id)
    renewal = fake.movements.reauthorize(first.id)
    for _time in range(2):
        assert driver.cancel(payment_id=driver.payment_id).outcome == Outcome.SUCCEEDED
    assert driver.resend().outcome == Outcome.SUCCEEDED
    assert (first.status, renewal.status) == ("VOIDED", "VOIDED")
    assert fact_of(driver).status == SessionStatus.CANCELED


@pytest.mark.parametrize("fault", [Fault.SILENCE_AFTER, Fault.ERROR_AFTER, Fault.SILENCE_BEFORE])
def test_a_release_of_what_was_renewed_can_be_sent_again(fake: FakePayPal, fault: Fault) -> None:
    driver = authorized(fake)
    renewal = fake.movements.reauthorize(fake.authorization_of(driver.session_id).id)
    fake.misbehave("void", fault, after=1)
    assert driver.cancel(payment_id=driver.payment_id).outcome == Outcome.UNKNOWN
    assert driver.resend().outcome == Outcome.SUCCEEDED
    assert renewal.status == "VOIDED"
    assert fake.executed.count("void") == 1
