"""The packages that the storefront needs, installed once, and the shop that it pays in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from payments.simulator import SimulatorService
from tests.docs.codes import ROOT
from tests.programs import missing, program, run
from tests.served import simulator_beside

HERE: Final = Path(__file__).parent
FILES: Final = ("package.json", "package-lock.json", "tsconfig.json", "storefront.ts", "pay.ts", "run.mjs")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the program, its packages, and the types made from docs/openapi.yaml."""
    program("node")
    npm = program("npm")
    made = tmp_path_factory.mktemp("typescript")
    for name in FILES:
        shutil.copy(HERE / name, made)
    installed = run(npm, "ci", "--no-audit", "--no-fund", folder=made)
    if installed.returncode:
        missing(f"The packages can't be installed:\n{installed.stderr}")
    document = ROOT / "docs" / "openapi.yaml"
    generated = run(npm, "exec", "--", "openapi-typescript", document, "-o", "schema.ts", folder=made)
    assert generated.returncode == 0, generated.stderr
    return made


@pytest.fixture
def simulator(live_server: Any) -> Iterator[SimulatorService]:
    """Return a simulator that tells the running shop what has become of a payment, half a second later."""
    with simulator_beside(live_server.url) as service:
        yield service
