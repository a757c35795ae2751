"""The HTTP server: requests and answers as plain values, sockets and threads, and nothing about money."""

from __future__ import annotations

import json
import select
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


def is_known_host(header: str, names: Iterable[str]) -> bool:
    """Return whether a request is meant for us, and not for a name that a page elsewhere has pointed here.

    Without that, a browser would let such a page read all that is answered (DNS rebinding). An address in numbers isn't
    a name, and programs other than browsers may send none.
    """
    name = header.rpartition("]")[0].lstrip("[") or header.partition(":")[0]
    known = {"", "localhost", *(each.lower() for each in names)}
    return name.lower().rstrip(".") in known or _is_number(name)


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Delivery(Enum):
    """How an answer leaves the service: sent, never sent, or cut off."""

    SEND = "send"
    HANG = "hang"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request; header names are in lower case."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        """Return the query's parameters, the last of each name."""
        return {
            name: values[-1] for name, values in parse_qs(self.query_string, keep_blank_values=True).items()
        }

    @property
    def form(self) -> dict[str, str]:
        """Return the fields of a posted HTML form."""
        text = self.body.decode("utf-8", "replace")
        return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer, or the silence in its place."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.SEND

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """Encode a value as the body; header names are given with underscores."""
        named = {name.replace("_", "-").title(): text for name, text in headers.items()}
        return cls(status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers=named)

    def with_header(self, name: str, value: str) -> Answer:
        """Return the same answer with one more header."""
        return replace(self, headers={**self.headers, name: value})


LARGEST_BODY: Final = 64 * 1024

Application = Callable[[Request], Answer]


class Server(ThreadingHTTPServer):
    """A threading server that ends every connection when it stops."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], application: Application, stopping: threading.Event) -> None:
        self.application = application
        self.stopping = stopping
        self._sockets: set[socket.socket] = set()
        self._sockets_lock = threading.Lock()
        self._wake_in, self._wake_out = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="simulator-http", daemon=True)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    def start(self) -> None:
        """Serve in a thread until `stop`."""
        self._thread.start()

    def _serve(self) -> None:
        # Unlike `serve_forever`, which polls, this sleeps until there is something to do.
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._wake_out, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                if not self.stopping.is_set():
                    self._accept()

    def _accept(self) -> None:
        with suppress(OSError):  # The client may have gone away already.
            self.process_request(*self.get_request())

    def stop(self) -> None:
        """Stop serving, cut off every client that is still connected, waiting or hanging, and close."""
        self.stopping.set()
        self._wake_in.send(b"!")
        self._thread.join()
        with self._sockets_lock:
            sockets = list(self._sockets)
        for each in sockets:
            _cut(each)
        self.server_close()

    def server_close(self) -> None:
        """Close all sockets."""
        super().server_close()
        self._wake_in.close()
        self._wake_out.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep the connection in mind and serve it in a thread."""
        with self._sockets_lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._sockets_lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away; anything else is shown as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # It may be gone already.
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "PaymentSimulator/1.0"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 (as the base class looks them up)

    @property
    def _server(self) -> Server:
        return cast(Server, self.server)

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            self.close_connection = True
            error = {"code": "invalid_body", "message": f"Send a Content-Length of at most {LARGEST_BODY}."}
            self._send(Answer.of_json({"error": error}, 413))
            return
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query_string=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        answer = self._server.application(request)
        if answer.delivery is Delivery.SEND:
            self._send(answer)
            return
        self.close_connection = True
        if answer.delivery is Delivery.HANG:
            self._hang()
        _cut(self.connection)

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        too_strange = "Transfer-Encoding" in self.headers or not length.isdecimal()
        if too_strange or int(length[:9]) > LARGEST_BODY:
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-store",
            **answer.headers,
        }
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _hang(self) -> None:
        while not self._server.stopping.wait(0.05) and self._client_is_there():
            pass

    def _client_is_there(self) -> bool:
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the console quiet; the calls are in the ledger."""
