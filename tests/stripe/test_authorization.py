"""Authorizing with Stripe: by the server, by the payer's browser, at once or later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from payments.providers import NextAction, PaymentContext
from payments.states import Outcome, SessionStatus
from payments.testing import Attempt, SessionDriver
from payments.testing.contract.driver import fact_of
from tests.providers.results import refusal_of
from tests.stripe.conftest import VISA, driver_for, provider_for
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.database_independent


def test_an_intent_says_whose_it_is_and_how_it_is_paid(fake: FakeStripe) -> None:
    driver = SessionDriver(
        provider=provider_for(fake, statement_descriptor_suffix="SHOP 7"),
        context=PaymentContext(description="Order 1001", return_url="https://shop.example/back"),
    )
    driver.initiate()
    intent = fake.intent_of(driver.session_id)
    assert intent["amount"] == 10000
    assert intent["capture_method"] == "manual"
    assert intent["description"] == "Order 1001"
    assert intent["statement_descriptor_suffix"] == "SHOP 7"
    assert intent["automatic_payment_methods"] == {"enabled": True, "allow_redirects": "always"}
    assert intent["metadata"] == {
        "payment_session": driver.session_id,
        "payment_collection": driver.collection_id,
        "payment_operation": driver.operation_ids[0],
        "payment_return_url": "https://shop.example/back",
    }
    assert fake.requests[0].key == driver.operation_ids[0]


def test_without_a_way_back_no_redirects_are_offered(fake: FakeStripe) -> None:
    driver = SessionDriver(provider=provider_for(fake), context=PaymentContext())
    driver.initiate()
    offered = fake.intent_of(driver.session_id)["automatic_payment_methods"]
    assert offered == {"enabled": True, "allow_redirects": "never"}


def test_payment_methods_may_be_listed(fake: FakeStripe) -> None:
    driver = driver_for(fake, payment_method_types=["card", "link"])
    assert fake.intent_of(driver.session_id)["payment_method_types"] == ["card", "link"]


def test_data_is_what_the_browser_s_script_needs_and_no_more(fake: FakeStripe) -> None:
    driver = driver_for(fake)
    driver.authorize()
    intent = fake.intent_of(driver.session_id)
    assert driver.data == {
        "intent_id": intent["id"],
        "client_secret": intent["client_secret"],
        "publishable_key": "pk_test_fake",
        "status": "requires_capture",
        "next_action": None,
    }
    assert driver.provider_data["latest_charge"] == intent["latest_charge"]


@pytest.mark.parametrize(
    ("sent", "outcome"), [("ctoken_visa", Outcome.SUCCEEDED), ("ctoken_none", Outcome.DECLINED)]
)
def test_a_confirmation_token_authorizes(fake: FakeStripe, sent: str, outcome: Outcome) -> None:
    driver = driver_for(fake, None)
    assert driver.authorize(input={"confirmation_token": sent}).outcome == outcome


def test_a_confirmation_token_comes_with_the_authorization_only(fake: FakeStripe) -> None:
    driver = SessionDriver(provider=provider_for(fake))
    result = driver.initiate(input={"confirmation_token": "ctoken_visa"})
    assert refusal_of(result).code == "confirmation_token_too_early"
    assert fake.requests == []


def test_a_method_chosen_early_is_confirmed_when_the_session_is_authorized(fake: FakeStripe) -> None:
    driver = SessionDriver(provider=provider_for(fake), attempt=Attempt(initiate_input=VISA))
    driver.initiate()
    assert fake.intent_of(driver.session_id)["status"] == "requires_confirmation"
    assert driver.authorize().amount == Decimal("100.00")


def test_a_method_may_be_chosen_with_a_change_of_amount(fake: FakeStripe) -> None:
    driver = driver_for(fake, None)
    driver.update(Decimal("60.00"), input=VISA)
    assert driver.authorize().amount == Decimal("60.00")


def test_a_payer_who_has_confirmed_in_the_browser_is_authorized(fake: FakeStripe) -> None:
    driver = driver_for(fake, None)
    fake.intents.confirm(driver.provider_reference or "", VISA)
    result = driver.authorize()
    assert result.outcome == Outcome.SUCCEEDED
    assert result.amount == Decimal("100.00")
    assert "confirm" not in fake.executed


def test_a_payer_who_has_chosen_nothing_is_told_so(fake: FakeStripe) -> None:
    assert refusal_of(driver_for(fake, None).authorize()).code == "payment_method_required"


def test_a_challenge_is_a_redirect_where_there_is_a_way_back(fake: FakeStripe) -> None:
    driver = driver_for(fake, "pm_card_authenticationRequired")
    result = driver.authorize()
    assert result.outcome == Outcome.SUCCEEDED
    assert result.next_action is not None
    assert result.next_action.type == "redirect"
    assert str(result.next_action.url).startswith("https://hooks.stripe.com/")
    assert driver.data["next_action"] == {"type": "redirect", "url": result.next_action.url}


def test_a_challenge_is_for_stripe_s_script_where_there_is_none(fake: FakeStripe) -> None:
    driver = SessionDriver(
        provider=provider_for(fake),
        attempt=Attempt(input={"payment_method": "pm_card_authenticationRequired"}),
        context=PaymentContext(),
    )
    driver.initiate()
    assert driver.authorize().next_action == NextAction(type="provider_script")


def test_a_failed_challenge_is_a_refusal_and_may_be_tried_again(fake: FakeStripe) -> None:
    driver = driver_for(fake, "pm_card_authenticationRequired")
    driver.authorize()
    fake.intents.authenticate(driver.provider_reference or "", succeeds=False)
    assert refusal_of(driver.authorize(input={})).code == "authentication_failed"
    assert driver.authorize(input=VISA).outcome == Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("succeeds", "status"), [(True, SessionStatus.AUTHORIZED), (False, SessionStatus.ERROR)]
)
def test_a_slow_method_is_pending_until_it_is_settled(
    fake: FakeStripe, succeeds: bool, status: SessionStatus
) -> None:
    driver = driver_for(fake, "pm_usBankAccount_success", capture_method="automatic")
    assert driver.authorize().outcome == Outcome.PENDING
    assert fact_of(driver).status == SessionStatus.PENDING
    fake.intents.settle(driver.provider_reference or "", succeeds=succeeds)
    fact = fact_of(driver)
    assert fact.status == status
    assert fact.captured_amount == (Decimal("100.00") if succeeds else 0)


def test_automatic_capture_takes_the_money_at_once(fake: FakeStripe) -> None:
    driver = driver_for(fake, capture_method="automatic")
    result = driver.authorize()
    assert (result.amount, result.captured_amount) == (Decimal("100.00"), Decimal("100.00"))
    driver.refund(Decimal("30.00"))
    fact = fact_of(driver)
    assert (fact.authorized_amount, fact.captured_amount) == (Decimal("100.00"), Decimal("100.00"))
    assert (fact.refunded_amount, fact.canceled_amount) == (Decimal("30.00"), Decimal("0.00"))


def test_an_authorization_expires_when_the_card_s_bank_lets_go(fake: FakeStripe) -> None:
    expires_at = driver_for(fake).authorize().expires_at
    assert expires_at is not None
    assert timedelta(days=6) < expires_at - datetime.now(UTC) <= timedelta(days=7)


def test_a_canceled_session_is_not_authorized(fake: FakeStripe) -> None:
    driver = driver_for(fake)
    driver.cancel()
    assert fake.intent_of(driver.session_id)["cancellation_reason"] == "abandoned"
    assert refusal_of(driver.authorize()).code == "payment_intent_unexpected_state"


def test_a_session_that_stripe_does_not_know_is_refused_without_a_call(fake: FakeStripe) -> None:
    driver = SessionDriver(provider=provider_for(fake))
    for call in (driver.authorize, driver.capture, driver.refund, driver.cancel):
        assert call().outcome == Outcome.DECLINED
    assert fake.requests == []


def test_a_very_long_way_back_is_kept_only_here(fake: FakeStripe) -> None:
    context = PaymentContext(return_url="https://shop.example/" + "x" * 500)
    driver = SessionDriver(provider=provider_for(fake), context=context)
    assert driver.initiate().outcome == Outcome.SUCCEEDED
    assert "payment_return_url" not in fake.intent_of(driver.session_id)["metadata"]


@pytest.mark.parametrize("sent", [{"payment_method": "pm_gone"}, {"confirmation_token": "ctoken_gone"}])
def test_a_method_that_stripe_does_not_know_leaves_the_intent_in_force(
    fake: FakeStripe, sent: dict[str, str]
) -> None:
    driver = driver_for(fake)
    result = driver.authorize(input=sent)
    assert (result.outcome, result.is_missing) == (Outcome.DECLINED, False)
