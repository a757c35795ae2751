"""Clients that were generated from docs/openapi.yaml, and changed by nobody, do the main job."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from payments.models import PaymentCollection
from tests.programs import missing, program, run
from tests.shop.models import Order

pytestmark = [pytest.mark.thorough, pytest.mark.xdist_group("clients")]

HERE: Final = Path(__file__).parent
DOCUMENT: Final = HERE.parents[1] / "docs" / "openapi.yaml"
CSRF: Final = "a" * 32
SEEN: Final = {
    "authorized": ["authorized", None],
    "seen": ["authorized", "100.00"],
    "captured": ["partially_captured", "60.00"],
    "refunded": ["15.00", "A dent in the lid."],
    "refused": ["invalid_request", "amount"],
}


@pytest.fixture
def arguments(live_server: Any) -> list[str]:
    """Return what a client is told: the site, what is paid there, and how an operator has logged in."""
    Order.objects.create(number="A-1", total="100.00", currency_code="eur")
    operator = Client()
    operator.force_login(get_user_model().objects.create_superuser("boss"))
    return [live_server.url, "A-1", operator.cookies["sessionid"].value, CSRF]


def succeed(*command: str | Path, folder: Path) -> str:
    """Run a program, which must succeed, and return what it wrote."""
    done = run(*command, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_paid() -> None:
    """Assert that the books have what the clients saw."""
    payment = PaymentCollection.objects.get().payments.get()
    assert [payment.captured_amount, payment.refunded_amount] == [60, 15]


@pytest.mark.django_db(transaction=True)
def test_client_in_typescript_compiles_strictly_and_does_the_main_job(
    tmp_path: Path, arguments: list[str]
) -> None:
    node, npm = program("node"), program("npm")
    for name in ("package.json", "package-lock.json", "tsconfig.json", "mainJob.ts", "run.mjs"):
        shutil.copy(HERE / name, tmp_path)
    installed = run(npm, "ci", "--no-audit", "--no-fund", folder=tmp_path)
    if installed.returncode:
        missing(f"The packages can't be installed:\n{installed.stderr}")
    succeed(npm, "exec", "--", "openapi-ts", "-i", DOCUMENT, "-o", "client", folder=tmp_path)
    succeed(npm, "exec", "--", "tsc", "--project", ".", folder=tmp_path)

    assert json.loads(succeed(node, "run.mjs", *arguments, folder=tmp_path)) == SEEN
    assert_paid()


@pytest.mark.django_db(transaction=True)
def test_client_in_python_does_the_main_job(tmp_path: Path, arguments: list[str]) -> None:
    succeed(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    scripts = tmp_path / "venv" / "bin"
    installed = run(
        scripts / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "-r",
        HERE / "requirements.txt",
        folder=tmp_path,
    )
    if installed.returncode:
        missing(f"The packages can't be installed:\n{installed.stderr}")
    made = succeed(
        scripts / "openapi-python-client",
        *("generate", "--path", DOCUMENT, "--output-path", "payments_client", "--meta", "none"),
        folder=tmp_path,
    )
    assert "Unable to" not in made, made
    shutil.copy(HERE / "main_job.py", tmp_path)

    assert json.loads(succeed(scripts / "python", "main_job.py", *arguments, folder=tmp_path)) == SEEN
    assert_paid()
