"""Declines: Stripe's many codes as a few, with advice for operators and words for payers."""

from __future__ import annotations

import pytest
from django.utils.translation import override

from payments.providers.stripe.errors import TAXONOMY, Advice, Reason, card_failure, request_failure
from payments.testing.contract.driver import fact_of
from tests.providers.results import refusal_of
from tests.stripe.conftest import driver_for
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.database_independent

PUBLISHED = """
    authentication_required approve_with_id call_issuer card_not_supported card_velocity_exceeded currency_not_supported
    do_not_honor do_not_try_again duplicate_transaction expired_card fraudulent generic_decline incorrect_number
    incorrect_cvc incorrect_pin incorrect_postal_code insufficient_funds invalid_account invalid_amount invalid_cvc
    invalid_expiry_month invalid_expiry_year invalid_number invalid_pin issuer_not_available lost_card
    merchant_blacklist new_account_information_available no_action_taken not_permitted offline_pin_required
    online_or_offline_pin_required pickup_card pin_try_exceeded processing_error reenter_transaction restricted_card
    revocation_of_all_authorizations revocation_of_authorization security_violation service_not_allowed stolen_card
    stop_payment_order testmode_decline transaction_not_allowed try_again_later withdrawal_count_limit_exceeded
"""
"""The decline codes of https://docs.stripe.com/declines/codes in November 2026."""

UNSPOKEN = ("fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "stolen_card")
"""Of these Stripe says that a payer isn't to hear of them."""


@pytest.mark.parametrize("code", PUBLISHED.split())
def test_every_published_code_is_classified(code: str) -> None:
    reason, advice = TAXONOMY[code]
    assert isinstance(reason, Reason)
    assert isinstance(advice, Advice)


@pytest.mark.parametrize("code", UNSPOKEN)
def test_what_a_payer_must_not_hear_looks_like_any_decline(code: str) -> None:
    plain = card_failure({"code": "card_declined", "decline_code": "generic_decline"})
    failure = card_failure({"code": "card_declined", "decline_code": code})
    assert (failure.code, failure.message) == (plain.code, plain.message)
    assert code in failure.detail


@pytest.mark.parametrize(
    ("method", "code", "advice"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "try_again_later"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds", "try_again_later"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "do_not_try_again"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "do_not_try_again"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "limit_exceeded", "try_again_later"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "use_another_method"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_details", "confirm_card_data"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "try_again_later"),
        ("pm_card_radarBlock", "card_declined", "try_again_later"),
    ],
)
def test_cards_that_decline(fake: FakeStripe, method: str, code: str, advice: str) -> None:
    driver = driver_for(fake, method)
    failure = refusal_of(driver.authorize())
    assert failure.code == code
    assert f"advice: {advice}" in failure.detail
    assert "request: req_" in failure.detail
    fact = fact_of(driver)
    assert fact.failure is not None
    assert fact.failure.code == code


def test_an_unknown_code_is_a_plain_decline() -> None:
    failure = card_failure({"code": "card_declined", "decline_code": "brand_new_code"})
    assert failure.code == "card_declined"
    assert "brand_new_code" in failure.detail


def test_a_message_is_in_the_payer_s_language_and_never_stripe_s_own() -> None:
    failure = card_failure({"code": "expired_card", "message": "Card 4242 of cus_1 expired"})
    for language, words in (
        ("en", "Your card has expired. Use another card."),
        ("de", "Ihre Karte ist abgelaufen."),
    ):
        with override(language):
            assert str(failure.message).startswith(words)


def test_a_refused_request_keeps_its_code_and_hides_its_text() -> None:
    error = {"code": "charge_disputed", "message": "Charge ch_123 has been charged back.", "param": "charge"}
    failure = request_failure(error, request_id="req_1")
    assert failure.code == "charge_disputed"
    assert "ch_123" not in str(failure.message)
    assert "ch_123" in failure.detail
    assert "req_1" in failure.detail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"param": "amount"}, "invalid_amount"),
        ({"param": "currency"}, "invalid_request"),
        ({}, "invalid_request"),
        ({"code": "x" * 100}, "x" * 64),
    ],
)
def test_a_refusal_without_a_code_gets_one(error: dict[str, str], code: str) -> None:
    assert request_failure(error).code == code
