"""A shop of the walkthrough's own: the demo without its orders, in another process, on a database that vanishes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from example_project.walkthrough.browsers import Browser

PROJECT: Final = Path(__file__).resolve().parents[2]
HOST: Final = "127.0.0.1"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 15.0
SIGN_OF_LIFE: Final = "Saltglaze"


class ShopNotStartedError(Exception):
    """Say that the shop didn't come up, with what it printed."""


def answers(base_url: str) -> bool:
    """Tell whether the example shop is at an address."""
    try:
        answer = Browser(base_url).get("/shop/")
    except (OSError, ValueError):
        return False
    return answer.status == 200 and SIGN_OF_LIFE in answer.text  # noqa: PLR2004 - HTTP's own number


@contextmanager
def temporary_shop(*, simulator_port: int | None = None) -> Iterator[str]:
    """Run a shop and a simulator while the block lasts, on free ports unless one is given; yield the shop's address."""
    with tempfile.TemporaryDirectory(prefix="walkthrough-") as name:
        folder = Path(name)
        port, free_port = _free_ports()
        simulator_port = simulator_port or free_port
        with (folder / "output.txt").open("w+", encoding="utf-8") as output:
            process = _start(folder, port, simulator_port, output.fileno())
            try:
                base_url = f"http://{HOST}:{port}"
                _await(process, base_url, folder / "output.txt")
                yield base_url
            finally:
                _stop(process)


def _start(folder: Path, port: int, simulator_port: int, output: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{folder / 'shop.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DJANGO_DEBUG": "1",
    }
    command = [sys.executable, "-m", "django", "demo", "--no-orders"]
    ports = ["--port", str(port), "--simulator-port", str(simulator_port)]
    return subprocess.Popen(  # noqa: S603 - this very project
        [*command, *ports],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


def _await(process: subprocess.Popen[bytes], base_url: str, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(base_url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ShopNotStartedError(f"The shop did not start:\n{output.read_text(encoding='utf-8')}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        return one.getsockname()[1], other.getsockname()[1]
