"""What goes over the wire: errors in PayPal's shape, and JSON bodies, checked against what is known."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.fakes import Json, Received

_NAMES: Final = {
    400: "INVALID_REQUEST",
    401: "AUTHENTICATION_FAILURE",
    403: "NOT_AUTHORIZED",
    404: "RESOURCE_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    422: "UNPROCESSABLE_ENTITY",
    429: "RATE_LIMIT_REACHED",
    500: "INTERNAL_SERVER_ERROR",
}


class ApiError(Exception):
    """Be one of PayPal's errors: an issue, under the name that goes with the status."""

    def __init__(self, issue: str, *, status: int = 422, where: str | None = None, said: str = "") -> None:
        super().__init__(issue)
        self.status = status
        detail = {"issue": issue, "description": said or f"{issue.replace('_', ' ').capitalize()}."}
        self.body: Json = {
            "name": _NAMES[status],
            "message": "The requested action could not be performed, semantically incorrect, or failed validation.",
            "debug_id": secrets.token_hex(6),
            "details": [detail if where is None else {**detail, "field": where, "location": "body"}],
            "links": [],
        }


@dataclass(frozen=True, kw_only=True)
class Request:
    """Hold one request; `body` is what its JSON says."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    key: str | None
    headers: Mapping[str, str] = field(repr=False)


def read(received: Received) -> Request:
    """Return a request with what its JSON says; a form, as for tokens, is read as if it were some."""
    is_form = received.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    text = received.body.decode()
    return Request(
        method=received.method,
        path=received.path,
        query=received.query,
        body=dict(parse_qsl(text)) if is_form else json.loads(text) if text else None,
        key=received.headers.get("paypal-request-id"),
        headers=received.headers,
    )


def checked(body: Any, known: Any, *, where: str = "") -> Any:
    """Return a body if it has what is known, and nothing else."""
    if isinstance(known, Mapping):
        return _checked_object(body, known, where)
    if isinstance(known, list):
        if not isinstance(body, list):
            raise malformed(where)
        return [checked(each, known[0], where=f"{where}/{number}") for number, each in enumerate(body)]
    return _checked_value(body, known, where)


def malformed(where: str) -> ApiError:
    """Return the refusal of a parameter that hasn't the form it is to have."""
    return ApiError("INVALID_PARAMETER_SYNTAX", status=400, where=where)


def _checked_object(body: Any, known: Mapping[str, Any], where: str) -> Json:
    if not isinstance(body, dict):
        raise malformed(where)
    required = {name.removesuffix("!") for name in known if name.endswith("!")}
    kinds = {name.removesuffix("!"): kind for name, kind in known.items()}
    for name in sorted(set(body) - set(kinds)):
        raise ApiError("UNKNOWN_PARAMETER", status=400, where=f"{where}/{name}")
    for name in sorted(required - set(body)):
        raise ApiError("MISSING_REQUIRED_PARAMETER", status=400, where=f"{where}/{name}")
    return {name: checked(value, kinds[name], where=f"{where}/{name}") for name, value in body.items()}


def _checked_value(body: Any, known: Any, where: str) -> Any:
    if isinstance(known, frozenset) and body not in known:
        raise ApiError("INVALID_PARAMETER_VALUE", status=400, where=where)
    if known == "bool" and not isinstance(body, bool):
        raise malformed(where)
    return _checked_text(body, known, where) if isinstance(known, int) else body


def _checked_text(body: Any, longest: int, where: str) -> str:
    if not isinstance(body, str) or not body:
        raise malformed(where)
    if len(body) > longest:
        raise ApiError("INVALID_STRING_LENGTH", status=400, where=where)
    return body
