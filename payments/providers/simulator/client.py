"""HTTP to the simulator, with every answer sorted by how certain it is.

Only a connection that could not be made, a refused API key and “too many requests” mean that nothing was done. What
goes wrong after something was sent is raised as it is, which the handler takes for an unknown outcome.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from django.views.decorators.debug import sensitive_variables

from payments.exceptions import DeclinedError, ProviderUnavailableError
from payments.providers.simulator.options import SimulatorOptions

Json = dict[str, Any]

MAX_ANSWER: Final = 1_000_000
"""No honest answer is longer, in bytes."""

_NOT_DONE: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_UNCERTAIN: Final = frozenset({"idempotency_in_progress", "idempotency_mismatch"})


class SimulatorError(Exception):
    """Say that the answer is of no use, so that the outcome is unknown."""


class SimulatorClient:
    """Make one HTTP request at a time, each with a timeout."""

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
    """Return a usable answer, or raise what it amounts to."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SimulatorError(f"The simulator answered {status}.")
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise SimulatorError("The simulator's answer is no object.")
    if status in (HTTPStatus.OK, HTTPStatus.CREATED):
        return answer
    error = answer["error"]
    code, message = str(error["code"]), str(error["message"])
    if status in _NOT_DONE:
        raise ProviderUnavailableError(message, code=code)
    if code in _UNCERTAIN:
        raise SimulatorError(code)
    raise DeclinedError(message, code=code)
