"""An HTTP client that behaves like a browser: it keeps cookies, and shows redirects instead of following them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from http.cookiejar import CookieJar
from typing import Any, Final, cast
from urllib.parse import urlencode, urljoin
from urllib.request import (
    HTTPCookieProcessor,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
)

TIMEOUT_SECONDS: Final = 30.0

_CSRF_INPUT: Final = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Be what came back."""

    url: str
    status: int
    headers: HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        """The decoded body; None where it isn't JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def csrf_token(self) -> str:
        """The token of the page's forms, or nothing."""
        found = _CSRF_INPUT.search(self.text)
        return found[1] if found else ""

    @property
    def location(self) -> str | None:
        """Where a redirect leads, as an absolute address."""
        target = self.headers.get("Location")
        return None if target is None else urljoin(self.url, target)


class _EveryStatus(HTTPErrorProcessor):
    """Return 4xx and 5xx as answers: here they are expected as often as 200."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        """Pass it on as it is."""
        return response


class _NoRedirect(HTTPRedirectHandler):
    """Follow nothing."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Refuse."""


class Browser:
    """Send requests to one site, and to wherever its answers lead."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._cookies = CookieJar()
        self._opener = build_opener(
            ProxyHandler({}), HTTPCookieProcessor(self._cookies), _EveryStatus(), _NoRedirect()
        )

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Get a page, or a row."""
        return self._send("GET", url, None, headers or {})

    def post_form(self, url: str, values: Mapping[str, str]) -> Answer:
        """Send a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Referer": urljoin(self.base_url, url)}
        return self._send("POST", url, urlencode(values).encode(), kind)

    def send_json(self, method: str, url: str, body: Any, *, headers: Mapping[str, str]) -> Answer:
        """Send JSON; for a logged-in user with the CSRF token that the cookie holds."""
        token = {"X-CSRFToken": self._csrf_cookie} if self._csrf_cookie else {}
        kind = {"Content-Type": "application/json", "Referer": self.base_url, **token}
        return self._send(method, url, json.dumps(body).encode(), kind | dict(headers))

    @property
    def _csrf_cookie(self) -> str:
        tokens = (cookie.value for cookie in self._cookies if cookie.name.endswith("csrftoken"))
        return next((token for token in tokens if token), "")

    def _send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        address = urljoin(self.base_url, url)
        # The addresses are the shop's, or those that the shop's own answers name.
        request = Request(address, data=body, headers=dict(headers), method=method)  # noqa: S310
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            found = cast(HTTPResponse, response)
            return Answer(
                url=address,
                status=found.status,
                headers=found.headers,
                text=found.read().decode(errors="replace"),
            )
