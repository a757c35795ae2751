"""The simulator knows neither Django nor the app that it is the oracle of."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import payments.simulator

pytestmark = pytest.mark.database_independent

FOLDER = Path(payments.simulator.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_module_imports_the_standard_library_and_itself_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            is_own = name.startswith("payments.simulator")
            assert is_own or name.split(".")[0] in sys.stdlib_module_names, name


def test_it_runs_without_django() -> None:
    program = "import sys, payments.simulator.__main__; sys.exit('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=FOLDER.parent.parent, check=False)
    assert done.returncode == 0


def test_command_line_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "payments.simulator", "--help"],
        cwd=FOLDER.parent.parent, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for option in ("--port", "--ledger", "--webhook-url", "--webhook-secret", "--api-key"):
        assert option in done.stdout
