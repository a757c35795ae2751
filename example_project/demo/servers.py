"""What the demo runs side by side, each in a thread of this process: shop, simulator, background work."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections

from payments.services.background.jobs import JOBS
from payments.simulator import SimulatorService

HOST: Final = "127.0.0.1"
WORKER_SECONDS: Final = 2.0
ASYNC_SECONDS: Final = 5.0
AUTHORIZATION_SECONDS: Final = 90 * 24 * 3600.0
"""The demo's authorizations are weeks old when it starts, so they must last for longer than real ones do."""

logger = logging.getLogger("example_project.demo")


class PortInUseError(Exception):
    """Say that something else listens on a port."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"Port {port} is in use.")


class _QuietHandler(WSGIRequestHandler):
    """Log failures only: a page of the shop makes a dozen requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log what went wrong on the server's side."""
        if len(args) > 1 and str(args[1]).startswith("5"):
            super().log_message(format, *args)


class ShopServer:
    """Serve the example project on a port of this machine; 0 is any free one. `start` binds and serves."""

    def __init__(self, port: int) -> None:
        with _named_port(port):
            self._server = ThreadedWSGIServer((HOST, port), _QuietHandler)
        self._server.daemon_threads = True
        self._server.set_app(StaticFilesHandler(get_wsgi_application()))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="shop", daemon=True
        )

    @property
    def url(self) -> str:
        """The address of the shop, without a slash at its end."""
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> ShopServer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()


class Worker:
    """Do the background work of `payments` every few seconds: everything that is due."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.wait(WORKER_SECONDS):
            for job in JOBS.values():
                try:
                    job.run(100, lambda _line: None)
                except Exception:
                    # One job's trouble must not end the others; a real worker would be restarted.
                    logger.exception("The job %s failed.", job.name)
            connections.close_all()


def start_simulator(*, port: int, ledger: Path | str) -> SimulatorService:
    """Start the simulator that the settings describe; raise PortInUseError."""
    options = simulator_options()
    simulator = SimulatorService(
        host=HOST,
        port=port,
        ledger=ledger,
        api_key=options["api_key"],
        webhook_secret=options["webhook_secrets"],
        merchant="Saltglaze",
        async_delay=ASYNC_SECONDS,
        authorization_lifetime=AUTHORIZATION_SECONDS,
    )
    with _named_port(port):
        simulator.start()
    options["base_url"] = simulator.url
    return simulator


def simulator_options() -> dict[str, Any]:
    """Return the options of the simulator's provider, for reading and for changing: `payments` reads them when used."""
    options: dict[str, Any] = settings.PAYMENTS["PROVIDERS"]["simulator"]["OPTIONS"]
    return options


def let_payers_return_to(origin: str) -> None:
    """Allow an origin (scheme, host and port) as the place where a payer comes back to."""
    origins = settings.PAYMENTS["RETURN_URL_ORIGINS"]
    origins += [each for each in (origin, origin.replace(HOST, "localhost")) if each not in origins]


@contextmanager
def _named_port(port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(port) from error
        raise
