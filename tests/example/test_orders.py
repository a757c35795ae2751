"""What the shop makes of a payment when the order has changed meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

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
print(json.dumps(seen))
"""


@pytest.mark.shows(
    "An order has grown while it was paid, and the shop hears that all of its old amount is held",
    "The example shop compares that with what the order costs now, and doesn't confirm it",
)
def test_an_order_is_confirmed_only_for_what_it_costs_now(tmp_path: Path) -> None:
    done = run_command("shell", "-v0", "-c", PAYING, database=tmp_path / "shop.sqlite3")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "100 eur authorized": "confirmed",
        "100 eur captured": "paid",
        "150 eur authorized": "open",
        "150 eur captured": "partly_paid",
        "80 eur authorized": "confirmed",
        "80 eur captured": "paid",
        "100 kwd authorized": "open",
        "100 kwd captured": "partly_paid",
    }
