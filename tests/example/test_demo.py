"""The demo: what it prepares, that it does so once, what it deletes, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from example_project.walkthrough.servers import answers
from payments.states import CollectionStatus, MovementStatus, OperationStatus, PaymentStatus, SessionStatus
from tests.example.commands import SECONDS, command_line, environment, run_command
from tests.packaging.repository import ROOT
from tests.programs import killed_if_late

pytestmark = [pytest.mark.database_independent, pytest.mark.xdist_group("example")]

OPEN = {
    "DJANGO_DEBUG": "0",
    "DJANGO_SECRET_KEY": "one-of-our-own-that-nobody-knows",
    "SIMULATOR_API_KEY": "sk_sim_own",
    "SIMULATOR_WEBHOOK_SECRET": "whsec_own",
    "ALLOW_PRETEND_MONEY": "1",
}
"""The environment of an example shop that strangers may see."""

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
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that the demo has prepared."""
    database = tmp_path_factory.mktemp("demo") / "demo.sqlite3"
    made = run_command("demo", "--no-serve", database=database)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stderr == ""
    steps = [line.split()[0] for line in made.stdout.splitlines()]
    assert steps == ["Preparing", "the", "products,", "40", "Prepared"], made.stdout
    return database


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


def test_second_run_adds_nothing(prepared: Path, found: dict[str, Any]) -> None:
    again = run_command("demo", "--no-serve", database=prepared)
    assert again.returncode == 0, again.stderr
    assert "0 new orders" in again.stdout
    assert inspect(prepared) == found


def test_lost_ledger_is_told(prepared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(prepared.read_bytes())
    again = run_command("demo", "--no-serve", database=copy)
    assert again.returncode == 0, again.stderr
    assert "The simulator's ledger is gone" in again.stderr


@pytest.mark.thorough
def test_reset_starts_over(tmp_path: Path) -> None:
    database = tmp_path / "demo.sqlite3"
    assert run_command("demo", "--no-serve", "--no-orders", database=database).returncode == 0
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE example_shop_product SET name = 'Changed'")
        connection.commit()
    again = run_command("demo", "--no-serve", "--no-orders", "--reset", database=database)
    assert again.returncode == 0, again.stderr
    with closing(sqlite3.connect(database)) as connection:
        assert "Changed" not in {
            row[0] for row in connection.execute("SELECT name FROM example_shop_product")
        }


def test_reset_spares_a_database_that_the_demo_did_not_make(tmp_path: Path) -> None:
    database = tmp_path / "precious.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE precious (id INTEGER)")
    refused = run_command("demo", "--no-serve", "--reset", database=database)
    assert refused.returncode == 1
    assert "was not made by the demo" in refused.stderr
    assert "DATABASE_URL=sqlite:///" in refused.stderr
    with closing(sqlite3.connect(database)) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["precious"]


@pytest.mark.thorough
def test_no_users_with_known_passwords_are_made_without_debug(tmp_path: Path) -> None:
    database = tmp_path / "demo.sqlite3"
    made = run_command("demo", "--no-serve", "--no-orders", database=database, **OPEN)
    assert made.returncode == 0, made.stderr
    assert "no users with known passwords" in made.stderr
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM auth_user").fetchone() == (0,)


def test_example_without_debug_refuses_what_its_settings_print(tmp_path: Path) -> None:
    database = tmp_path / "demo.sqlite3"
    published = run_command("check", "--deploy", database=database, DJANGO_DEBUG="0")
    own = run_command("check", "--deploy", database=database, **OPEN)
    assert (published.returncode, own.returncode) == (1, 0), own.stderr
    assert "example_shop.E001" in published.stderr
    assert "payments.E004" in published.stderr
    assert "payments.W022" in own.stderr


@contextmanager
def taken_port() -> Iterator[int]:
    """Listen on a port while the block lasts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["--port", "--simulator-port"])
def test_busy_port_is_an_error_that_says_what_to_type(tmp_path: Path, option: str) -> None:
    other = {"--port": "--simulator-port", "--simulator-port": "--port"}[option]
    with taken_port() as port:
        arguments = ("demo", "--no-orders", option, str(port), other, "0")
        refused = run_command(*arguments, database=tmp_path / "demo.sqlite3")
    assert refused.returncode == 1
    assert f"Port {port} is in use." in refused.stderr
    assert f"python manage.py demo {option} " in refused.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_demo_serves_until_it_is_told_to_stop_and_ends_cleanly(
    tmp_path: Path, number: signal.Signals
) -> None:
    arguments = command_line("demo", "--no-orders", "--port", "0", "--simulator-port", "0")
    with subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment(tmp_path / "demo.sqlite3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        with killed_if_late(process):
            printed = read_until(process.stdout, "Ctrl-C stops it.")
        shop = next(line.split()[-1] for line in printed if line.strip().startswith("Start here")).rstrip("/")
        assert answers(shop)
        process.send_signal(number)
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert output.strip() == "Stopping."
    assert errors == ""
    assert not answers(shop)


def read_until(stream: Any, last: str) -> list[str]:
    lines: list[str] = []
    while not (lines and last in lines[-1]):
        line = stream.readline()
        assert line, lines
        lines.append(line)
    return lines
