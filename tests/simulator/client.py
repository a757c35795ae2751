"""A merchant that talks to the simulator over HTTP, and a shop's address that receives its webhooks."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit

API_KEY = "sk_sim_test"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.content)

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.content.decode()

    @property
    def code(self) -> str:
        """Return the code of an error."""
        return str(self.json["error"]["code"])


@dataclass(frozen=True, kw_only=True)
class Merchant:
    """Send requests, each over a connection of its own."""

    url: str
    api_key: str | None = API_KEY

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 5.0,
    ) -> Reply:
        """Send one request; a body that is not bytes is sent as JSON."""
        sent = dict(headers or {})
        if self.api_key:
            sent["Authorization"] = f"Bearer {self.api_key}"
        if key is not None:
            sent["Idempotency-Key"] = key
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=timeout)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=named, content=response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: str) -> Reply:
        """Send a GET."""
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, timeout: float = 5.0, **fields: Any
    ) -> Reply:
        """Send a POST of the fields as JSON."""
        return self.request("POST", path, fields if body is None else body, key=key, timeout=timeout)

    def initiate(self, amount: int = 10000, currency: str = "eur", **fields: Any) -> Any:
        """Make an intent and return it."""
        fields = {"reference": "payses_1", **fields}
        reply = self.post("/v1/intents", amount=amount, currency=currency, **fields)
        assert reply.status == 201, reply.content
        return reply.json

    def authorized(self, amount: int = 10000, **fields: Any) -> str:
        """Make an authorized intent and return its path."""
        path = f"/v1/intents/{self.initiate(amount, **fields)['id']}"
        assert self.post(f"{path}/authorize", card="card_ok").json["status"] == "authorized"
        return path

    def captured(self, amount: int = 10000, **fields: Any) -> str:
        """Make a wholly captured intent and return its path."""
        path = self.authorized(amount, **fields)
        assert self.post(f"{path}/captures", amount=amount, reference="capt_1").status == 201
        return path

    def challenged(self, amount: int = 10000, **fields: Any) -> Any:
        """Make an intent that waits for a challenge and return it."""
        path = f"/v1/intents/{self.initiate(amount, **fields)['id']}"
        intent = self.post(f"{path}/authorize", card="card_3ds").json
        assert intent["status"] == "requires_action"
        return intent

    def form(self, url: str, **fields: str) -> Reply:
        """Post an HTML form, as a browser does."""
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return self.request("POST", path, urlencode(fields).encode())


def is_cut_off(merchant: Merchant, method: str, path: str, body: Any = None, key: str | None = None) -> bool:
    """Say whether the service closes the connection without an answer."""
    try:
        merchant.request(method, path, body, key=key)
    except (ConnectionError, http.client.BadStatusLine):
        return True
    return False


def times_out(merchant: Merchant, method: str, path: str, body: Any = None, key: str | None = None) -> bool:
    """Say whether no answer comes within a moment."""
    try:
        merchant.request(method, path, body, key=key, timeout=0.15)
    except TimeoutError:
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class Received:
    """One webhook as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """Return the decoded event."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Shop:
    """A shop's webhook address; `statuses` are answered in turn, then 200, once so many posts are there at once."""

    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    at_once: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    url: str = ""

    @property
    def types(self) -> list[str]:
        """Return the types of the events received, in order."""
        return [each.event["type"] for each in self.received]

    def start(self) -> ThreadingHTTPServer:
        """Listen in a thread."""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                named = {name.lower(): value for name, value in self.headers.items()}
                shop.received.append(Received(path=self.path, headers=named, body=body))
                shop.at_once.wait(timeout=5)
                self.send_response(shop.statuses.pop(0) if shop.statuses else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/hooks/?shop=1"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server


def eventually(condition: Any, timeout: float = 3.0) -> bool:
    """Wait until something is true; return whether it came true in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
