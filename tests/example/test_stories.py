"""The stories that the demo tells: what they leave in its database, and that each is told once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from payments.states import CollectionStatus, MovementStatus, OperationStatus, PaymentStatus, SessionStatus
from tests.example.commands import run_command

pytestmark = [
    pytest.mark.database_independent,
    pytest.mark.thorough,
    pytest.mark.xdist_group("example"),
]

INSPECTION = """
import json
from django.contrib.auth.models import User
from payments.models import (
    Capture, Payment, PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession, Refund, RefundReason
)
from example_project.shop.models import Order, Product
models = (PaymentCollection, PaymentSession, Payment, Capture, Refund, PaymentOperation, Order)
print(json.dumps({
    "statuses": {model.__name__: list(model.objects.values_list("status", flat=True)) for model in models},
    "currencies": sorted(set(PaymentCollection.objects.values_list("currency_code", flat=True))),
    "providers": sorted(set(PaymentSession.objects.values_list("provider_id", flat=True))),
    "fully_refunded": sum(row.is_fully_refunded for row in PaymentCollection.objects.all()),
    "installments": PaymentSession.objects.exclude(installment=None).count(),
    "explained_refunds": Refund.objects.exclude(reason=None).exclude(note="").count(),
    "splits": PaymentSession.objects.filter(is_split=True, installment=None).count(),
    "unpublished": PaymentEvent.objects.filter(published_at=None).count(),
    "days": len({moment.date() for moment in PaymentCollection.objects.values_list("created_at", flat=True)}),
    "shuffled": [row.pk for row in PaymentEvent.objects.select_related("collection")
                 if row.created_at < row.collection.created_at],
    "users": sorted(User.objects.values_list("username", flat=True)),
    "viewer": sorted(User.objects.get(username="viewer").get_all_permissions()),
    "products": Product.objects.count(),
    "reasons": RefundReason.objects.count(),
    "books": {row.pk: [str(row.amount), str(row.captured_amount), str(row.refunded_amount), row.currency_code]
              for row in Payment.objects.filter(provider="simulator").select_related("collection")},
    "sessions": dict(Payment.objects.values_list("pk", "session_id")),
    "doubtful": sorted(set(PaymentOperation.objects.filter(status__in=["unknown", "attention"])
                           .values_list("payment_id", flat=True))),
}))
"""
DIGITS = {"eur": 2, "jpy": 0, "kwd": 3}


@pytest.fixture(scope="module")
def found(prepared: Path) -> dict[str, Any]:
    """Return what is in it."""
    return inspect(prepared)


def inspect(database: Path) -> dict[str, Any]:
    shown = run_command("shell", "-v0", "-c", INSPECTION, database=database)
    assert shown.returncode == 0, shown.stderr
    seen: dict[str, Any] = json.loads(shown.stdout)
    return seen


@pytest.mark.parametrize(
    ("model", "statuses"),
    [
        ("PaymentCollection", CollectionStatus),
        ("PaymentSession", SessionStatus),
        ("Payment", PaymentStatus),
        ("Capture", MovementStatus),
        ("Refund", MovementStatus),
    ],
)
def test_every_status_is_there(found: dict[str, Any], model: str, statuses: type[Any]) -> None:
    assert set(found["statuses"][model]) == set(statuses.values)


def test_operations_have_every_status_that_outlives_a_call(found: dict[str, Any]) -> None:
    assert set(found["statuses"]["PaymentOperation"]) == set(OperationStatus.values) - {"processing"}
    assert found["statuses"]["PaymentOperation"].count("unknown") == 1
    assert found["statuses"]["PaymentOperation"].count("attention") == 1


def test_orders_follow_their_payments(found: dict[str, Any]) -> None:
    assert set(found["statuses"]["Order"]) == {
        "open",
        "confirmed",
        "partly_paid",
        "paid",
        "canceled",
        "refunded",
    }


def test_story_has_what_a_shop_meets(found: dict[str, Any]) -> None:
    assert found["currencies"] == ["eur", "jpy", "kwd"]
    assert found["providers"] == ["simulator", "system"]
    assert found["fully_refunded"] == 1
    assert found["installments"] == 7
    assert found["splits"] >= 6
    assert found["explained_refunds"] >= 4
    assert found["products"] == 9
    assert found["reasons"] == 5
    assert len(found["statuses"]["Order"]) == 45


def test_story_is_spread_over_weeks_and_nothing_happens_before_its_beginning(found: dict[str, Any]) -> None:
    assert found["days"] > 20
    assert found["shuffled"] == []
    assert found["unpublished"] == 0


def test_viewer_may_look_but_not_act_nor_see_private_data(found: dict[str, Any]) -> None:
    names = {permission.partition(".")[2] for permission in found["viewer"]}
    assert names
    assert all(name.startswith("view_") for name in names)
    assert "view_provider_data" not in names


def test_books_are_what_the_simulators_ledger_says(found: dict[str, Any], prepared: Path) -> None:
    ledger = ledger_of(prepared)
    for payment, (amount, captured, refunded, currency) in found["books"].items():
        if payment in found["doubtful"]:
            continue
        units = [round(float(value) * 10 ** DIGITS[currency]) for value in (amount, captured, refunded)]
        assert units == ledger[found["sessions"][payment]], payment


def ledger_of(database: Path) -> dict[str, list[int]]:
    """Return what the simulator authorized, captured and refunded, by session."""
    path = database.with_name("demo-simulator.sqlite3")
    query = (
        "SELECT reference, amount_authorized, "
        "(SELECT COALESCE(SUM(amount), 0) FROM movements WHERE intent = intents.id AND kind = 'capture' "
        "AND movements.status = 'succeeded'), "
        "(SELECT COALESCE(SUM(amount), 0) FROM movements WHERE intent = intents.id AND kind = 'refund' "
        "AND movements.status = 'succeeded') FROM intents"
    )
    with closing(sqlite3.connect(path)) as ledger:
        return {row[0]: list(row[1:]) for row in ledger.execute(query)}


def test_second_run_adds_nothing(prepared: Path) -> None:
    before = dump(prepared)
    again = run_command("demo", "--no-serve", database=prepared)
    assert again.returncode == 0, again.stderr
    assert "0 new orders" in again.stdout
    assert dump(prepared) == before


def dump(database: Path) -> list[str]:
    """Return all that is in a database, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_lost_ledger_is_told(prepared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(prepared.read_bytes())
    again = run_command("demo", "--no-serve", database=copy)
    assert again.returncode == 0, again.stderr
    assert "The simulator's ledger is gone" in again.stderr
