"""HTTP to the simulator, what it is configured with, and how certain each of its answers is."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from math import inf
from typing import Any, Final
from urllib.parse import urlsplit

from django.views.decorators.debug import sensitive_variables

from payments.exceptions import DeclinedError, ProviderUnavailableError

Json = dict[str, Any]

MAX_ANSWER: Final = 1_000_000
"""No honest answer is longer, in bytes."""

_NOT_DONE: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_UNCERTAIN: Final = frozenset({"idempotency_in_progress", "idempotency_mismatch"})


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """Where the simulator is, and how to talk to it.

    `timeout` is in seconds; `webhook_secrets` are those that its events may be signed with, several while one is being
    replaced; `webhook_tolerance`, in seconds, is how far a signature's time may be from now.
    Raises ValueError for a malformed address, a blank secret or key, and times that are not positive.
    """

    base_url: str = "http://127.0.0.1:8001"
    api_key: str = field(default="sk_sim_test", repr=False)
    webhook_secrets: Sequence[str] = field(default=(), repr=False)
    timeout: float = 10.0
    webhook_tolerance: float = 300.0

    def __post_init__(self) -> None:
        if isinstance(self.webhook_secrets, str):
            raise ValueError('webhook_secrets must be a list: "webhook_secrets": ["whsec_..."]')
        if not _is_address(self.base_url):
            raise ValueError('base_url must be an address such as "http://127.0.0.1:8001"')
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ValueError("api_key must be plain characters: it goes into a header")
        if not self.api_key.strip() or not all(secret.strip() for secret in self.webhook_secrets):
            raise ValueError("api_key and webhook_secrets must not be blank")
        if not (0 < self.timeout < inf and 0 < self.webhook_tolerance < inf):
            raise ValueError("timeout and webhook_tolerance must be positive numbers of seconds")


class SimulatorError(Exception):
    """An unusable answer, so that the outcome is unknown."""


class SimulatorClient:
    """A way to make one HTTP request at a time, each with a timeout."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options

    def get(self, path: str) -> Json:
        """Read something."""
        return self._request("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any], *, idempotency_key: str) -> Json:
        """Ask for something to be done.

        Raises DeclinedError for a definite refusal and ProviderUnavailableError where nothing was done.
        """
        sent = {name: value for name, value in body.items() if value is not None}
        return self._request("POST", path, sent, {"Idempotency-Key": idempotency_key})

    @sensitive_variables()
    def _request(self, method: str, path: str, body: Json | None, headers: dict[str, str]) -> Json:
        connection = self._connect()
        try:
            connection.request(
                method,
                urlsplit(self._options.base_url).path.rstrip("/") + path,
                None if body is None else json.dumps(body),
                {
                    **headers,
                    "Authorization": f"Bearer {self._options.api_key}",
                    "Content-Type": "application/json",
                },
            )
            # An answer that breaks off keeps its socket open unless it is closed itself.
            with connection.getresponse() as response:
                return _sort(response.status, response.read(MAX_ANSWER))
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self._options.base_url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(address.netloc, timeout=self._options.timeout)
        try:
            connection.connect()
        except OSError as error:
            raise ProviderUnavailableError("The simulator can't be reached.") from error
        return connection


def _sort(status: int, body: bytes) -> Json:
    """Return a usable answer, or raise what it amounts to.

    Only a refused API key and “too many requests” mean that nothing was done; what goes wrong otherwise after something
    was sent is raised as it is, and counts as an unknown outcome.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SimulatorError(f"The simulator answered {status}.")
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise SimulatorError("The simulator's answer is not an object.")
    if status in (HTTPStatus.OK, HTTPStatus.CREATED):
        return answer
    error = answer["error"]
    code, message = str(error["code"]), str(error["message"])
    if status in _NOT_DONE:
        raise ProviderUnavailableError(message, code=code)
    if code in _UNCERTAIN:
        raise SimulatorError(code)
    raise DeclinedError(message, code=code)


def _is_address(url: str) -> bool:
    """Return whether a URL names a host and perhaps a path, and nothing that would be left out of a request."""
    parts = urlsplit(url)  # which raises ValueError for a malformed port
    is_whole = not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and is_whole
