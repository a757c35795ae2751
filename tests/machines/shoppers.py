"""Those who use a shop over HTTP: a payer and an operator, who send again what got no answer, under the same key."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

CSRF_TOKEN: Final = "b" * 32
TIMEOUT: Final = 30.0
PAUSE: Final = 0.2
GLANCES: Final = 10
"""How often is looked whether an unknown outcome has become known, before it is left to the workers."""


class LeftError(Exception):
    """An answer with which a purchase ends: the provider has refused, or a worker finds out what has happened."""


class WrongError(Exception):
    """An answer that nobody may get."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one request, and how long it took."""

    route: str
    status: int
    type: str
    code: str
    seconds: float

    @property
    def is_the_providers(self) -> bool:
        """Whether the provider has refused, wasn't reached, or hasn't told an outcome yet.

        What is in the way of a verb is such an outcome, for no two shoppers share an order.
        """
        return self.type == "provider_error" or self.code == "operation_in_progress"


@dataclass(kw_only=True)
class Purchase:
    """What the shop has said of one order."""

    reference: str
    session: str = ""
    payment: str = ""
    captured: bool = False
    refunded: bool = False
    left: str = ""


Told = Callable[[Answer], None]


@dataclass(kw_only=True)
class Shopper:
    """A payer and an operator of a shop, on one connection; `told` hears of every answer.

    For `patience` seconds they ask again where the shop doesn't answer, or has lost its database.
    """

    port: int
    operator: str
    told: Told = field(default=lambda _answer: None)
    patience: float = 0.0
    _connection: HTTPConnection | None = None

    def buy(self, reference: str, *, refunds: bool = True) -> Purchase:
        """Pay an order, capture what is held, and give it back; return how far that went."""
        purchase = Purchase(reference=reference)
        try:
            self._buy(purchase, refunds=refunds)
        except LeftError as error:
            purchase.left = str(error)
        return purchase

    def _buy(self, purchase: Purchase, *, refunds: bool) -> None:
        opened = self.ask(
            "open", "POST", "storefront/payment-collections/", {"reference": purchase.reference}
        )
        payer = {"Payment-Client-Secret": opened["client_secret"]}
        address = f"storefront/payment-collections/{opened['id']}/"
        self.ask("read", "GET", address, headers=payer)
        created = self.ask(
            "session", "POST", f"{address}payment-sessions/", {"provider_id": "simulator"}, headers=payer
        )
        purchase.session = created["id"]
        address = f"storefront/payment-sessions/{purchase.session}/"
        self._settled("session", address, payer, created, "pending")
        authorized = self.ask("authorize", "POST", f"{address}authorize/", {}, headers=payer)
        self._settled("authorize", address, payer, authorized, "authorized")
        shown = self.ask("staff session", "GET", f"staff/payment-sessions/{purchase.session}/")
        purchase.payment = shown["payment_id"]
        address = f"staff/payments/{purchase.payment}/"
        captured = self.ask("capture", "POST", f"{address}capture/", {"amount": "100.00"})
        self._settled("capture", address, {}, captured, "captured")
        purchase.captured = True
        if refunds:
            refunded = self.ask("refund", "POST", f"{address}refund/", {"amount": "100.00"})
            self._settled("refund", address, {}, refunded, "refunded")
            purchase.refunded = True

    def _settled(
        self, verb: str, address: str, headers: Mapping[str, str], shown: dict[str, Any], status: str
    ) -> None:
        """Look until a row has a status, and nothing of it is unclear; raise LeftError where that takes long."""
        glances = 0
        while shown["status"] != status or shown.get("in_progress") or shown.get("unclear"):
            glances += 1
            if glances > GLANCES or shown["status"] in ("error", "canceled"):
                raise LeftError(f"{verb}: {shown['status']}")
            time.sleep(PAUSE)
            shown = self.ask("look", "GET", address, headers=headers)

    def ask(
        self,
        route: str,
        method: str,
        address: str,
        body: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return an answer; raise LeftError for one by the provider's fault, and WrongError for any other error."""
        key = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        deadline = time.monotonic() + self.patience
        while True:
            answer, found = self._send(route, method, address, body, {**key, **(headers or self._staff)})
            self.told(answer)
            if answer.status in (200, 201, 202):
                return found
            if answer.is_the_providers:
                raise LeftError(f"{route}: {answer.code}")
            if time.monotonic() > deadline:
                raise WrongError(f"{route}: {answer.status} {answer.code} {found}")
            time.sleep(PAUSE)

    @property
    def _staff(self) -> dict[str, str]:
        cookie = f"sessionid={self.operator}; csrftoken={CSRF_TOKEN}"
        return {"Cookie": cookie, "X-CSRFToken": CSRF_TOKEN}

    def _send(
        self,
        route: str,
        method: str,
        address: str,
        body: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> tuple[Answer, dict[str, Any]]:
        """Send a request once, on the kept connection if there is one."""
        started = time.perf_counter()
        sent = None if body is None else json.dumps(body)
        try:
            if self._connection is None:
                self._connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
            self._connection.request(
                method, f"/payments/{address}", sent, {"Content-Type": "application/json", **headers}
            )
            response = self._connection.getresponse()
            text, status = response.read(), response.status
        except (OSError, HTTPException) as error:
            self.close()
            text, status = json.dumps({"code": type(error).__name__}).encode(), 0
        seconds = time.perf_counter() - started
        try:
            found = json.loads(text)
        except ValueError:
            found = {"code": text[:80].decode(errors="replace")}
        kind, code = str(found.get("type", "")), str(found.get("code", ""))
        return Answer(route=route, status=status, type=kind, code=code, seconds=seconds), found

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
