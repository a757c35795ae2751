"""How certain an answer is: nothing done, refused, done, or nobody knows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from payments.providers.paypal.errors import PayPalAnswerError
from payments.states import Outcome
from payments.testing import SessionDriver
from payments.testing.contract.wire import answering_address, closed_address, silent_address
from tests.fakes import USELESS
from tests.paypal.conftest import authorized, captured, driver_for, provider_for
from tests.paypal.fake import FakePayPal, Fault, Funding
from tests.providers.results import refusal_of

pytestmark = pytest.mark.database_independent


def taken(fake: FakePayPal, driver: SessionDriver) -> Decimal:
    return fake.movements.captured(fake.authorization_of(driver.session_id))


@pytest.mark.parametrize("fault", USELESS)
def test_after_a_useless_answer_nobody_knows(fake: FakePayPal, fault: Fault) -> None:
    driver = authorized(fake)
    fake.misbehave("capture", fault)
    assert driver.capture().outcome == Outcome.UNKNOWN
    assert taken(fake, driver) == (100 if fault.acts else 0)


@pytest.mark.parametrize(
    "fault", [Fault.SILENCE_AFTER, Fault.SILENCE_BEFORE, Fault.ERROR_AFTER, Fault.CONFLICT]
)
def test_what_is_sent_again_under_its_key_is_done_once(fake: FakePayPal, fault: Fault) -> None:
    driver = authorized(fake)
    fake.misbehave("capture", fault)
    assert driver.capture().outcome == Outcome.UNKNOWN
    again = driver.resend()
    assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, Decimal("100.00"))
    assert fake.executed.count("capture") == 1


def test_too_many_requests_means_that_nothing_was_done(fake: FakePayPal) -> None:
    driver = authorized(fake)
    fake.misbehave("capture", Fault.TOO_MANY)
    result = driver.capture()
    assert result.outcome == Outcome.NOT_SENT
    assert result.failure is not None
    assert result.failure.code == "rate_limited"
    assert driver.resend().outcome == Outcome.SUCCEEDED


def test_refused_credentials_mean_that_nothing_was_done(fake: FakePayPal) -> None:
    driver = SessionDriver(provider=provider_for(fake, client_secret="wrong-secret"))
    result = driver.initiate()
    assert result.outcome == Outcome.NOT_SENT
    assert result.failure is not None
    assert result.failure.code == "api_key_refused"
    assert "wrong-secret" not in f"{result!r}"


def test_a_connection_that_was_refused_means_that_nothing_was_done(fake: FakePayPal) -> None:
    with closed_address() as url:
        driver = SessionDriver(provider=provider_for(fake, base_url=url))
        assert driver.initiate().outcome == Outcome.NOT_SENT


def test_without_an_access_token_nothing_was_asked_for(fake: FakePayPal) -> None:
    with silent_address() as url:
        silent = SessionDriver(provider=provider_for(fake, base_url=url, timeout=0.05))
        assert silent.initiate().outcome == Outcome.NOT_SENT
    for fault in (Fault.ERROR_BEFORE, Fault.GARBAGE_AFTER, Fault.TOO_MANY, Fault.CUT_OFF_AFTER):
        fake.misbehave("token", fault)
        assert SessionDriver(provider=provider_for(fake)).initiate().outcome == Outcome.NOT_SENT
    assert fake.books.rows == {}


def test_one_token_serves_many_calls(fake: FakePayPal) -> None:
    captured(fake)
    captured(fake)
    assert fake.executed.count("token") == 1


def test_a_token_is_not_used_up_to_its_last_minute(fake: FakePayPal) -> None:
    fake.token_lasts = 50
    driver_for(fake)
    driver_for(fake)
    assert fake.executed.count("token") == 2


def test_a_withdrawn_token_is_replaced_and_the_call_made_once(fake: FakePayPal) -> None:
    driver = authorized(fake)
    fake.withdraw_tokens()
    assert driver.capture().outcome == Outcome.SUCCEEDED
    assert fake.executed.count("token") == 2
    assert fake.executed.count("capture") == 1


def test_an_error_that_is_not_paypal_s_is_unknown(fake: FakePayPal) -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    driver = authorized(fake)
    with answering_address(page) as url:
        options = replace(driver.provider.options, base_url=url)
        from_proxy = SessionDriver(provider=type(driver.provider)(alias="paypal", options=options))
        assert from_proxy.initiate().outcome == Outcome.NOT_SENT, "Not even a token was given."


def test_a_redirect_is_not_followed(fake: FakePayPal) -> None:
    moved = (
        b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n{}"
    )
    with answering_address(moved) as url:
        driver = SessionDriver(provider=provider_for(fake, base_url=url))
        assert driver.initiate().outcome == Outcome.NOT_SENT


@pytest.mark.parametrize(
    ("funding", "code"),
    [
        (Funding.DECLINED, "instrument_declined"),
        (Funding.REFUSED, "transaction_refused"),
        (Funding.DENIED, "authorization_denied"),
    ],
)
def test_a_payer_s_means_that_do_not_pay_are_refused_with_paypal_s_issue(
    fake: FakePayPal, funding: Funding, code: str
) -> None:
    driver = driver_for(fake, funding)
    failure = refusal_of(driver.authorize())
    assert failure.code == code
    assert failure.message


def test_an_operator_can_read_what_paypal_s_support_asks_for(fake: FakePayPal) -> None:
    result = driver_for(fake, Funding.DECLINED).authorize()
    assert result.failure is not None
    assert "debug_id: " in result.failure.detail
    assert "INSTRUMENT_DECLINED" in result.failure.detail


def test_an_order_that_was_not_approved_says_where_to_approve_it(fake: FakePayPal) -> None:
    driver = driver_for(fake, None)
    action = driver.authorize().next_action
    assert action is not None
    assert (action.type, action.url) == ("redirect", driver.data["approve_url"])
    assert "authorize" not in fake.executed


def test_an_amount_raised_after_approval_has_to_be_approved_again(fake: FakePayPal) -> None:
    driver = driver_for(fake, None)
    fake.orders.approve(driver.provider_reference or "")
    driver.update(Decimal("120.00"))
    result = driver.authorize()
    assert result.next_action is not None
    assert result.next_action.url == driver.data["approve_url"]
    fake.orders.approve(driver.provider_reference or "")
    assert driver.authorize().amount == Decimal("120.00")


def test_an_authorization_in_review_is_pending_until_it_is_settled(fake: FakePayPal) -> None:
    for accepts, outcome in ((True, Outcome.SUCCEEDED), (False, Outcome.DECLINED)):
        driver = driver_for(fake, Funding.IN_REVIEW)
        assert driver.authorize().outcome == Outcome.PENDING
        fake.orders.settle_authorization(driver.provider_reference or "", accepts=accepts)
        assert driver.authorize().outcome == outcome


def test_an_order_that_has_lapsed_is_a_definite_refusal(fake: FakePayPal) -> None:
    driver = driver_for(fake, None)
    fake.orders.lapse(driver.provider_reference or "")
    assert refusal_of(driver.authorize()).code == "invalid_resource_id"
    assert driver.cancel().outcome == Outcome.SUCCEEDED, "What is gone needn't be abandoned."


def test_a_payment_s_order_that_is_not_found_means_that_nobody_knows(fake: FakePayPal) -> None:
    driver = captured(fake)
    fake.orders.lapse(driver.provider_reference or "")
    assert driver.capture().outcome == Outcome.UNKNOWN
    assert driver.refund().outcome == Outcome.UNKNOWN
    assert driver.cancel(payment_id=driver.payment_id).outcome == Outcome.UNKNOWN
    assert driver.retrieve().fact is None


def test_an_order_is_paid_as_it_was_made_whatever_the_options_say_now(fake: FakePayPal) -> None:
    driver = driver_for(fake, intent="capture")
    driver.provider = provider_for(fake)
    assert driver.authorize().captured_amount == Decimal("100.00")


def test_an_order_authorized_meanwhile_is_found_instead_of_refused(
    fake: FakePayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = driver_for(fake)
    fake.misbehave("authorize", Fault.CUT_OFF_AFTER)
    assert driver.authorize().outcome == Outcome.UNKNOWN
    stale = fake.orders.shown(fake.order_of(driver.session_id))
    stale["status"] = "APPROVED"
    del stale["purchase_units"][0]["payments"]
    answers = iter([stale])
    show = fake.orders.shown
    monkeypatch.setattr(fake.orders, "shown", lambda order: next(answers, None) or show(order))
    again = driver.authorize()
    assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, Decimal("100.00"))


def test_not_reaching_paypal_after_a_refusal_does_not_mean_not_done(fake: FakePayPal) -> None:
    driver = driver_for(fake, Funding.DECLINED)
    fake.orders.approve(driver.provider_reference or "", Funding.DECLINED)
    fake.misbehave("authorize", Fault.TOO_MANY)
    assert driver.authorize().outcome == Outcome.NOT_SENT
    driver.authorize()
    update = driver_for(fake, None)
    fake.misbehave("retrieve", Fault.TOO_MANY)
    assert update.update(Decimal("50.00")).outcome == Outcome.UNKNOWN
    assert isinstance(update.error, PayPalAnswerError)


def test_an_abandoned_order_cannot_be_authorized_even_if_its_payer_approves_it(fake: FakePayPal) -> None:
    driver = driver_for(fake)
    assert driver.cancel().outcome == Outcome.SUCCEEDED
    result = driver.authorize()
    assert result.outcome == Outcome.DECLINED
    assert fake.order_of(driver.session_id).status == "APPROVED"
    assert "authorize" not in fake.executed


def test_every_post_has_a_key_of_ours(fake: FakePayPal) -> None:
    driver = captured(fake)
    driver.refund()
    posts = [row for row in fake.requests if row.method == "POST" and "oauth2" not in row.path]
    keys = [str(row.key) for row in posts]
    assert [key.partition("-")[0] for key in keys] == driver.operation_ids
    assert all(len(key) <= 108 for key in keys), "PayPal takes no longer ones."


def test_money_is_taken_at_once_where_that_is_asked_for(fake: FakePayPal) -> None:
    driver = driver_for(fake, intent="capture")
    result = driver.authorize()
    assert (result.amount, result.captured_amount) == (Decimal("100.00"), Decimal("100.00"))
    assert driver.capture().outcome == Outcome.DECLINED
    assert driver.cancel(payment_id=driver.payment_id).outcome == Outcome.DECLINED
    assert driver.refund().outcome == Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("funding", "outcome"),
    [(Funding.ECHECK, Outcome.PENDING), (Funding.CAPTURE_DECLINES, Outcome.DECLINED)],
)
def test_money_that_is_not_taken_at_once_is_not_authorized(
    fake: FakePayPal, funding: Funding, outcome: Outcome
) -> None:
    assert driver_for(fake, funding, intent="capture").authorize().outcome == outcome
