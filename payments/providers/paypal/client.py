"""Calls to PayPal's REST API, each with a timeout and a connection of its own.

A request lost on a kept connection, which the other side had closed meanwhile, would be an unknown outcome.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import requests
from django.views.decorators.debug import sensitive_variables
from requests.auth import AuthBase, HTTPBasicAuth

from payments.exceptions import ProviderUnavailableError
from payments.providers.errors import never_left
from payments.providers.paypal.errors import (
    Json,
    NotPermittedError,
    PayPalAnswerError,
    RefusedError,
    sorted_answer,
)
from payments.providers.paypal.options import PayPalOptions
from payments.providers.paypal.orders import Order, read_order
from payments.providers.paypal.parameters import order_id
from payments.providers.requests import ProviderRequest

logger = logging.getLogger("payments.paypal")

NO_DISPUTES: Final = "the app lacks the permission “Disputes”; give it in PayPal's developer dashboard"

MARGIN: Final = 60.0
"""How long before it expires a token is no longer used, in seconds."""

_Owner = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Token:
    """An access token; `lasts` is in seconds from `fetched_at`."""

    value: str = field(repr=False)
    lasts: float
    fetched_at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether it may still be used."""
        return time.monotonic() < self.fetched_at + self.lasts - MARGIN


# PayPal's tokens live for hours, and it asks that they be used again
# (https://developer.paypal.com/api/rest/authentication/, November 2026).
_tokens: dict[_Owner, Token] = {}
_tokens_lock = threading.Lock()


class PayPalApi:
    """A way to ask PayPal for one thing at a time.

    Every method raises RefusedError for a definite refusal and ProviderUnavailableError where nothing was done;
    anything else that it raises means that nobody knows.
    """

    def __init__(self, options: PayPalOptions) -> None:
        self._options = options

    def create_order(self, body: Json, *, key: str) -> Json:
        """Make an order."""
        return self._call("POST", "/v2/checkout/orders", body, key=key)

    def order(self, order_id: str) -> Json:
        """Read an order with its authorizations, captures and refunds."""
        return self._call("GET", f"/v2/checkout/orders/{_safe(order_id)}")

    def order_or_none(self, order_id: str) -> Json | None:
        """Read an order, or return None where PayPal has none with this id, or none any more."""
        try:
            return self.order(order_id)
        except RefusedError as error:
            if error.is_missing:
                return None
            raise

    def patch_order(self, order_id: str, changes: Sequence[Json]) -> None:
        """Change an order that isn't authorized."""
        self._call("PATCH", f"/v2/checkout/orders/{_safe(order_id)}", list(changes))

    def authorize_order(self, order_id: str, *, key: str) -> Json:
        """Have an approved order's amount held."""
        return self._call("POST", f"/v2/checkout/orders/{_safe(order_id)}/authorize", {}, key=key)

    def capture_order(self, order_id: str, *, key: str) -> Json:
        """Take an approved order's amount at once."""
        return self._call("POST", f"/v2/checkout/orders/{_safe(order_id)}/capture", {}, key=key)

    def capture(self, authorization_id: str, body: Json, *, key: str) -> Json:
        """Take money that an authorization holds."""
        path = f"/v2/payments/authorizations/{_safe(authorization_id)}/capture"
        return self._call("POST", path, body, key=key)

    def void(self, authorization_id: str, *, key: str) -> None:
        """Release what an authorization holds."""
        self._call("POST", f"/v2/payments/authorizations/{_safe(authorization_id)}/void", {}, key=key)

    def refund(self, capture_id: str, body: Json, *, key: str) -> Json:
        """Give back captured money."""
        return self._call("POST", f"/v2/payments/captures/{_safe(capture_id)}/refund", body, key=key)

    def disputes(self, capture_id: str) -> list[Json]:
        """Return all disputes about a capture in full, which takes a permission that an app may lack: then none."""
        path = f"/v1/customer/disputes?disputed_transaction_id={_safe(capture_id)}"
        try:
            listed = self._call("GET", path).get("items") or []
        except NotPermittedError:
            logger.error("PayPal tells nothing of disputes: %s", NO_DISPUTES)
            return []
        return [self._call("GET", f"/v1/customer/disputes/{_safe(row['dispute_id'])}") for row in listed]

    def may_read_disputes(self) -> bool:
        """Return whether the app has the permission to read disputes."""
        try:
            self._call("GET", "/v1/customer/disputes?page_size=1")
        except NotPermittedError:
            return False
        return True

    def webhooks(self) -> list[Json]:
        """List the app's webhooks."""
        listed: list[Json] = self._call("GET", "/v1/notifications/webhooks")["webhooks"]
        return listed

    @sensitive_variables()
    def _call(
        self, method: str, path: str, body: Json | list[Json] | None = None, *, key: str | None = None
    ) -> Json:
        token = token_for(self._options, self._fetch_token)
        answer = self._ask(method, path, body, key, token)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            # The token may have been withdrawn before its time.
            forget(self._options, token)
            token = token_for(self._options, self._fetch_token)
            answer = self._ask(method, path, body, key, token)
        return sorted_answer(answer.status_code, answer.content)

    def _ask(
        self, method: str, path: str, body: Json | list[Json] | None, key: str | None, token: Token
    ) -> requests.Response:
        headers = {"Content-Type": "application/json", "Prefer": "return=representation"}
        if key is not None:
            headers["PayPal-Request-Id"] = key
        sent = None if body is None else json.dumps(body).encode()
        return self._send(method, path, sent, headers, _Bearer(token.value))

    @sensitive_variables()
    def _fetch_token(self) -> Token:
        """Return a new access token. Whatever goes wrong here, nothing else was asked of PayPal."""
        login = HTTPBasicAuth(self._options.client_id, self._options.client_secret)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = self._send("POST", "/v1/oauth2/token", b"grant_type=client_credentials", headers, login)
            body = sorted_answer(answer.status_code, answer.content)
            return Token(value=str(body["access_token"]), lasts=float(body["expires_in"]))
        except (requests.RequestException, PayPalAnswerError, RefusedError, LookupError, ValueError) as error:
            raise ProviderUnavailableError("PayPal gives no access token right now.") from error

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], auth: AuthBase
    ) -> requests.Response:
        try:
            with requests.Session() as http:
                return http.request(
                    method,
                    self._options.url + path,
                    data=body,
                    headers=dict(headers),
                    auth=auth,
                    timeout=self._options.timeout,
                    allow_redirects=False,
                )
        except requests.ConnectionError as error:
            if never_left(error):
                raise ProviderUnavailableError("PayPal can't be reached.") from error
            raise


class _Bearer(AuthBase):
    """An access token in a header; as `auth`, because requests would let a netrc file replace a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def look(api: PayPalApi, request: ProviderRequest) -> Order:
    """Return the order of a session; raise RefusedError where PayPal has none, or none any more."""
    return read_order(api.order(order_id(request)))


def look_or_none(api: PayPalApi, request: ProviderRequest) -> Order | None:
    """Return the order of a session, or None where PayPal has none, or none any more."""
    answer = api.order_or_none(order_id(request))
    return None if answer is None else read_order(answer)


def look_at_payment(api: PayPalApi, request: ProviderRequest) -> Order:
    """Return the order of a payment.

    PayPal forgets orders that were never approved, but not those that were paid. So where one isn't found, as under
    another account's credentials, it isn't known what has become of it, or of an earlier attempt at the same.
    """
    order = look_or_none(api, request)
    if order is None:
        raise PayPalAnswerError("PayPal doesn't know the order of a payment.")
    return order


def look_again(api: PayPalApi, request: ProviderRequest) -> Order:
    """Return the order after something was asked for: then not to reach PayPal doesn't mean “not done”."""
    try:
        return look(api, request)
    except ProviderUnavailableError as error:
        raise PayPalAnswerError("PayPal can't be asked what became of it.") from error


def token_for(options: PayPalOptions, fetch: Callable[[], Token]) -> Token:
    """Return the token that is kept, or a new one. Two threads may fetch one each, which does no harm."""
    kept = _tokens.get(_owner(options))
    if kept is not None and kept.is_fresh:
        return kept
    fresh = fetch()
    remember(options, fresh)
    return fresh


def remember(options: PayPalOptions, token: Token) -> None:
    """Keep a token for the calls to come."""
    with _tokens_lock:
        _tokens[_owner(options)] = token


def forget(options: PayPalOptions, token: Token) -> None:
    """Let go of a token that was refused, unless another thread has replaced it already."""
    with _tokens_lock:
        if _tokens.get(_owner(options)) == token:
            del _tokens[_owner(options)]


def _owner(options: PayPalOptions) -> _Owner:
    return options.url, options.client_id, options.client_secret


def _safe(reference: Any) -> str:
    """Return one of PayPal's ids, if it is one: it becomes part of an address."""
    text = str(reference)
    if not (text.isascii() and text.replace("-", "").isalnum()):
        raise PayPalAnswerError("What should be an id of PayPal's is not one.")
    return text
