"""A client made from the OpenAPI document compiles strictly, refuses wrong names, and pays."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from payments.models import PaymentCollection
from payments.simulator import SimulatorService
from tests.docs.codes import ROOT
from tests.programs import program, run
from tests.reliability.books import assert_books_agree, our_books, their_books
from tests.shop.models import Order
from tests.typescript.conftest import HERE

pytestmark = [pytest.mark.thorough, pytest.mark.xdist_group("typescript")]

# What a programmer may get wrong: in pay.ts or storefront.ts, what stands there, and what they typed instead.
MISTAKES = {
    "a field of an answer that isn't there": ("pay.ts", "asked.next_action?.type", "asked.nextAction?.type"),
    "a progress that isn't there": (
        "storefront.ts",
        "data.in_progress === null",
        'data.in_progress === "processing"',
    ),
    "an action that isn't there": ("storefront.ts", 'case "challenge":', 'case "popup":'),
    "an action that is forgotten": ("storefront.ts", 'case "provider_script":', ""),
    "a null that is forgotten": ("pay.ts", "declined.error?.code", "declined.error.code"),
    "a key of a body that isn't there": (
        "storefront.ts",
        "provider_id: provider, amount",
        "provider, amount",
    ),
    "a value that is missing": ("storefront.ts", "body: { reference }", "body: {}"),
    "an address that isn't there": ("storefront.ts", "/{session_id}/cancel/", "/{session_id}/abandon/"),
    "a verb that isn't there": ("storefront.ts", "this.#api.GET(", "this.#api.DELETE("),
    "an amount that is a date": ("storefront.ts", "amount?: string", "amount?: Date"),
    "what only operators see": ("pay.ts", "session.amount", "session.provider_data"),
}


def compiler(folder: Path, *arguments: str) -> Any:
    return run(program("node"), folder / "node_modules/typescript/bin/tsc", *arguments, folder=folder)


def execute(folder: Path, name: str, *values: str) -> Any:
    done = run(program("node"), "run.mjs", name, *values, folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def compiled(folder: Path) -> Path:
    """Return the folder with the compiled program in it."""
    done = compiler(folder, "--project", ".")
    assert (done.returncode, done.stdout) == (0, "")
    return folder


def misspelt(folder: Path, into: Path, name: str, right: str, wrong: str) -> None:
    """Write the program with one mistake in it; what it was made from lies a folder above."""
    into.mkdir()
    for each in ("storefront.ts", "pay.ts"):
        text = (folder / each).read_text(encoding="utf-8").replace("./schema.js", "../schema.js")
        assert each != name or right in text, right
        (into / each).write_text(text.replace(right, wrong) if each == name else text, encoding="utf-8")


@pytest.mark.database_independent
def test_a_wrong_name_does_not_compile(folder: Path, tmp_path: Path) -> None:
    for name in ("node_modules", "package.json", "schema.ts"):
        (tmp_path / name).symlink_to(folder / name)
    options = json.loads((folder / "tsconfig.json").read_text()) | {"include": ["*/*.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(options))
    for number, mistake in enumerate(MISTAKES.values()):
        misspelt(folder, tmp_path / f"mistake{number}", *mistake)
    misspelt(folder, tmp_path / "as_it_is", "pay.ts", "", "")

    found = compiler(tmp_path, "--noEmit", "--preserveSymlinks", "--project", ".").stdout

    missed = [what for number, what in enumerate(MISTAKES) if f"mistake{number}/" not in found]
    assert missed == [], found
    assert "as_it_is/" not in found


@pytest.mark.django_db(transaction=True)
def test_an_order_is_paid_in_two_parts_with_a_code_of_the_bank(
    compiled: Path, simulator: SimulatorService, live_server: Any
) -> None:
    Order.objects.create(number="A-1", total="100.00", currency_code="eur")

    seen = execute(compiled, "pay", live_server.url, "A-1")

    assert seen == {
        "opened": "not_paid",
        "asked": ["requires_more", "redirect"],
        "confirmed": "authorized",
        "promised": "authorized",
        "paid": ["authorized", "100.00", "60.00", "40.00"],
    }
    collection = PaymentCollection.objects.get()
    card, transfer = collection.payments.order_by("created_at")
    assert [(row.provider_id, row.amount) for row in (card, transfer)] == [
        ("simulator", Decimal(60)),
        ("system", Decimal(40)),
    ]
    assert simulator.wait_for_webhooks()
    assert our_books(card.session) == their_books(simulator, card.session)
    assert simulator.totals(card.session_id).authorized == 6000


@pytest.mark.django_db(transaction=True)
def test_a_decline_a_wait_and_a_conflict_are_told_apart(
    compiled: Path, simulator: SimulatorService, live_server: Any
) -> None:
    Order.objects.create(number="B-2", total="50.00", currency_code="eur")

    seen = execute(compiled, "fail", live_server.url, "B-2")

    assert seen == {
        "declined": ["error", "insufficient_funds"],
        "later": "authorized",
        "conflict": ["conflict", "already_authorized"],
    }
    collection = PaymentCollection.objects.get()
    assert simulator.wait_for_webhooks()
    assert_books_agree(simulator, collection)
    assert collection.authorized_amount == 50


@pytest.mark.database_independent
def test_the_packages_are_exact_and_come_from_wherever_npm_is_told() -> None:
    wanted = json.loads((HERE / "package.json").read_text())
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    locked = (HERE / "package-lock.json").read_text()

    assert all(version.replace(".", "").isdigit() for version in versions.values())
    assert '"resolved"' not in locked
    assert (ROOT / "docs" / "openapi.yaml").exists()
