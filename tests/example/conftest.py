"""One running shop and one demo for all tests of this folder, which so ask to run in one worker (`xdist_group`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from example_project.walkthrough.servers import temporary_shop
from tests.example.commands import run_command


@pytest.fixture(scope="package")
def shop_url() -> Iterator[str]:
    """Return the address of a shop with a simulator, without orders.

    It ends with the last test of this folder: its background work would go on beside all the others.
    """
    with temporary_shop() as url:
        yield url


@pytest.fixture(scope="package")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that the demo has prepared; the simulator's ledger is beside it."""
    database = tmp_path_factory.mktemp("demo") / "demo.sqlite3"
    made = run_command("demo", "--no-serve", database=database)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stderr == ""
    steps = [line.split()[0] for line in made.stdout.splitlines()]
    assert steps == ["Preparing", "the", "products,", "40", "Prepared"], made.stdout
    return database
