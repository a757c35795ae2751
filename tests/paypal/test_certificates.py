"""What deliveries that anybody can make up cost the shop, and PayPal: few fetches, each of them short and small."""

from __future__ import annotations

import logging
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
from django.test import Client

from payments.exceptions import ProviderUnavailableError, WebhookVerificationError
from payments.providers import WebhookRequest
from payments.providers.paypal import PayPalOptions, PayPalProvider, webhooks
from payments.testing import configured_provider
from tests.paypal.conftest import BACKEND
from tests.paypal.fake.signing import WEBHOOK_ID, body_of, signed_headers
from tests.threads import times

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

BODY = body_of({"id": "WH-1", "event_type": "x", "create_time": "2026-11-24T08:00:00Z"})
PATIENCE = 0.5


class Host(ThreadingHTTPServer):
    """A host of certificates that counts how often it is asked; `answer` says what it does then."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stopped = Event()
        self.answer: Callable[[Any], None] = absent
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answer as the host is told to, until the shop hangs up."""

    def do_GET(self) -> None:
        """Answer."""
        server: Any = self.server
        server.asked.append(self.path)
        try:
            server.answer(self)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def absent(handler: Any) -> None:
    """Have no certificate."""
    handler.send_error(404)


def broken(handler: Any) -> None:
    """Have none right now."""
    handler.send_error(500)


def dripping(handler: Any) -> None:
    """Send a byte every now and then, so that none is too long in coming."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.stopped.wait(0.1):
        handler.wfile.write(b"-")


def endless(handler: Any) -> None:
    """Send 200 MB."""
    handler.send_response(200)
    handler.end_headers()
    for _megabyte in range(200):
        handler.wfile.write(b"-" * 1024 * 1024)


@pytest.fixture
def host() -> Iterator[Host]:
    """Return a host of certificates."""
    with Host() as host:
        thread = Thread(target=host.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield host
        host.stopped.set()
        host.shutdown()


def options_for(host: Host, **changes: Any) -> dict[str, Any]:
    return {
        "client_id": "a",
        "client_secret": "b",
        "livemode": False,
        "base_url": host.url,
        "webhook_ids": [WEBHOOK_ID],
        "timeout": PATIENCE,
        **changes,
    }


def deliver(host: Host, *, name: str = "CERT-good", options: Any = None, **headers: str) -> str:
    """Deliver what nobody has signed, and return the name of the error."""
    provider = PayPalProvider(alias="paypal", options=PayPalOptions(**options_for(host, **(options or {}))))
    sent = {**signed_headers(BODY, url=host.url, certificate_name=name), **headers}
    with pytest.raises((WebhookVerificationError, ProviderUnavailableError)) as caught:
        provider.parse_webhook(WebhookRequest(body=BODY, headers=sent))
    return caught.type.__name__


@pytest.mark.shows("A hundred made-up deliveries name a certificate that isn't there", "PayPal is asked once")
def test_certificate_that_is_absent_is_asked_for_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {deliver(host) for _ in range(100)} == {"WebhookVerificationError"}
    assert len(host.asked) == 1

    later = time.monotonic() + webhooks.ABSENT_FOR + 1
    monkeypatch.setattr(webhooks, "monotonic", lambda: later)
    deliver(host)
    assert len(host.asked) == 2


@pytest.mark.parametrize("answer", [absent, broken])
@pytest.mark.shows(
    "A hundred made-up deliveries name a hundred certificates", "PayPal is asked six times a minute at most"
)
def test_few_certificates_are_asked_for_in_a_minute(
    host: Host, answer: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answer = answer
    errors = [deliver(host, name=f"CERT-{number}") for number in range(100)]

    assert len(host.asked) == webhooks.MAX_FETCHES
    assert set(errors[webhooks.MAX_FETCHES :]) == {"ProviderUnavailableError"}  # one of them may be PayPal's
    later = time.monotonic() + webhooks.PERIOD + 1
    monkeypatch.setattr(webhooks, "monotonic", lambda: later)
    deliver(host, name="CERT-later")
    assert len(host.asked) == webhooks.MAX_FETCHES + 1


def test_certificate_that_arrives_byte_by_byte_is_not_waited_for(host: Host) -> None:
    host.answer = dripping
    started = time.monotonic()
    assert deliver(host) == "ProviderUnavailableError"
    assert time.monotonic() - started < 3 * PATIENCE


def test_certificate_of_200_megabytes_is_not_read(host: Host) -> None:
    host.answer = endless
    tracemalloc.start()
    try:
        assert deliver(host) == "ProviderUnavailableError"
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 1024 * 1024


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({"webhook_ids": []}, {}),
        ({}, {"paypal-transmission-sig": "AAAA"}),
        ({}, {"paypal-transmission-sig": ""}),
        ({}, {"paypal-transmission-sig": "A" * 60_000}),
        ({}, {"paypal-auth-algo": "none"}),
    ],
)
def test_nothing_is_fetched_for_what_can_not_be_proven(
    host: Host, changes: dict[str, Any], headers: dict[str, str]
) -> None:
    assert deliver(host, options=changes, **headers) == "WebhookVerificationError"
    assert host.asked == []


@pytest.mark.shows(
    "Forty made-up deliveries come at once", "one of them waits for PayPal, the others are sent away"
)
def test_deliveries_at_once_do_not_wait_for_each_other(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    sent_away: list[int] = []
    others_are_gone = Event()

    def hesitating(handler: Any) -> None:
        others_are_gone.wait(10)
        absent(handler)

    def deliver_one() -> int:
        headers = signed_headers(BODY, url=host.url)
        path = "/payments/webhooks/paypal/"
        answer = Client().post(path, BODY, content_type="application/json", headers=headers)
        sent_away.append(answer.status_code)
        if len(sent_away) == 39:
            others_are_gone.set()
        return answer.status_code

    host.answer = hesitating
    with configured_provider("paypal", {"BACKEND": BACKEND, "OPTIONS": options_for(host, timeout=5.0)}):
        answers = times(40, deliver_one).values

    assert others_are_gone.is_set()
    assert sorted(answers) == [400] + [503] * 39
    assert len(host.asked) == 1
    assert {record.levelname for record in caplog.records} == {
        "WARNING"
    }  # an error would be mailed to the admins
