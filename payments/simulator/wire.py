"""Requests and answers as plain values, so that no rule about money sees a socket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

Json = dict[str, Any]


def is_known_host(header: str, names: Iterable[str]) -> bool:
    """Return whether a request is meant for us, and not for a name that a page elsewhere has pointed here.

    Without that, a browser would let such a page read all that is answered (DNS rebinding). A number is no name, and
    programs other than browsers may send none.
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
