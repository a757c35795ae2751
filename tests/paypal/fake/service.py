"""The fake as a running service: it routes, checks tokens and idempotency, and misbehaves."""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from tests.fakes import Answer, Fault, Json, Plan, Server
from tests.paypal.fake import parameters
from tests.paypal.fake.books import Books, Row
from tests.paypal.fake.movements import Movements
from tests.paypal.fake.orders import Funding, Orders
from tests.paypal.fake.signing import certificate
from tests.paypal.fake.wire import ApiError, Request, checked, read

CLIENT_ID: Final = "client-of-the-fake"
CLIENT_SECRET: Final = "secret-of-the-fake"

_LOGIN: Final = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
_CERTIFICATES: Final = {"CERT-good": certificate(), "CERT-expired": certificate(days=-1), "CERT-broken": b"?"}
_OPEN_TO_ALL: Final = ("token", "certificate", "page")

Handler = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Tie a method and a path to what handles it, to the body that it takes, and to the status that it answers."""

    operation: str
    method: str
    path: re.Pattern[str]
    known: Any
    handler: Handler
    status: int


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Hold what was answered under a request id."""

    fingerprint: str
    answer: Answer


class FakePayPal:
    """Be PayPal for a test, at `url`, until the block ends.

    Its books are `books`; `requests` is what it was asked, `executed` which operations it has carried out.
    """

    def __init__(self) -> None:
        self.books = Books()
        self.orders = Orders(self.books)
        self.movements = Movements(self.books)
        self.requests: list[Request] = []
        self.executed: list[str] = []
        self.tokens: set[str] = set()
        self.token_lasts = 32400
        self.webhooks: list[Json] = []
        self._plans: list[Plan] = []
        self._stored: dict[str, Stored] = {}
        self._lock = threading.RLock()
        self._routes = self._make_routes()
        self._server = Server(lambda received: self.answer(read(received)))
        self.orders.url = self.movements.url = self.url

    @property
    def url(self) -> str:
        """Where it is."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.stop()

    def misbehave(self, operation: str, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        """Have the next requests for an operation go wrong, after some that don't."""
        self._plans.append(Plan(operation=operation, fault=fault, times=times, after=after))

    def behave(self) -> None:
        """Have nothing go wrong any more."""
        self._plans.clear()

    def withdraw_tokens(self) -> None:
        """Refuse all access tokens that were given out so far."""
        self.tokens.clear()

    def order_of(self, session_id: str) -> Row:
        """Return the one order of a session, as it is in the books."""
        [order] = [
            row
            for row in self.books.all("order")
            if row.data["unit"].get("custom_id", "").partition("/")[0] == session_id
        ]
        return order

    def authorization_of(self, session_id: str) -> Row:
        """Return the one authorization of a session."""
        [authorization] = self.books.all("authorization", parent=self.order_of(session_id).id)
        return authorization

    def captures_of(self, session_id: str) -> list[Row]:
        """Return the captures of a session, oldest first."""
        shown = self.orders.shown(self.order_of(session_id))["purchase_units"][0].get("payments", {})
        return [self.books.rows[row["id"]] for row in shown.get("captures", [])]

    def events(self, *types: str) -> list[Json]:
        """Return the events so far, of some types only."""
        return [event for event in self.books.events if not types or event["event_type"] in types]

    def answer(self, request: Request) -> Answer:
        """Answer one request; nothing is decided about money here."""
        with self._lock:
            self.requests.append(request)
            route, values = self._route(request)
            plan = self._plan(route.operation if route else "")
            if plan is None:
                return self._answer(request, route, values)
            return self._misbehave(plan.fault, request, route, values)

    def _answer(self, request: Request, route: Route | None, values: tuple[str, ...]) -> Answer:
        try:
            if route is None or route.operation not in _OPEN_TO_ALL:
                self._authenticate(request)
            if route is None:
                raise ApiError("INVALID_RESOURCE_ID", status=404)
            body = checked(request.body, route.known) if route.known is not None else None
            return self._once(request, route, lambda: self._execute(request, route, values, body))
        except ApiError as error:
            return Answer(status=error.status, body=error.body)

    def _execute(self, request: Request, route: Route, values: tuple[str, ...], body: Any) -> Answer:
        arguments = (*values, body) if body is not None and route.known else values
        if route.operation in ("token", "page", "disputes"):
            arguments = (request,)
        shown = route.handler(*arguments)
        self.executed.append(route.operation)
        if isinstance(shown, bytes):
            return Answer(status=route.status, body={}, raw=shown)
        return Answer(status=route.status, body=shown, raw=b"" if route.status == 204 else None)

    def _once(self, request: Request, route: Route, execute: Callable[[], Answer]) -> Answer:
        """Carry a request out, unless one with its id was before; refusals aren't kept."""
        if request.method != "POST" or request.key is None:
            return execute()
        fingerprint = json.dumps([request.path, request.body], sort_keys=True)
        known = self._stored.get(request.key)
        if known is not None and known.fingerprint != fingerprint:
            raise ApiError("DUPLICATE_REQUEST_ID")
        if known is not None:
            return replace(known.answer, status=200)
        answer = execute()
        self._stored[request.key] = Stored(fingerprint=fingerprint, answer=answer)
        return answer

    def _misbehave(
        self, fault: Fault, request: Request, route: Route | None, values: tuple[str, ...]
    ) -> Answer:
        if fault.acts:
            self._answer(request, route, values)
        if fault in (Fault.TOO_MANY, Fault.CONFLICT):
            issue = "RATE_LIMIT_REACHED" if fault == Fault.TOO_MANY else "PREVIOUS_REQUEST_IN_PROGRESS"
            error = ApiError(issue, status=int(fault.value))
            return Answer(status=error.status, body=error.body)
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
            return Answer(status=500, body=ApiError("INTERNAL_SERVICE_ERROR", status=500).body)
        if fault in (Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER):
            return Answer(status=0, body={})
        if fault == Fault.CUT_OFF_AFTER:
            return Answer(status=201, body={}, raw=b'{"id": "4X', announced=4000)
        return Answer(status=200, body={}, raw=b"\xff\xfe{not json")

    def _authenticate(self, request: Request) -> None:
        kind, _space, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            raise ApiError("INVALID_ACCESS_TOKEN", status=401)

    def _token(self, request: Request) -> Json:
        if request.headers.get("authorization") != f"Basic {_LOGIN}":
            raise ApiError("INVALID_CLIENT", status=401)
        if request.body != {"grant_type": "client_credentials"}:
            raise ApiError("UNSUPPORTED_GRANT_TYPE", status=400)
        token = f"A21AA{secrets.token_urlsafe(40)}"
        self.tokens.add(token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.token_lasts}

    def _page(self, request: Request) -> Json:
        """Be the button on PayPal's page with which a payer agrees."""
        self.orders.approve(request.query.get("token", ""), Funding(request.query.get("funding", "good")))
        return {"approved": True}

    def _certificate(self, name: str) -> bytes:
        if name not in _CERTIFICATES:
            raise ApiError("INVALID_RESOURCE_ID", status=404)
        return _CERTIFICATES[name]

    def _plan(self, operation: str) -> Plan | None:
        for plan in self._plans:
            if plan.operation != operation or not plan.times:
                continue
            if plan.after:
                plan.after -= 1
                return None
            plan.times -= 1
            return plan
        return None

    def _route(self, request: Request) -> tuple[Route | None, tuple[str, ...]]:
        for route in self._routes:
            match = route.path.fullmatch(request.path)
            if match and route.method == request.method:
                return route, match.groups()
        return None, ()

    def _make_routes(self) -> list[Route]:
        orders, money, p = self.orders, self.movements, parameters
        order, authorization = r"/v2/checkout/orders/(\w+)", r"/v2/payments/authorizations/(\w+)"
        disputes = "/v1/customer/disputes"
        return [
            _route("token", "POST", "/v1/oauth2/token", None, self._token),
            _route("create", "POST", "/v2/checkout/orders", p.CREATE_ORDER, orders.create, status=201),
            _route("retrieve", "GET", order, None, orders.retrieve),
            _route("update", "PATCH", order, p.PATCH_ORDER, orders.patch, status=204),
            _route("authorize", "POST", f"{order}/authorize", p.NOTHING, orders.authorize, status=201),
            _route("capture_order", "POST", f"{order}/capture", p.NOTHING, orders.capture, status=201),
            _route("capture", "POST", f"{authorization}/capture", p.CAPTURE, money.capture, status=201),
            _route("void", "POST", f"{authorization}/void", p.NOTHING, money.void),
            _route(
                "refund", "POST", r"/v2/payments/captures/(\w+)/refund", p.REFUND, money.refund, status=201
            ),
            _route(
                "disputes",
                "GET",
                disputes,
                None,
                lambda request: money.list_disputes(request.query.get("disputed_transaction_id", "")),
            ),
            _route("dispute", "GET", rf"{disputes}/(\w+)", None, money.show_dispute),
            _route(
                "webhooks", "GET", "/v1/notifications/webhooks", None, lambda: {"webhooks": self.webhooks}
            ),
            _route("certificate", "GET", r"/v1/notifications/certs/([\w-]+)", None, self._certificate),
            _route("page", "POST", "/checkoutnow", None, self._page),
        ]


def _route(
    operation: str, method: str, path: str, known: Any, handler: Handler, *, status: int = 200
) -> Route:
    return Route(
        operation=operation,
        method=method,
        path=re.compile(path),
        known=known,
        handler=handler,
        status=status,
    )
