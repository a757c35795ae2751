"""What the shop makes of a payment when the order has changed meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.example.commands import run_command

pytestmark = [pytest.mark.database_independent, pytest.mark.xdist_group("example")]

# Each order is for 100.00 when it is paid; what it costs when the shop hears of that is up to the test.
PAYING = """
import json
from decimal import Decimal
from django.core.management import call_command
from example_project.shop.models import Order
from payments import services

call_command("migrate", verbosity=0)
seen = {}
for total, currency_code in (("100", "eur"), ("150", "eur"), ("80", "eur"), ("100", "kwd")):
    for verb in ("authorized", "captured"):
        order = Order.objects.create(email="sam@example.com", total=Decimal(100), currency_code="eur")
        collection = services.create_payment_collection(amount="100.00", currency_code="eur", payable=order)
        session = services.create_payment_session(collection, provider_id="system")
        Order.objects.filter(pk=order.pk).update(total=Decimal(total), currency_code=currency_code)
        payment = services.authorize_payment_session(session).payment
        if verb == "captured":
            services.capture_payment(payment)
        order.refresh_from_db()
        seen[f"{total} {currency_code} {verb}"] = order.status
"""

# What becomes of an order of 100.00 with two collections, each amount held in one, and one of them canceled.
ENDING = """
from example_project.shop.overviews import overview_of

for held in (100, 60, 0):
    for does_capture in (False, True):
        order = Order.objects.create(email="sam@example.com", total=Decimal(100), currency_code="eur")
        asked = services.ResolvedPayable(payable=order, amount=order.total, currency_code="eur")
        first, _is_new = services.open_payment_collection(asked)
        second = services.create_payment_collection(amount="100.00", currency_code="eur", payable=order)
        if held:
            session = services.create_payment_session(first, provider_id="system", amount=held)
            payment = services.authorize_payment_session(session).payment
            if does_capture:
                services.capture_payment(payment)
        services.cancel_payment_collection(second)
        order.refresh_from_db()
        seen[f"{held} {does_capture}"] = [order.status, str(overview_of(order).open)]
"""


# What becomes of an order of 100.00 that was paid, refunded, and opened anew for a new price.
AGAIN = """
def pay(order, amount):
    asked = services.ResolvedPayable(payable=order, amount=order.total, currency_code="eur")
    collection, _is_new = services.open_payment_collection(asked)
    session = services.create_payment_session(collection, provider_id="system", amount=amount)
    return services.capture_payment(services.authorize_payment_session(session).payment)


for price, amount in ((120, 20), (100, 100)):
    order = Order.objects.create(email="sam@example.com", total=Decimal(100), currency_code="eur")
    services.refund_payment(pay(order, 100))
    order.refresh_from_db()
    assert order.status == "refunded"
    order.total = Decimal(price)
    order.save()
    pay(order, amount)
    order.refresh_from_db()
    seen[f"again {price}"] = {order.status: str(overview_of(order).open)}
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what became of the orders of both stories, which are told in one process of the shop."""
    database = tmp_path_factory.mktemp("shop") / "shop.sqlite3"
    done = run_command("shell", "-v0", "-c", PAYING + ENDING + AGAIN, database=database)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.shows(
    "An order has grown while it was paid, and the shop hears that all of its old amount is held",
    "The example shop compares that with what the order costs now, and doesn't confirm it",
)
def test_an_order_is_confirmed_only_for_what_it_costs_now(seen: dict[str, Any]) -> None:
    assert {name: found for name, found in seen.items() if isinstance(found, str)} == {
        "100 eur authorized": "confirmed",
        "100 eur captured": "paid",
        "150 eur authorized": "open",
        "150 eur captured": "partly_paid",
        "80 eur authorized": "confirmed",
        "80 eur captured": "paid",
        "100 kwd authorized": "open",
        "100 kwd captured": "partly_paid",
    }


@pytest.mark.shows(
    "One of an order's collections is canceled, because another one has taken the money",
    "The example shop's order stays confirmed or paid",
)
def test_end_of_one_collection_is_not_the_end_of_its_order(seen: dict[str, Any]) -> None:
    assert {name: found for name, found in seen.items() if isinstance(found, list)} == {
        "100 False": ["confirmed", "0.0000"],
        "100 True": ["paid", "0.0000"],
        "60 False": ["open", "40.0000"],
        "60 True": ["partly_paid", "40.0000"],
        "0 False": ["open", "100.0000"],
        "0 True": ["open", "100.0000"],
    }


@pytest.mark.shows(
    "An order was paid and refunded, and is paid anew in part or wholly",
    "What was paid before doesn't count for the example shop, and what was given back isn't missing",
)
def test_money_that_went_back_does_not_count_when_an_order_is_paid_anew(seen: dict[str, Any]) -> None:
    assert seen["again 120"] == {"partly_paid": "100.0000"}
    assert seen["again 100"] == {"paid": "0.0000"}
