"""A client that speaks the API's JSON, as one visitor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

ROOT = "/payments"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold what came back."""

    status: int
    body: Any
    headers: dict[str, str]
    raw: bytes

    @property
    def error(self) -> tuple[int, str, str, list[tuple[str | None, str]]]:
        """Status, type, code, and for each blamed field its name and code."""
        assert set(self.body) == {"type", "code", "message", "errors"}
        assert all(set(error) == {"field", "code", "message"} for error in self.body["errors"])
        assert self.body["message"]
        blamed = [(error["field"], error["code"]) for error in self.body["errors"]]
        return self.status, self.body["type"], self.body["code"], blamed


class Visitor:
    """Send requests, logged in or not, with a client secret or without."""

    def __init__(self, *, user: Any = None, secret: str | None = None) -> None:
        self.client = Client()
        self.user = user
        self.headers = {} if secret is None else {"Payment-Client-Secret": secret}
        if user is not None:
            self.client.force_login(user)

    def get(self, path: str, **query: Any) -> Answer:
        """GET an address below `storefront/` or `staff/`."""
        return self._answer(self.client.get(f"{ROOT}/{path}", query, headers=self.headers))

    def post(self, path: str, body: Any = None) -> Answer:
        """POST a body; None sends none at all."""
        return self.send("POST", path, body)

    def patch(self, path: str, body: Any) -> Answer:
        """PATCH with a body."""
        return self.send("PATCH", path, body)

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a body as JSON, a text as it is."""
        data = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        response = self.client.generic(
            method, f"{ROOT}/{path}", data, content_type="application/json", headers=self.headers
        )
        return self._answer(response)

    def _answer(self, response: Any) -> Answer:
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        body = (
            json.loads(response.content)
            if is_json and response.content
            else response.content.decode() or None
        )
        return Answer(
            status=response.status_code, body=body, headers=dict(response.headers), raw=response.content
        )
