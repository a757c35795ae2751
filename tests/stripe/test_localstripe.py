"""A second opinion on the wire: localstripe, which others wrote, as far as it knows what is asked of it.

It speaks Stripe's API of 2017: what our first request asks for, it refuses, and idempotency keys it ignores. So whole
payments are for the fake, and here are the calls that it understands. It is a process of its own: its licence is the
GPL.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from typing import Any, Final

import pytest
import stripe

from payments.exceptions import WebhookVerificationError
from payments.providers import WebhookRequest
from payments.providers.stripe import StripeOptions, StripeProvider
from payments.providers.stripe.client import SESSION_KEY, StripeApi
from payments.providers.stripe.errors import RefusedError
from tests.stripe.fake.service import SECRET
from tests.threads import wait_for

SERVE: Final = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda store: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
SESSION: Final = "payses_local"

pytestmark = [pytest.mark.database_independent, pytest.mark.thorough]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the address of a localstripe, on loopback only, that keeps nothing on disk."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def options(url: str) -> StripeOptions:
    return StripeOptions(
        api_key="sk_test_local", webhook_secrets=[SECRET], livemode=False, api_base=url, max_network_retries=0
    )


@pytest.fixture
def api(options: StripeOptions) -> StripeApi:
    return StripeApi(options)


@pytest.fixture
def direct(options: StripeOptions) -> Any:
    """Return Stripe's own client, for what the provider leaves to browsers."""
    return stripe.StripeClient(options.api_key, base_addresses={"api": options.api_base}).v1


def held(api: StripeApi, method: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
    """Have 10.00 held."""
    params: Any = {
        "amount": 1000,
        "currency": "eur",
        "capture_method": "manual",
        "payment_method": method,
        "confirm": True,
        "metadata": {SESSION_KEY: SESSION},
        **more,
    }
    return api.create_intent(params, key="held")


def test_an_intent_is_held_captured_in_part_and_refunded_in_part(api: StripeApi) -> None:
    intent = held(api)
    assert (intent["status"], intent["metadata"]) == ("requires_capture", {SESSION_KEY: SESSION})
    captured = api.capture_intent(intent["id"], {"amount_to_capture": 600}, key="k2")
    assert captured["status"] == "succeeded"
    for units in (100, 200):
        api.create_refund({"payment_intent": intent["id"], "amount": units}, key=f"r{units}")
    released = 400  # which Stripe, too, notes as a refund
    assert sorted(row["amount"] for row in api.refunds(intent["id"])) == [100, 200, released]
    assert api.intent(intent["id"])["latest_charge"]["amount_refunded"] == 300 + released


def test_an_intent_is_canceled_once(api: StripeApi) -> None:
    intent = held(api)
    assert api.cancel_intent(intent["id"], {}, key="c")["status"] == "canceled"
    with pytest.raises(RefusedError) as refusal:
        api.cancel_intent(intent["id"], {}, key="c2")
    assert not refusal.value.is_by_card


def test_a_declined_card_is_a_refusal_by_the_card(api: StripeApi, direct: Any) -> None:
    card = {"number": "4000000000000341", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = direct.payment_methods.create({"type": "card", "card": card})
    with pytest.raises(RefusedError) as refusal:
        held(api, method.id)
    assert refusal.value.is_by_card
    assert refusal.value.failure.code == "card_declined"


def test_a_customer_s_method_is_forgotten(api: StripeApi, direct: Any) -> None:
    customer = api.create_customer({"email": "ann@shopper.example"}, key="customer")
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = direct.payment_methods.create({"type": "card", "card": card})
    direct.payment_methods.attach(method.id, {"customer": customer["id"]})
    held(api, method.id, customer=customer["id"])
    assert api.detach_payment_method(method.id, key="detach")["customer"] is None


def test_an_event_that_somebody_else_signed_is_verified(
    url: str, api: StripeApi, options: StripeOptions
) -> None:
    with _Mailbox() as mailbox:
        _register(url, mailbox.url)
        held(api, capture_method="automatic")
        event = mailbox.wait_for(b"payment_intent.succeeded")
    result = StripeProvider(alias="stripe", options=options).parse_webhook(event)
    assert (result.event_type, result.session_id) == ("payment_intent.succeeded", SESSION)
    assert result.fact is None, "An event of another API version is a hint."
    forged = WebhookRequest(body=event.body.replace(b"succeeded", b"SUCCEEDED"), headers=event.headers)
    with pytest.raises(WebhookVerificationError):
        StripeProvider(alias="stripe", options=options).parse_webhook(forged)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("localstripe did not start.")


def _register(url: str, target: str) -> None:
    body = json.dumps({"url": target, "secret": SECRET}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/_config/webhooks/shop", data=body, headers=headers)  # noqa: S310
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310


class _Mailbox:
    """Take in events as they are posted."""

    def __init__(self) -> None:
        self.events: Queue[WebhookRequest] = Queue()
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> _Mailbox:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        wait_for([self._thread])

    def wait_for(self, text: bytes) -> WebhookRequest:
        """Return the first event that has a text; those of earlier tests may still be on their way."""
        while text not in (event := self.events.get(timeout=10)).body:
            pass
        return event

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                events.put(WebhookRequest(body=body, headers=headers))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler
