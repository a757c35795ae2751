"""docs/getting-started.md and docs/testing.md are followed in an empty project: each file and command as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.programs import SECONDS

ROOT: Final = Path(__file__).parents[2]
STARTING: Final = (ROOT / "docs/getting-started.md").read_text(encoding="utf-8")
TESTING: Final = (ROOT / "docs/testing.md").read_text(encoding="utf-8")

pytestmark = [pytest.mark.thorough, pytest.mark.database_independent]


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the code of a page, each with its language."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def run(program: list[str], place: Path, text: str = "") -> str:
    """Run a program in the project; what it prints, its warnings among it, is returned."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", *program],
        cwd=place,
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def commands(block: str) -> Iterator[list[str]]:
    """Tell what to run for the lines of a shell; what is installed is installed already."""
    for line in block.splitlines():
        words = line.split()
        if words[0] == "django-admin":
            yield ["-m", "django", *words[1:]]
        elif words[1] == "manage.py":
            yield [*words[1:], *(["--once"] if "payments_worker" in words else [])]


def write(block: str, place: Path) -> None:
    """Write a file; the settings and the addresses are added to those that startproject wrote."""
    path = place / block.split("\n", 1)[0].removeprefix("# ")
    before = path.read_text(encoding="utf-8") if path.parent.name == "mysite" else ""
    path.write_text(before + block, encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project in which the page was followed up to its commands."""
    place = tmp_path_factory.mktemp("project")
    for language, block in blocks(STARTING):
        if language == "sh":
            for command in commands(block):
                run(command, place)
        elif block.startswith("# "):
            write(block, place)
    return place


def test_whoever_follows_the_page_has_a_paid_order(project: Path) -> None:
    typed = [
        block for language, block in blocks(STARTING) if language == "python" and block.startswith("from ")
    ]
    typed += [block for _language, block in blocks(STARTING) if block.startswith("loan = ")]
    run(["manage.py", "shell", "-v0"], project, "\n".join([*typed, "assert loan.sessions.count() == 3\n"]))
    assert "no issues (0 silenced)" in run(["manage.py", "check"], project)


GROWN = """
grown = Order.objects.create(number="A-2", customer=ann, total="100.00", currency_code="eur")
collection = services.create_payment_collection(
    amount=grown.total, currency_code=grown.currency_code, payable=grown
)
session = services.create_payment_session(collection, provider_id="system")
Order.objects.filter(pk=grown.pk).update(total="150.00")
services.authorize_payment_session(session)
grown.refresh_from_db()
assert not grown.is_paid
services.update_payment_collection(collection, amount="150.00")
rest = services.create_payment_session(collection, provider_id="system")
services.authorize_payment_session(rest)
grown.refresh_from_db()
assert grown.is_paid
"""


def test_an_order_that_grew_while_it_was_paid_is_not_paid_yet(project: Path) -> None:
    imports = [block for language, block in blocks(STARTING) if "\nann = " in block]
    users = 'ann = User.objects.create_user("bob")'
    shown = imports[0].partition("\nann = ")[0]
    run(["manage.py", "shell", "-v0"], project, f"{shown}\n{users}\n{GROWN}")


def test_the_tests_of_the_page_about_testing_pass(project: Path) -> None:
    texts = [block for language, block in blocks(TESTING) if language == "python"]
    (project / "shop/tests.py").write_text("\n\n".join(texts), encoding="utf-8")
    printed = run(["-m", "pytest", "--ds=mysite.settings", "-pno:schemathesis", "shop/tests.py"], project)
    assert re.search(r"\b6 passed in", printed), printed
