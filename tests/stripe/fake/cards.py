"""The payment methods that Stripe publishes for tests (https://docs.stripe.com/testing), and what each does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Card:
    """Say how a payment method behaves."""

    code: str | None = None
    decline_code: str | None = None
    message: str = "Your card was declined."
    needs_authentication: bool = False
    is_slow: bool = False
    refund_status: str = "succeeded"
    is_disputed: bool = False
    advice_code: str | None = None


def _declined(decline_code: str, *, advice_code: str = "try_again_later") -> Card:
    return Card(code="card_declined", decline_code=decline_code, advice_code=advice_code)


CARDS: Final = {
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(),
    "pm_card_visa_chargeDeclined": _declined("generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined("insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": _declined("lost_card", advice_code="do_not_try_again"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("stolen_card", advice_code="do_not_try_again"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": _declined("card_velocity_exceeded"),
    "pm_card_chargeDeclinedExpiredCard": Card(code="expired_card", message="Your card has expired."),
    "pm_card_chargeDeclinedIncorrectCvc": Card(
        code="incorrect_cvc", message="Your card's security code is incorrect."
    ),
    "pm_card_chargeDeclinedProcessingError": Card(
        code="processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
    ),
    "pm_card_radarBlock": _declined("fraudulent"),
    "pm_card_authenticationRequired": Card(needs_authentication=True),
    "pm_card_threeDSecure2Required": Card(needs_authentication=True),
    "pm_card_createDispute": Card(is_disputed=True),
    "pm_card_pendingRefund": Card(refund_status="pending"),
    "pm_card_refundFail": Card(),
    "pm_usBankAccount_success": Card(is_slow=True),
}

TOKENS: Final = {"ctoken_visa": "pm_card_visa", "ctoken_3ds": "pm_card_authenticationRequired"}
"""Confirmation tokens, which Stripe's script makes in a browser; these stand for a method each."""
