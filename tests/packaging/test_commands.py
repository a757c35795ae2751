"""The command lines that README promises, and that `.ci/run` runs them as they stand there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.packaging.repository import ROOT, readme_command
from tests.programs import SECONDS

pytestmark = pytest.mark.database_independent

CI_SCRIPT = ROOT / ".ci" / "run"


@pytest.mark.parametrize("name", ["demo", "test"])
def test_readme_command_starts_from_an_empty_environment(name: str) -> None:
    assert readme_command(name).startswith("python3 -m venv .venv && .venv/bin/python -m pip install ")


def test_first_readme_command_ends_in_the_demo() -> None:
    assert readme_command("demo").endswith(" .venv/bin/python manage.py demo")


def test_second_readme_command_tests_on_sqlite_and_then_on_postgresql() -> None:
    assert readme_command("test").endswith(" && .venv/bin/pytest && .venv/bin/pytest --database postgresql")


@pytest.mark.parametrize("name", ["demo", "test"])
def test_ci_script_takes_the_command_from_readme_literally(name: str, tmp_path: Path) -> None:
    shown = subprocess.run(
        [str(CI_SCRIPT), "readme-command", name],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    ).stdout
    assert shown == readme_command(name) + "\n"


def test_ci_script_runs_the_test_command_it_took_from_readme() -> None:
    script = CI_SCRIPT.read_text(encoding="utf-8")
    assert 'bash -c "$(readme_command test)"' in script
    assert ".venv/bin/pytest && " not in script, "the test command is README's alone"


def test_ci_script_refuses_a_command_that_readme_does_not_have(tmp_path: Path) -> None:
    refused = subprocess.run(
        [str(CI_SCRIPT), "readme-command", "none"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert refused.returncode != 0
    assert "README.md has no command 'none'" in refused.stderr


def test_ci_script_is_executable_and_stops_at_the_first_error() -> None:
    assert os.access(CI_SCRIPT, os.X_OK)
    assert "set -euo pipefail" in CI_SCRIPT.read_text(encoding="utf-8").splitlines()
