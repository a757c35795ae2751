"""Web hosts and workers of one shop, each a process of its own.

The hosts listen on one port, so that the kernel shares the connections out among them as a load balancer does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server
from typing import Any, Final

from example_project.databases import parse_database_url
from tests.settings import PAYMENTS

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 60.0
THREADS: Final = 4
PROVIDER_TIMEOUT: Final = 2.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def database(url: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of a database to which connections are kept, and looked at before each request."""
    kept = {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True, "DISABLE_SERVER_SIDE_CURSORS": True}
    return parse_database_url(url) | kept | changes


def paid_by(address: str, api_key: str, secrets: Sequence[str]) -> dict[str, Any]:
    """Return PAYMENTS with a simulator at an address."""
    options = {
        "base_url": address,
        "api_key": api_key,
        "webhook_secrets": secrets,
        "timeout": PROVIDER_TIMEOUT,
    }
    alias = PAYMENTS["PROVIDERS"]["simulator"] | {"OPTIONS": options, "STOREFRONT": True}
    return PAYMENTS | {"PROVIDERS": PAYMENTS["PROVIDERS"] | {"simulator": alias}}


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The settings of a shop, the port of its hosts, and the folder of their logs."""

    settings: Mapping[str, Any]
    logs: Path
    port: int = field(default_factory=free_port)

    @property
    def webhook_url(self) -> str:
        """The address to which the simulator delivers."""
        return f"http://127.0.0.1:{self.port}/payments/webhooks/simulator/"

    @contextmanager
    def running(self, *, hosts: int, workers: int) -> Iterator[Mapping[str, int]]:
        """Run hosts and workers, and yield the ids of their processes by name; end them."""
        web = ["gunicorn", "--bind", f"127.0.0.1:{self.port}", "--reuse-port", "--threads", str(THREADS)]
        web += [
            "--keep-alive",
            "75",
            "--log-level",
            "warning",
            "--no-control-socket",
            "django.core.wsgi:get_wsgi_application()",
        ]
        work = ["django", "payments_worker", "--interval", "0.5"]
        commands = {f"web {number}": web for number in range(1, hosts + 1)}
        commands |= {f"worker {number}": work for number in range(1, workers + 1)}
        processes = {name: self._start(name, command) for name, command in commands.items()}
        try:
            if hosts:
                self._wait()
            yield {name: process.pid for name, process in processes.items()}
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                _end(process)

    def errors(self) -> str:
        """Return what the processes have logged."""
        return "".join(path.read_text() for path in sorted(self.logs.glob("*.log")))

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        changed = {
            "DJANGO_SETTINGS_MODULE": "tests.machines.settings",
            "MACHINE_SETTINGS": json.dumps({"ALLOWED_HOSTS": ["127.0.0.1"], **self.settings}),
        }
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=os.environ | changed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, self.errors()
            time.sleep(0.1)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/payments/health/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
