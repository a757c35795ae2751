"""The fake as a running service: it checks tokens and idempotency, and makes PayPal's mistakes."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tests.fakes import Answer, Fault, Json, Route, Service, Stored
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


class FakePayPal(Service[Request]):
    """Be PayPal for a test, at `url`, until the block ends; its books are `books`."""

    def __init__(self) -> None:
        self.books = Books()
        self.orders = Orders(self.books)
        self.movements = Movements(self.books)
        self.tokens: set[str] = set()
        self.token_lasts = 32400
        self.webhooks: list[Json] = []
        super().__init__(read, self._make_routes())
        self.orders.url = self.movements.url = self.url

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

    def _broken(self, fault: Fault, request: Request) -> Answer:
        if fault == Fault.CUT_OFF_AFTER:
            return Answer(status=201, body={}, raw=b'{"id": "4X', announced=4000)
        if fault == Fault.TOO_MANY:
            error = ApiError("RATE_LIMIT_REACHED", status=429)
        elif fault == Fault.CONFLICT:
            error = ApiError("PREVIOUS_REQUEST_IN_PROGRESS", status=409)
        else:
            error = ApiError("INTERNAL_SERVICE_ERROR", status=500)
        return Answer(status=error.status, body=error.body)

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

    def _make_routes(self) -> list[Route]:
        orders, money, p = self.orders, self.movements, parameters
        order, authorization = r"/v2/checkout/orders/(\w+)", r"/v2/payments/authorizations/(\w+)"
        disputes = "/v1/customer/disputes"
        return [
            Route("token", "POST", "/v1/oauth2/token", None, self._token),
            Route("create", "POST", "/v2/checkout/orders", p.CREATE_ORDER, orders.create, status=201),
            Route("retrieve", "GET", order, None, orders.retrieve),
            Route("update", "PATCH", order, p.PATCH_ORDER, orders.patch, status=204),
            Route("authorize", "POST", f"{order}/authorize", p.NOTHING, orders.authorize, status=201),
            Route("capture_order", "POST", f"{order}/capture", p.NOTHING, orders.capture, status=201),
            Route("capture", "POST", f"{authorization}/capture", p.CAPTURE, money.capture, status=201),
            Route("void", "POST", f"{authorization}/void", p.NOTHING, money.void),
            Route(
                "refund", "POST", r"/v2/payments/captures/(\w+)/refund", p.REFUND, money.refund, status=201
            ),
            Route(
                "disputes",
                "GET",
                disputes,
                None,
                lambda request: money.list_disputes(request.query.get("disputed_transaction_id", "")),
            ),
            Route("dispute", "GET", rf"{disputes}/(\w+)", None, money.show_dispute),
            Route("webhooks", "GET", "/v1/notifications/webhooks", None, lambda: {"webhooks": self.webhooks}),
            Route("certificate", "GET", r"/v1/notifications/certs/([\w-]+)", None, self._certificate),
            Route("page", "POST", "/checkoutnow", None, self._page),
        ]
