"""The simulator knows neither Django nor the app that it is the oracle of."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import payments.simulator
from payments.simulator.faults import CARDS, Fault
from tests.programs import SECONDS

pytestmark = pytest.mark.database_independent

FOLDER = Path(payments.simulator.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
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
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER.parent.parent, check=False, timeout=SECONDS
    )
    assert done.returncode == 0


def test_command_line_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "payments.simulator", "--help"],
        cwd=FOLDER.parent.parent, check=True, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    for option in ("--port", "--ledger", "--webhook-url", "--webhook-secret", "--api-key"):
        assert option in done.stdout


def test_readme_tells_every_card_and_fault() -> None:
    readme = (FOLDER / "README.md").read_text()
    for card in CARDS.values():
        assert f"| `{card.token}` | {card.text} |" in readme
    for fault in Fault:
        assert f"`{fault}`" in readme


def test_readme_tells_every_error_code() -> None:
    readme = (FOLDER / "README.md").read_text()
    sources = "".join(path.read_text() for path in FOLDER.rglob("*.py") if path.name != "control.py")
    codes = re.findall(r'(?:Error|_refuse|refuse)\(\s*(?:intent, )?"([a-z_]+)"', sources)
    on_pages_and_in_scripts_only = {
        "return_url_not_registered", "unknown_fault", "unknown_option", "unknown_operation", "invalid_option",
        "fault_not_applicable",
    }  # fmt: skip
    assert len(codes) > 20
    for code in set(codes) - on_pages_and_in_scripts_only:
        assert code in readme, code
