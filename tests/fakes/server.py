"""A fake's HTTP server: sockets and threads, on the loopback address only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Received:
    """Hold a request as it arrived; the headers' names are in lower case."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold an answer; a status of 0 stands for silence, `announced` for more bytes than come."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    announced: int | None = None


class Server:
    """Serve in threads until it is stopped."""

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        self.stopping = threading.Event()
        self._http = _HTTPServer(("127.0.0.1", 0), _Handler)
        self._http.fake_answer = answer
        self._http.fake_stopping = self.stopping
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End every request and the server."""
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=5)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    fake_answer: Callable[[Received], Answer]
    fake_stopping: threading.Event

    def server_bind(self) -> None:
        # Without asking a name server who we are.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_DELETE(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _serve(self) -> None:
        server = cast(_HTTPServer, self.server)
        parts = urlsplit(self.path)
        received = Received(
            method=self.command,
            path=parts.path,
            query=parts.query,
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        answer = server.fake_answer(received)
        self.close_connection = True
        if answer.status == 0:
            server.fake_stopping.wait(timeout=3)
            return
        with suppress(OSError):
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        raw = json.dumps(answer.body).encode() if answer.raw is None else answer.raw
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(answer.announced or len(raw)))
        self.send_header("Connection", "close")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
