"""Programs that tests start and that no Python package brings along: Node, npm, curl."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

SECONDS: Final = 240.0
"""A busy machine is slow, not wrong."""


def program(name: str) -> str:
    """Return where a program is. Where there is none the test is skipped, except in CI: there it is a failure."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} isn't installed (apt-get install nodejs npm curl).")
    return path


def missing(reason: str) -> NoReturn:
    """Skip the test for want of something, except in CI: there it is a failure."""
    if "CI" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def killed_if_late(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process in the midst of a block that waits for it too long, which ends the waiting."""
    timer = threading.Timer(SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is."""
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
