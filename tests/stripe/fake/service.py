"""The fake as a running service: it checks keys and idempotency, makes Stripe's mistakes, and signs events."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.fakes import Answer, Fault, Handler, Json, Route, Service, Stored
from tests.stripe.fake import parameters
from tests.stripe.fake.books import API_VERSION, Books
from tests.stripe.fake.customers import Customers
from tests.stripe.fake.intents import Intents, public
from tests.stripe.fake.movements import Movements
from tests.stripe.fake.wire import ApiError, Request, checked, read

API_KEY: Final = "sk_test_fake"
SECRET: Final = "whsec_fake"


class FakeStripe(Service[Request]):
    """Be Stripe for a test, at `url`, until the block ends; its books are `books`."""

    def __init__(self, *, livemode: bool = False) -> None:
        self.books = Books(livemode=livemode)
        self.intents = Intents(self.books)
        self.movements = Movements(self.books)
        self.customers = Customers(self.books)
        self.endpoints: list[Json] = []
        self.forgets_keys = False
        super().__init__(read, self._make_routes())

    def intent_of(self, session_id: str) -> Json:
        """Return the one intent of a session, as it is in the books."""
        [intent] = [
            row
            for row in self.books.all("payment_intent")
            if row["metadata"].get("payment_session") == session_id
        ]
        return intent

    def events(self, *types: str, about: str | None = None) -> list[Json]:
        """Return the events so far, of some types only, about one object or intent only."""
        rows = [event for event in self.books.events if not types or event["type"] in types]
        if about is None:
            return rows
        return [
            row
            for row in rows
            if about in (row["data"]["object"]["id"], row["data"]["object"].get("payment_intent"))
        ]

    def answer(self, request: Request) -> Answer:
        """Answer one request, under an id of Stripe's."""
        answer = super().answer(request)
        return replace(answer, headers={**answer.headers, "Request-Id": f"req_{secrets.token_hex(7)}"})

    def _answer(self, request: Request, route: Route | None, values: tuple[str, ...]) -> Answer:
        try:
            self._authenticate(request)
            if route is None:
                raise ApiError(f"Unrecognized request URL ({request.method}: {request.path}).", status=404)
            params = checked(request.params, route.known)
            return self._once(request, lambda: self._execute(route, values, params))
        except ApiError as error:
            return _refusal(error)

    def _execute(self, route: Route, values: tuple[str, ...], params: Json) -> Json:
        shown: Json = route.handler(*values, params)
        self.executed.append(route.operation)
        return shown

    def _once(self, request: Request, execute: Callable[[], Json]) -> Answer:
        """Carry a request out, unless one with its key was before."""
        key = request.key if request.method == "POST" else None
        if key is None:
            return Answer(status=200, body=execute())
        fingerprint = json.dumps([request.path, request.params], sort_keys=True)
        known = None if self.forgets_keys else self._stored.get(key)
        if known is not None and known.fingerprint != fingerprint:
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        if known is not None:
            return replace(known.answer, headers={"Idempotent-Replayed": "true"})
        try:
            answer = Answer(status=200, body=execute())
        except ApiError as error:
            if not error.is_stored:
                raise
            answer = _refusal(error)
        self._stored[key] = Stored(fingerprint=fingerprint, answer=answer)
        return answer

    def _broken(self, fault: Fault, request: Request) -> Answer:
        if fault == Fault.TOO_MANY:
            return _refusal(ApiError("Too many requests", status=429, code="rate_limit"))
        if fault == Fault.CONFLICT:
            return _refusal(
                ApiError(
                    "Another request with this key is in progress.", status=409, code="idempotency_key_in_use"
                )
            )
        if fault == Fault.CUT_OFF_AFTER:
            return Answer(status=200, body={}, raw=b'{"id": "pi_', announced=4000)
        return self._failed(request)

    def _failed(self, request: Request) -> Answer:
        """Answer 500, and keep that under the key, as Stripe does once it has begun with a request."""
        error = ApiError("Something went wrong on our end.", status=500, type="api_error")
        answer = _refusal(error)
        if request.method == "POST" and request.key:
            fingerprint = json.dumps([request.path, request.params], sort_keys=True)
            self._stored[request.key] = Stored(fingerprint=fingerprint, answer=answer)
        return answer

    def _authenticate(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            raise ApiError("Invalid API Key provided: sk_test_****", status=401, is_stored=False)
        if request.headers.get("stripe-version") != API_VERSION:
            raise ApiError(
                f"Invalid Stripe API version: {request.headers.get('stripe-version')}", is_stored=False
            )

    def _make_routes(self) -> list[Route]:
        intents, money, people, p = self.intents, self.movements, self.customers, parameters
        intent = r"/v1/payment_intents/(pi_\w+)"
        return [
            Route("create", "POST", "/v1/payment_intents", p.CREATE_INTENT, intents.create),
            Route("search", "GET", "/v1/payment_intents/search", p.SEARCH_INTENTS, intents.search),
            Route("retrieve", "GET", intent, p.RETRIEVE_INTENT, intents.retrieve),
            Route("update", "POST", intent, p.UPDATE_INTENT, intents.update),
            Route("confirm", "POST", f"{intent}/confirm", p.CONFIRM_INTENT, intents.confirm),
            Route("capture", "POST", f"{intent}/capture", p.CAPTURE_INTENT, intents.capture),
            Route("cancel", "POST", f"{intent}/cancel", p.CANCEL_INTENT, intents.cancel),
            Route("refund", "POST", "/v1/refunds", p.CREATE_REFUND, money.refund),
            Route("refunds", "GET", "/v1/refunds", p.LIST_REFUNDS, self._list("refund")),
            Route("disputes", "GET", "/v1/disputes", p.LIST_DISPUTES, self._list("dispute")),
            Route("customer", "POST", "/v1/customers", p.CREATE_CUSTOMER, people.create),
            Route("search_customers", "GET", "/v1/customers/search", p.SEARCH_CUSTOMERS, people.search),
            Route("delete_customer", "DELETE", r"/v1/customers/(cus_\w+)", p.DELETE_CUSTOMER, people.remove),
            Route("show_customer", "GET", r"/v1/customers/(cus_\w+)", p.RETRIEVE_CUSTOMER, people.retrieve),
            Route(
                "methods",
                "GET",
                r"/v1/customers/(cus_\w+)/payment_methods",
                p.LIST_PAYMENT_METHODS,
                lambda customer_id, params: _page(people.methods(customer_id)[::-1], params),
            ),
            Route(
                "method",
                "GET",
                r"/v1/payment_methods/(pm_\w+)",
                p.RETRIEVE_PAYMENT_METHOD,
                lambda method_id, params: people.method(method_id),
            ),
            Route(
                "token",
                "GET",
                r"/v1/confirmation_tokens/(ctoken_\w+)",
                p.RETRIEVE_TOKEN,
                lambda token_id, params: people.token(token_id),
            ),
            Route("set_up", "POST", "/v1/setup_intents", p.CREATE_SETUP_INTENT, people.set_up),
            Route(
                "detach",
                "POST",
                r"/v1/payment_methods/(pm_\w+)/detach",
                p.DETACH,
                lambda method_id, params: people.detach(method_id),
            ),
            Route(
                "endpoints",
                "GET",
                "/v1/webhook_endpoints",
                p.LIST_WEBHOOK_ENDPOINTS,
                lambda params: _page(self.endpoints, params),
            ),
        ]

    def _list(self, kind: str) -> Handler:
        def rows(params: Json) -> Json:
            filters = {name: params[name] for name in ("payment_intent", "charge") if name in params}
            return _page([public(row) for row in self.books.all(kind, **filters)][::-1], params)

        return rows


def signed_headers(body: bytes, *, timestamp: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """Return the headers that prove a body, as https://docs.stripe.com/webhooks/signature has it."""
    seconds = int(time.time() if timestamp is None else timestamp)
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={seconds},v1={digest}"}


def body_of(event: Json) -> bytes:
    """Return an event as it is delivered."""
    return json.dumps(event).encode()


def _page(rows: list[Json], params: Json) -> Json:
    """Return a page of a list, newest first."""
    start = 0
    if "starting_after" in params:
        start = 1 + [row["id"] for row in rows].index(params["starting_after"])
    limit = params.get("limit", 10)
    page = rows[start : start + limit]
    return {
        "object": "list",
        "url": "/v1/list",
        "data": copy.deepcopy(page),
        "has_more": start + limit < len(rows),
    }


def _refusal(error: ApiError) -> Answer:
    return Answer(status=error.status, body={"error": error.error})
