"""The simulator as a service that runs in a thread: for tests, and behind `python -m payments.simulator`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from payments.simulator.api import MerchantApi
from payments.simulator.calls import Keys
from payments.simulator.control import ControlApi
from payments.simulator.engine import Engine
from payments.simulator.pages import ChallengePage, Pages, SavingPage
from payments.simulator.runtime import Settings
from payments.simulator.server import Answer, Request, Server, is_known_host


class SimulatorService(Engine):
    """A payment service on a port of this machine.

    Arguments: `port` (0: any free one; kept over a restart) · `ledger`, a file or `:memory:` · `api_key` ·
    `webhook_url` (None: events are written and dropped) · `webhook_secret`, one or several during a rotation (it
    and the key are made up where they aren't given) · `public_url`, the address that browsers see, if another ·
    and any field of `Settings`, such as `async_delay`, `key_window` or `webhook_retries`, all in seconds.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        ledger: str | Path = ":memory:",
        api_key: str | None = None,
        webhook_url: str | None = None,
        webhook_secret: str | Sequence[str] | None = None,
        public_url: str | None = None,
        **settings: Any,
    ) -> None:
        if api_key is not None:
            settings["api_key"] = api_key
        if webhook_secret is not None:
            is_one = isinstance(webhook_secret, str)
            settings["webhook_secrets"] = (webhook_secret,) if is_one else tuple(webhook_secret)
        super().__init__(ledger, Settings(webhook_url=webhook_url, **settings))
        self._address = (host, port)
        self._public_url = public_url
        self._stopping = threading.Event()
        self._server: Server | None = None
        self._api = MerchantApi(
            ledger=self.ledger,
            settings=self.settings,
            intents=self._intents,
            movements=self._movements,
            customers=self._customers,
            keys=Keys(self.ledger, self.clock, self.settings),
            scenarios=self._scenarios,
            calls=self._calls,
            stopping=self._stopping,
        )
        self._control = ControlApi(self)
        self._pages = Pages(
            self, ChallengePage(self._intents, self.settings), SavingPage(self._customers, self.settings)
        )

    @property
    def url(self) -> str:
        """Return the address of the service, e.g. `http://127.0.0.1:8001`."""
        host, port = self._address
        return f"http://{host}:{port}"

    def start(self) -> Self:
        """Serve in a thread until `stop`."""
        self._stopping.clear()
        self._server = Server(self._address, self._answer, self._stopping)
        self._address = (self._address[0], self._server.server_port)
        self.settings.base_url = (self._public_url or self.url).rstrip("/")
        self._server.start()
        self._pending.start()
        self._webhooks.start()
        return self

    def stop(self) -> None:
        """Stop serving and end what hangs; the ledger stays readable, and `start` goes on where it ended."""
        if self._server is None:
            return
        self._server.stop()
        self._pending.stop()
        self._webhooks.stop()
        self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answer(self, request: Request) -> Answer:
        known = (
            self._address[0],
            urlsplit(self.settings.base_url).hostname or "",
            *self.settings.allowed_hosts,
        )
        if not is_known_host(request.headers.get("host", ""), known):
            message = (
                "It is asked under a foreign name. Start it with --allowed-host, if that is one of yours."
            )
            return Answer.of_json({"error": {"code": "foreign_host", "message": message}}, 421)
        if request.path == "/v1" or request.path.startswith("/v1/"):
            return self._api.answer(request)
        if request.path.startswith("/_control/"):
            return self._control.answer(request)
        return self._pages.answer(request)
