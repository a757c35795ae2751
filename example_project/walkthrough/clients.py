"""Who takes part: a shopper, a payer's browser script, an operator, and the pretend bank's page.

Each request goes through here: it is written down, its answer too, and both are held against what is expected.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from example_project.walkthrough.browsers import Answer, Browser
from example_project.walkthrough.expectations import UnexpectedAnswerError, difference
from example_project.walkthrough.transcripts import ELLIPSIS, Transcript

PAYER_HEADER: Final = "Payment-Client-Secret"
KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"


class Walk:
    """Keep the transcript, the number of the step, and every answer that the storefront gave."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self.storefront_answers: list[str] = []
        self._number = 0
        self._title = ""

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._title = title
        self.transcript.heading(self._number, title)

    def expect(self, what: str, expected: Any, got: Any) -> None:
        """Raise UnexpectedAnswerError unless both are the same."""
        found = difference(expected, got)
        if found is not None:
            place, one, other = found
            raise self.unexpected(f"{what}: {place}", one, other)

    def unexpected(self, what: str, expected: object, got: object) -> UnexpectedAnswerError:
        """Return the error that ends the walk at this step."""
        step = f"{self._number} ({self._title})"
        return UnexpectedAnswerError(step=step, what=what, expected=expected, got=got)


class Client:
    """Be one participant, with a browser of their own; JSON goes in and out."""

    def __init__(self, walk: Walk, who: str, browser: Browser) -> None:
        self.walk = walk
        self.who = who
        self.browser = browser
        self.headers: dict[str, str] = {}

    def ask(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        status: int,
        expected: Mapping[str, Any] | None = None,
        show: Iterable[str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """Send JSON, write down both ways, and check the status and the expected members of the answer.

        `show` names the members that are written down; the others become “…”. `key` is an Idempotency-Key to be used
        again; otherwise every POST has a fresh one.
        """
        self.walk.transcript.sent(self.who, method, url, body)
        answer = self._send(method, url, body, key)
        self.keep(answer)
        self.walk.transcript.received(answer.status, _shown(answer, show))
        self.walk.expect(f"{method} {url}: status", status, answer.status)
        if expected is not None:
            self.walk.expect(f"{method} {url}", expected, answer.json)
        return answer

    def keep(self, answer: Answer) -> None:
        """Remember an answer, where it matters who sees what."""

    def _send(self, method: str, url: str, body: Any, key: str | None) -> Answer:
        if method == "GET":
            return self.browser.get(url, headers=self.headers)
        fresh = {KEY_HEADER: key or secrets.token_hex(16)}
        return self.browser.send_json(method, url, body or {}, headers=self.headers | fresh)


class Payer(Client):
    """Be the checkout page's script: a guest who holds nothing but the collection's secret."""

    def use_secret(self, secret: str) -> None:
        """Send the collection's secret from now on."""
        self.headers[PAYER_HEADER] = secret

    def keep(self, answer: Answer) -> None:
        """Remember everything that the storefront ever said, and where the bank is."""
        self.walk.storefront_answers.append(answer.text)
        action = (answer.json or {}).get("next_action")
        if action is not None:
            self.walk.transcript.name_address(origin_of(action["url"]), "http://bank")


def origin_of(url: str) -> str:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _shown(answer: Answer, names: Iterable[str] | None) -> Any:
    body = answer.json
    if body is None:
        return None if not answer.text else f"({answer.headers.get_content_type()})"
    if names is None or not isinstance(body, dict):
        return body
    chosen = list(names)
    rest = {ELLIPSIS: ELLIPSIS} if set(body) - set(chosen) else {}
    return {name: body[name] for name in chosen if name in body} | rest
