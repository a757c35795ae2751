"""Addresses at which nothing good happens: nobody listens, nobody answers, or what is answered is of no use."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOCALHOST = "127.0.0.1"


@contextmanager
def closed_address() -> Iterator[str]:
    """Give an address where nobody listens."""
    with socket.socket() as held:
        # Bound but not listening: a connection is refused, and nobody else gets the port meanwhile.
        held.bind((LOCALHOST, 0))
        yield f"http://{LOCALHOST}:{held.getsockname()[1]}"


@contextmanager
def silent_address() -> Iterator[str]:
    """Give an address where connections are accepted and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind((LOCALHOST, 0))
        listener.listen(32)
        yield f"http://{LOCALHOST}:{listener.getsockname()[1]}"


@contextmanager
def answering_address(answer: bytes) -> Iterator[str]:
    """Give an address where every request is read and answered with the same bytes, and the connection closed."""
    listener = socket.create_server((LOCALHOST, 0), backlog=32)
    thread = threading.Thread(target=_serve, args=(listener, answer), daemon=True)
    thread.start()
    try:
        yield f"http://{LOCALHOST}:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=2)


def _serve(listener: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            connection.settimeout(2)
            _read_request(connection)
            connection.sendall(answer)


def _read_request(connection: socket.socket) -> None:
    """Read a whole request, so that closing the connection doesn't reset it before the answer is read."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return
        received += chunk
    head, _separator, body = received.partition(b"\r\n\r\n")
    missing = _content_length(head) - len(body)
    while missing > 0 and (chunk := connection.recv(65536)):
        missing -= len(chunk)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _colon, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
