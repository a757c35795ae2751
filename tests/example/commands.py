"""Running the example project's management commands as a developer does: in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.packaging.repository import ROOT

SECONDS = 240.0
"""A busy machine is slow, not wrong."""


def environment(database: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command on an SQLite file; nothing of the test run's own settings is in it."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "SIMULATOR_"))
    }
    chosen = {
        "DATABASE_URL": f"sqlite:///{database}",
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return inherited | chosen | more


def command_line(*arguments: str) -> list[str]:
    """Return the command line of a management command."""
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def run_command(*arguments: str, database: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end, whatever that is."""
    return subprocess.run(
        command_line(*arguments),
        cwd=ROOT,
        env=environment(database, **more),
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
