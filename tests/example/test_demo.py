"""The demo: what it deletes, whom it invites, where it serves, and how it ends."""

from __future__ import annotations

import shutil
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


def copy_of(prepared: Path, folder: Path) -> Path:
    """Return a copy of what the demo has prepared, with the simulator's ledger beside it."""
    for path in prepared.parent.glob("*.sqlite3"):
        shutil.copy(path, folder)
    return folder / prepared.name


@pytest.mark.thorough
def test_reset_starts_over(prepared: Path, tmp_path: Path) -> None:
    database = copy_of(prepared, tmp_path)
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


@pytest.mark.parametrize("option", ["--port", pytest.param("--simulator-port", marks=pytest.mark.thorough)])
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
    prepared: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = command_line("demo", "--no-orders", "--port", "0", "--simulator-port", "0")
    with subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment(copy_of(prepared, tmp_path)),
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
