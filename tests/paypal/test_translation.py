"""From PayPal's words to facts: whatever an order says of its money, it is read, and adds up."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest

from payments.money import ZERO
from payments.providers import NextAction, SessionFact
from payments.providers.calls import check_usable
from payments.providers.paypal import PayPalOptions, translation
from payments.providers.paypal.orders import read_order
from payments.states import MovementStatus

pytestmark = pytest.mark.database_independent

OPTIONS: Final = PayPalOptions(
    client_id="A" * 40, client_secret="E" * 40, livemode=False, base_url="https://api.paypal.example"
)
ORDERS: Final = (
    "CREATED",
    "SAVED",
    "APPROVED",
    "VOIDED",
    "COMPLETED",
    "PAYER_ACTION_REQUIRED",
    "OF_NEXT_YEAR",
)
HELD: Final = (
    *("CREATED", "CAPTURED", "DENIED", "PARTIALLY_CAPTURED", "VOIDED", "PENDING", "EXPIRED", "OF_NEXT_YEAR"),
)
TAKEN: Final = (
    *("COMPLETED", "DECLINED", "PARTIALLY_REFUNDED", "PENDING", "REFUNDED", "FAILED", "OF_NEXT_YEAR"),
)
GIVEN: Final = ("CANCELLED", "FAILED", "PENDING", "COMPLETED", "OF_NEXT_YEAR")
AMOUNTS: Final = ("0.00", "6.00", "11.50")


def money(value: str) -> dict[str, str]:
    return {"currency_code": "EUR", "value": value}


def order(**changes: Any) -> dict[str, Any]:
    """Return an order of 10.00 euros."""
    payments = {name: changes.pop(name, []) for name in ("authorizations", "captures", "refunds")}
    unit = {"amount": money("10.00"), "custom_id": "payses_1", "payments": payments}
    return {"id": "O-1", "status": "COMPLETED", "intent": "AUTHORIZE", "purchase_units": [unit], **changes}


def row(name: str, status: str, amount: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "status": status, "amount": money(amount), **more}


def read(answer: dict[str, Any], disputes: Any = ()) -> SessionFact:
    """Return the fact that an order states, which can be kept."""
    fact = translation.session_fact(read_order(answer), OPTIONS, disputes=disputes)
    check_usable(fact)
    return fact


def taken(fact: SessionFact) -> Decimal:
    captures = (each for each in fact.movements if each.kind == "capture")
    return sum((each.amount for each in captures if each.status == MovementStatus.SUCCEEDED), ZERO)


@pytest.mark.thorough
@pytest.mark.parametrize("status", ORDERS)
@pytest.mark.parametrize("held", [None, *HELD])
def test_whatever_amounts_an_order_states_they_are_a_fact(status: str, held: str | None) -> None:
    authorizations = [] if held is None else [row("A-1", held, "10.00")]
    for state, amount, is_final, given in product(TAKEN, AMOUNTS, (True, False), (None, *GIVEN)):
        answer = order(
            status=status,
            authorizations=authorizations,
            captures=[row("C-1", state, amount, final_capture=is_final), row("C-2", "COMPLETED", "1.00")],
            refunds=[] if given is None else [row("R-1", given, amount)],
        )
        fact = read(answer)
        assert fact.captured_amount == taken(fact)
        assert fact.canceled_amount is None or fact.canceled_amount >= ZERO
        assert fact.refunded_amount == (Decimal(amount) if given == "COMPLETED" else ZERO)


def test_what_is_taken_beyond_what_was_held_is_stated_as_it_is() -> None:
    captures = [row("C-1", "COMPLETED", "11.50", final_capture=True)]
    fact = read(order(authorizations=[row("A-1", "CAPTURED", "10.00")], captures=captures))
    assert (fact.authorized_amount, fact.captured_amount, fact.canceled_amount) == (
        Decimal("10.00"),
        Decimal("11.50"),
        ZERO,
    )


@pytest.mark.parametrize("stage", [None, "INQUIRY", "CHARGEBACK", "PRE_ARBITRATION", "OF_NEXT_YEAR"])
@pytest.mark.parametrize("outcome", [None, "RESOLVED_BUYER_FAVOUR", "RESOLVED_SELLER_FAVOUR", "OF_NEXT_YEAR"])
@pytest.mark.parametrize("rows", [None, [], [{}], [{"seller_transaction_id": "C-1"}, {}], [{}, {}]])
def test_whatever_a_dispute_states_is_a_fact(stage: str | None, outcome: str | None, rows: Any) -> None:
    for amount in (None, {}, money("3.00"), money("nonsense"), {"currency_code": "USD", "value": "3.00"}):
        dispute = {
            "dispute_id": "PP-1",
            "dispute_amount": amount,
            "dispute_life_cycle_stage": stage,
            "dispute_outcome": None
            if outcome is None
            else {"outcome_code": outcome, "amount_refunded": amount},
            "disputed_transactions": rows,
        }
        fact = read(order(captures=[row("C-1", "COMPLETED", "10.00")]), [dispute])
        assert fact.charged_back_amount in (None, Decimal("3.00"))
        assert (fact.reinstated_amount or ZERO) <= (fact.charged_back_amount or ZERO)


@pytest.mark.parametrize(
    ("href", "action"),
    [
        ("https://paypal.example/pay", NextAction(type="redirect", url="https://paypal.example/pay")),
        ("paypal://pay", None),
        ("/checkoutnow", None),
    ],
)
def test_a_payer_is_sent_to_no_address_but_a_page(href: str, action: NextAction | None) -> None:
    links = [{"rel": "payer-action", "href": href, "method": "GET"}]
    assert read(order(status="PAYER_ACTION_REQUIRED", links=links)).next_action == action
