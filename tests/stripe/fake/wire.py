"""What goes over the wire: errors in Stripe's shape, and form-encoded parameters, checked against what is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes import Json, Received

_PART = re.compile(r"[^\[\]]+")


class ApiError(Exception):
    """Be one of Stripe's errors; `is_stored` tells whether it is kept under the idempotency key."""

    def __init__(self, message: str, *, status: int = 400, is_stored: bool = True, **error: Any) -> None:
        super().__init__(message)
        self.status = status
        self.is_stored = is_stored
        self.error: Json = {"type": "invalid_request_error", "message": message, **error}


@dataclass(frozen=True, kw_only=True)
class Request:
    """Hold one request."""

    method: str
    path: str
    params: Json
    key: str | None
    headers: Mapping[str, str] = field(repr=False)


def read(received: Received) -> Request:
    """Return a request with its parameters, wherever they were."""
    return Request(
        method=received.method,
        path=received.path,
        params=decode(received.body.decode() or received.query_string),
        key=received.headers.get("idempotency-key"),
        headers=received.headers,
    )


def decode(query: str) -> Json:
    """Return form-encoded parameters as nested dicts; lists come as dicts with numbers for keys."""
    params: Json = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        target = params
        *outer, last = _PART.findall(name)
        for part in outer:
            target = target.setdefault(part, {})
        target[last] = value
    return params


def checked(params: Mapping[str, Any], known: Mapping[str, Any], *, prefix: str = "") -> Json:
    """Return parameters as the types that they are to have; refuse those that aren't known, and malformed ones."""
    checked_params = {}
    for name, value in params.items():
        shown = f"{prefix}[{name}]" if prefix else name
        if name not in known:
            raise invalid(f"Received unknown parameter: {shown}", code="parameter_unknown", param=shown)
        checked_params[name] = _typed(value, known[name], shown)
    return checked_params


def found_in(query: str) -> tuple[str, str]:
    """Return the key of metadata that a search is for, and its value; nothing else is understood here."""
    name, _separator, value = query.partition(":")
    return name.removeprefix("metadata['").removesuffix("']"), value.strip("'")


def invalid(message: str, **error: Any) -> ApiError:
    """Return the refusal of a parameter, which happens before anything is done, so it isn't stored."""
    return ApiError(message, is_stored=False, **error)


def require(params: Mapping[str, Any], *names: str) -> None:
    """Refuse a request that lacks a parameter."""
    for name in names:
        if name not in params:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _typed(value: Any, kind: Any, shown: str) -> Any:
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=shown)
        return checked(value, kind, prefix=shown)
    if kind == "metadata":
        return _metadata(value, shown)
    if kind == "strings":
        return list(value.values()) if isinstance(value, dict) else [value]
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {shown}", param=shown)
    return _scalar(value, kind, shown)


def _scalar(value: str, kind: Any, shown: str) -> Any:
    if kind == "int":
        if not re.fullmatch(r"-?\d+", value):
            raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=shown)
        return int(value)
    if kind == "bool":
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", param=shown)
        return value == "true"
    if isinstance(kind, frozenset) and value not in kind:
        raise invalid(f"Invalid {shown}: must be one of {', '.join(sorted(kind))}", param=shown)
    if not value and not isinstance(kind, frozenset):
        raise invalid(
            f"You passed an empty string for '{shown}'.", code="parameter_invalid_empty", param=shown
        )
    return value


def _metadata(value: Any, shown: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise invalid("Invalid object", param=shown)
    if len(value) > 50 or any(len(name) > 40 or len(each) > 500 for name, each in value.items()):
        raise invalid("Metadata has at most 50 keys of 40 and values of 500 characters.", param=shown)
    return value
