"""From Stripe's words to facts: whatever an intent says, it is read, and what it says is what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest
from stripe import PaymentIntent

from payments.money import ZERO
from payments.providers import NextAction, SessionFact
from payments.providers.calls import check_usable
from payments.providers.stripe import translation
from payments.states import SessionStatus

pytestmark = pytest.mark.database_independent

STATUSES: Final = (
    *("requires_payment_method", "requires_confirmation", "requires_action", "processing"),
    *("requires_capture", "succeeded", "canceled", "a_status_of_next_year"),
)
AMOUNTS: Final = ((0, 0), (1000, 0), (400, 600), (0, 600), (0, 1000), (0, 1100), (500, 1100))
"""How much is still capturable, and how much was received, of an intent of 10.00."""

ERRORS: Final[tuple[dict[str, Any] | None, ...]] = (
    None,
    {"code": "card_declined", "decline_code": "insufficient_funds"},
    {"code": "authentication_required", "payment_method": {"id": "pm_1"}},
)
HOSTED: Final = "https://payments.stripe.com/page/1"


def charge(**card: Any) -> dict[str, Any]:
    """Return a charge of 10.00 as it is when it was asked for."""
    return {"id": "ch_1", "amount": 1000, "payment_method_details": {"type": "card", "card": card}}


CHARGES: Final[tuple[Any, ...]] = (
    None,
    "ch_1",
    charge(amount_authorized=1000, capture_before=1_800_000_000),
    charge(amount_authorized=600),
    {"id": "ch_1", "amount": 1000, "payment_method_details": {"type": "oxxo", "oxxo": {}}},
)


def intent(**changes: Any) -> dict[str, Any]:
    """Return an intent of 10.00 euros."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1000,
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": "manual",
        "client_secret": "pi_1_secret_2",
        "currency": "eur",
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {},
        "next_action": None,
        "status": "requires_payment_method",
        **changes,
    }


def read(row: Mapping[str, Any], **known: Any) -> SessionFact:
    """Return the fact that an intent states, which can be kept."""
    fact = translation.session_fact(row, publishable_key="pk_test_1", **known)
    check_usable(fact)
    return fact


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "method",
    [
        "manual",
        *(pytest.param(method, marks=pytest.mark.thorough) for method in ("automatic", "automatic_async")),
    ],
)
def test_whatever_amounts_an_intent_states_they_are_a_fact(status: str, method: str) -> None:
    for (capturable, received), latest, error, own in product(
        AMOUNTS, CHARGES, ERRORS, (None, "600", "1100")
    ):
        fact = read(
            intent(
                status=status,
                capture_method=method,
                amount_capturable=capturable,
                amount_received=received,
                latest_charge=latest,
                last_payment_error=error,
                metadata={} if own is None else {"capture_payop_1": own},
            )
        )
        assert fact.captured_amount == Decimal(received) / 100
        assert fact.canceled_amount is None or fact.canceled_amount >= ZERO
        assert sum((row.amount for row in fact.movements), ZERO) <= fact.captured_amount


@pytest.mark.parametrize("latest", ["ch_1", charge(amount_authorized=1000)])
@pytest.mark.parametrize("received", [1, 600, 1000, 1100])
@pytest.mark.parametrize("status", ["succeeded", "canceled"])
def test_an_intent_that_has_ended_holds_nothing_any_more(latest: Any, received: int, status: str) -> None:
    fact = read(intent(status=status, amount_received=received, latest_charge=latest))
    assert fact.status == SessionStatus.AUTHORIZED
    assert fact.captured_amount == Decimal(received) / 100
    assert fact.canceled_amount == max(Decimal(1000 - received) / 100, ZERO)


def test_what_a_bank_held_of_the_amount_is_all_that_can_be_let_go() -> None:
    row = intent(status="succeeded", amount_received=500, latest_charge=charge(amount_authorized=600))
    fact = read(row)
    assert (fact.authorized_amount, fact.canceled_amount) == (Decimal(6), Decimal(1))


def test_an_amount_that_its_currency_cannot_have_is_a_fact_too() -> None:
    fact = read(intent(currency="isk", status="succeeded", amount_received=550, latest_charge="ch_1"))
    assert fact.captured_amount == Decimal("5.5")


@pytest.mark.parametrize("status", [None, "a_status_of_next_year"])
def test_a_refund_without_a_known_status_is_pending(status: str | None) -> None:
    refund = {"id": "re_1", "amount": 100, "currency": "eur", "status": status, "metadata": None}
    row = intent(status="succeeded", amount_received=1000, latest_charge="ch_1")
    [_capture, movement] = read({**row, "capture_method": "automatic"}, refunds=[refund]).movements
    assert movement.status == "pending"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("redirect_to_url", "url"),
        ("alipay_handle_redirect", "url"),
        ("oxxo_display_details", "hosted_voucher_url"),
        ("boleto_display_details", "hosted_voucher_url"),
        ("konbini_display_details", "hosted_voucher_url"),
        ("multibanco_display_details", "hosted_voucher_url"),
        ("pix_display_qr_code", "hosted_instructions_url"),
        ("promptpay_display_qr_code", "hosted_instructions_url"),
        ("paynow_display_qr_code", "hosted_instructions_url"),
        ("wechat_pay_display_qr_code", "hosted_instructions_url"),
        ("swish_handle_redirect_or_display_qr_code", "hosted_instructions_url"),
        ("cashapp_handle_redirect_or_display_qr_code", "hosted_instructions_url"),
        ("upi_handle_redirect_or_display_qr_code", "hosted_instructions_url"),
        ("display_bank_transfer_instructions", "hosted_instructions_url"),
        ("verify_with_microdeposits", "hosted_verification_url"),
    ],
)
def test_a_page_that_stripe_hosts_is_where_the_payer_is_sent(kind: str, name: str) -> None:
    action = {"type": kind, kind: {name: HOSTED, "number": "12345"}}
    assert _declared_by_stripe(kind, name), "Stripe's library knows no such action."
    fact = read(intent(status="requires_action", next_action=action))
    assert fact.next_action == NextAction(type="redirect", url=HOSTED)
    assert fact.data is not None
    assert fact.data["next_action"] == {"type": "redirect", "url": HOSTED}


@pytest.mark.parametrize(
    "action",
    [
        None,
        {"type": "use_stripe_sdk", "use_stripe_sdk": {"url": HOSTED}},
        {"type": "oxxo_display_details", "oxxo_display_details": {"hosted_voucher_url": None}},
        {"type": "redirect_to_url", "redirect_to_url": {"url": None}},
        {"type": "redirect_to_url", "redirect_to_url": {"url": "intent://pay"}},
        {"type": "wechat_pay_redirect_to_ios_app", "wechat_pay_redirect_to_ios_app": {"native_url": HOSTED}},
        {"type": "klarna_display_qr_code", "klarna_display_qr_code": {"data": "x"}},
        {"type": "blik_authorize", "blik_authorize": {}},
        {"type": "blik_authorize", "blik_authorize": None},
        {"type": "an_action_of_next_year"},
    ],
)
def test_an_action_without_a_page_is_left_to_stripe_s_script(action: Any) -> None:
    fact = read(intent(status="requires_action", next_action=action))
    assert fact.next_action == NextAction(type="provider_script")


def _declared_by_stripe(kind: str, name: str) -> bool:
    return name in PaymentIntent.NextAction._inner_class_types[kind].__annotations__
