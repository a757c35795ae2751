"""Giftly, the made-up service of docs/writing-a-provider.md, over real HTTP: strict, with an account of every card.

It knows nothing of the house, as a third party doesn't.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.threads import wait_for

API_KEY: Final = "giftly_test_key"

Answer = tuple[int, dict[str, Any]]


class RefusalError(Exception):
    """Stands for a 4xx answer."""

    def __init__(self, code: str, message: str, status: int = 422) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "message": message}


@dataclass(kw_only=True)
class Order:
    """Keep what is held, taken and given back for one reference."""

    id: str
    amount: Decimal
    currency: str
    status: str = "pending"
    held: Decimal = Decimal(0)
    released: Decimal = Decimal(0)
    balance: str = ""
    movements: list[dict[str, str]] = field(default_factory=list)

    def moved(self, kind: str) -> Decimal:
        return sum((Decimal(row["amount"]) for row in self.movements if row["kind"] == kind), Decimal(0))

    def move(self, kind: str, body: dict[str, str], left: Decimal) -> None:
        amount = Decimal(body["amount"])
        if self.status != "authorized" or not Decimal(0) < amount <= left:
            raise RefusalError("too_much", "That is more than there is.")
        row = {
            "id": f"{self.id}_{len(self.movements)}",
            "kind": kind,
            "amount": str(amount),
            "ref": body["ref"],
        }
        self.movements.append(row)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "amount": str(self.amount),
            "currency": self.currency,
            "status": self.status,
            "held": str(self.held),
            "released": str(self.released),
            "balance": self.balance,
            "movements": self.movements,
        }


@dataclass(kw_only=True)
class Giftly:
    """Answer requests; `cards` is what is on each card."""

    url: str = ""
    cards: dict[str, Decimal] = field(
        default_factory=lambda: {"GIFT-1000": Decimal(10**6), "GIFT-EMPTY": Decimal(0)}
    )
    orders: dict[str, Order] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def answer(self, method: str, path: str, key: str, body: dict[str, str]) -> Answer:
        if key and key in self.answers:
            return self.answers[key]
        try:
            answer: Answer = 200, self._act(method, path, body).shown()
        except RefusalError as refusal:
            answer = refusal.status, refusal.body
        if key:
            self.answers[key] = json.loads(json.dumps(answer))
        return answer

    def _act(self, method: str, path: str, body: dict[str, str]) -> Order:
        _orders, reference, verb = [*path.strip("/").split("/"), ""][:3]
        if method == "PUT" and not verb:
            return self._put(reference, body)
        order = self.orders.get(reference)
        if order is None:
            raise RefusalError("unknown_order", "There is no such order.", status=404)
        if method == "GET" and not verb:
            return order
        verbs: dict[tuple[str, str], Callable[[Order, dict[str, str]], None]] = {
            ("DELETE", ""): self._release,
            ("POST", "hold"): self._hold,
            ("POST", "captures"): self._capture,
            ("POST", "refunds"): self._refund,
        }
        verbs[method, verb](order, body)
        return order

    def _put(self, reference: str, body: dict[str, str]) -> Order:
        order = self.orders.get(reference)
        if order is None:
            order = Order(
                id=f"gft_{reference[-12:]}", amount=Decimal(body["amount"]), currency=body["currency"]
            )
            return self.orders.setdefault(reference, order)
        if order.status != "pending":
            raise RefusalError("wrong_status", "The order can't be changed any more.")
        order.amount = Decimal(body["amount"])
        return order

    def _hold(self, order: Order, body: dict[str, str]) -> None:
        if order.status != "pending":
            raise RefusalError("wrong_status", "The order is paid or canceled.")
        on_card = self.cards.get(body["card"], Decimal(0))
        if on_card < order.amount:
            raise RefusalError("insufficient_funds", "There isn't enough on the card.")
        self.cards[body["card"]] = on_card - order.amount
        order.status, order.held, order.balance = "authorized", order.amount, str(self.cards[body["card"]])

    def _capture(self, order: Order, body: dict[str, str]) -> None:
        order.move("capture", body, order.held - order.released - order.moved("capture"))

    def _refund(self, order: Order, body: dict[str, str]) -> None:
        order.move("refund", body, order.moved("capture") - order.moved("refund"))

    def _release(self, order: Order, body: dict[str, str]) -> None:
        left = order.held - order.released - order.moved("capture")
        if order.held and not left:
            raise RefusalError("nothing_held", "Nothing is held any more.")
        order.released += left
        if order.released == order.held:
            order.status = "canceled"


@contextmanager
def running_giftly() -> Iterator[Giftly]:
    """Serve a new Giftly on a free port of this machine."""
    giftly = Giftly()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(giftly))
    giftly.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield giftly
    finally:
        server.shutdown()
        server.server_close()
        wait_for([thread])


def _handler(giftly: Giftly) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "null") or {}
            status, answer = 401, {"code": "unauthorized", "message": "Who are you?"}
            if self.headers["Authorization"] == f"Bearer {API_KEY}":
                status, answer = giftly.answer(
                    self.command, self.path, self.headers["Idempotency-Key"] or "", body
                )
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the standard library's names

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
