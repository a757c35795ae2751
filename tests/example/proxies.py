"""A proxy that hands requests on to a shop and falsifies its answers: what a regression would look like to a client."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.threads import wait_for

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Be an answer on its way, with the request that it answers."""

    method: str
    path: str
    status: int
    body: str


Falsify = Callable[[Seen], tuple[int, str]]
"""Returns the status and the body that the client is to see."""


@contextmanager
def falsifying_proxy(shop_url: str, falsify: Falsify) -> Iterator[str]:
    """Serve as the shop while the block lasts; yield the proxy's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._hand_on()

        def do_POST(self) -> None:
            self._hand_on()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

        def _hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(urlsplit(shop_url).netloc, timeout=60)
            try:
                # The Host header goes along, so the shop builds addresses that lead back through here.
                connection.request(self.command, self.path, body, dict(self.headers))
                self._answer(connection.getresponse())
            finally:
                connection.close()

        def _answer(self, found: http.client.HTTPResponse) -> None:
            text = found.read().decode()
            seen = Seen(method=self.command, path=self.path, status=found.status, body=text)
            status, falsified = falsify(seen)
            payload = falsified.encode()
            self.send_response(status)
            for name, value in found.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(payload)
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        wait_for([thread])
