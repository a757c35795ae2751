"""The contract's part about the wire: how certain an answer is when the line is bad."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from payments.providers import ProviderResult, RetrieveResult
from payments.states import Outcome
from payments.testing.contract.driver import SessionDriver
from payments.testing.contract.hooks import ContractHooks

Verb = Callable[[SessionDriver], ProviderResult]

_VERBS: Mapping[str, Verb] = {
    "authorize": SessionDriver.authorize,
    "capture": SessionDriver.capture,
    "refund": SessionDriver.refund,
    "cancel": SessionDriver.cancel,
    "initiate": SessionDriver.initiate,
}

LOCALHOST = "127.0.0.1"

IMPATIENCE = 0.2
"""The timeout, in seconds, of a provider at an address where nothing good happens."""

SILENCE = 0.05
"""The same where nothing is said at all: each verb waits for so long."""

_EMPTY_LIST = "200 with an empty list"

_BAD_ANSWERS = {
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "503 from a proxy": b"HTTP/1.1 503 Busy\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
    "200 with garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\xff\xfe\x00{",
    "200 with an empty object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    _EMPTY_LIST: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
}


class WireContract(ContractHooks):
    """Tests of a provider at addresses where nothing good happens."""

    def test_an_address_that_cannot_be_reached_means_not_sent(self) -> None:
        with closed_address() as url:
            _fail_with_all(
                f"{name}: nothing was sent, but it is {result.outcome}"
                for name, result, _took in self._results_at(url)
                if result.outcome != Outcome.NOT_SENT
            )

    def test_silence_ends_after_the_timeout_with_an_unknown_outcome(self) -> None:
        with silent_address() as url:
            results = self._results_at(url, timeout=SILENCE)
        _fail_with_all(
            f"{name}: after {took:.1f} s it is {result.outcome}; is its timeout set?"
            for name, result, took in results
            if result.outcome != Outcome.UNKNOWN or took >= self.longest_wait
        )

    def test_a_useless_answer_is_an_unknown_outcome(self) -> None:
        results = {}
        for kind, answer in _BAD_ANSWERS.items():
            with answering_address(answer) as url:
                results[kind] = self._results_at(url)
        _fail_with_all(
            f"{name}: after “{kind}” nobody knows what was done, but it is {result.outcome}"
            for of_verb in zip(*results.values(), strict=True)
            for kind, (name, result, _took) in zip(results, of_verb, strict=True)
            if result.outcome != Outcome.UNKNOWN and not _finds_nothing(kind, result)
        )

    def _results_at(
        self, url: str, *, timeout: float = IMPATIENCE
    ) -> list[tuple[str, ProviderResult, float]]:
        """Call each verb, those that move money first, in sessions that were opened well and then moved to an address.

        Returns the verb's name, its result, and how many seconds that took.
        """
        provider = self.provider_at(url, timeout=timeout)
        verbs = dict(_VERBS)
        if provider.supports_update:
            verbs["update"] = lambda driver: driver.update(driver.amount)
        if provider.supports_retrieve:
            verbs["retrieve"] = SessionDriver.retrieve
        drivers = {"initiate": self.start(), "authorize": self.initiated(), "update": self.initiated()}
        captured = self.captured()
        results = []
        for name, verb in verbs.items():
            driver = drivers.get(name, captured)
            driver.provider = provider
            started = time.monotonic()
            results.append((name, verb(driver), time.monotonic() - started))
        return results


def _finds_nothing(kind: str, result: ProviderResult) -> bool:
    """Return whether an empty list means that there is no such session: a search may answer with just that."""
    return kind == _EMPTY_LIST and isinstance(result, RetrieveResult) and result.fact is None


def _fail_with_all(wrong: Iterable[str]) -> None:
    """Fail where anything is wrong, with all of it, so that one run tells everything."""
    listed = "\n".join(f"  * {each}" for each in wrong)
    assert not listed, f"Not as certain as it is:\n{listed}"


@contextmanager
def closed_address() -> Iterator[str]:
    """Yield an address that refuses connections."""
    with socket.socket() as held:
        # Bound but not listening: a connection is refused, and no other process gets the port meanwhile.
        held.bind((LOCALHOST, 0))
        yield f"http://{LOCALHOST}:{held.getsockname()[1]}"


@contextmanager
def silent_address() -> Iterator[str]:
    """Yield an address where connections are accepted and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind((LOCALHOST, 0))
        listener.listen(32)
        yield f"http://{LOCALHOST}:{listener.getsockname()[1]}"


@contextmanager
def answering_address(answer: bytes) -> Iterator[str]:
    """Yield an address where every request is read and answered with the same bytes, and the connection closed."""
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
