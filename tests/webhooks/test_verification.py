"""Nothing is believed, stored or changed that isn't proven to come from the provider."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from payments.checks import check_settings
from payments.models import PaymentProvider, PaymentSession, WebhookEvent
from payments.providers.simulator import webhooks as simulator_webhooks
from payments.simulator import SimulatorService
from payments.simulator.webhooks import sign
from payments.states import SessionStatus, WebhookEventStatus
from payments.testing import Script, simulator_settings
from payments.webhooks import MAX_BODY
from tests.webhooks.deliveries import (
    NEXT_SECRET,
    SECRET,
    Answer,
    address,
    bodies,
    books,
    deliver,
    hint,
    intent_of,
    only_event,
)

pytestmark = pytest.mark.database_independent

NOW = 1_800_000_000
"""The time at which the signatures of this module are looked at."""

SECRET_TEXT = "sk_live_in_the_body"


@pytest.fixture
def body(session: PaymentSession, simulator: SimulatorService) -> bytes:
    """Return the event that a session was authorized at the provider, of which we don't know yet."""
    simulator.authorize(intent_of(session))
    return bodies(simulator, session, "intent.authorized")[0]


@pytest.fixture
def at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the time stand still for signatures."""
    monkeypatch.setattr(simulator_webhooks, "time", SimpleNamespace(time=lambda: float(NOW)))


def refused(deliver_it: Callable[[], Answer], code: str = "webhook_not_verified", status: int = 400) -> None:
    """Deliver something, and see that it is refused and leaves no trace."""
    before = books()
    answer = deliver_it()
    assert (answer.status, answer.code, answer.body["type"]) == (status, code, "webhook_error")
    assert not WebhookEvent.objects.exists()
    assert books() == before


@pytest.mark.shows("A proven event of the provider", "200; stored, and applied before the answer")
def test_a_signed_event_is_stored_and_applied(body: bytes, session: PaymentSession) -> None:
    answer = deliver(body)
    assert (answer.status, answer.body) == (200, {"received": True, "duplicate": False})
    event = only_event()
    assert (event.status, event.session, event.type) == (
        WebhookEventStatus.APPLIED,
        session,
        "intent.authorized",
    )
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows("A webhook without a signature, or with one that is malformed", "400; nothing is stored")
@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="none"),
        pytest.param("garbage", id="garbage"),
        pytest.param("t=,v1=", id="empty"),
        pytest.param(f"t={NOW}", id="time_only"),
        pytest.param("v1=abc", id="digest_only"),
        pytest.param(f"t={NOW},t={NOW},v1=abc", id="two_times"),
        pytest.param("t=-1,v1=abc", id="negative_time"),
        pytest.param("t=1e9,v1=abc", id="time_with_exponent"),
        pytest.param("t=" + "9" * 5000 + ",v1=abc", id="endless_time"),
        pytest.param(f"t={NOW},v1=é", id="not_ascii"),
    ],
)
@pytest.mark.usefixtures("at_now")
def test_a_missing_or_malformed_signature_is_refused(signature: str, body: bytes) -> None:
    refused(
        lambda: deliver(body, signature=signature),
        code="webhook_too_old" if "999" in signature else "webhook_not_verified",
    )


@pytest.mark.shows("A webhook signed with another secret", "400; nothing is stored")
def test_another_secret_is_refused(body: bytes) -> None:
    refused(lambda: deliver(body, secrets=["whsec_guessed"]))


@pytest.mark.shows(
    "A signed body that was altered, by whitespace alone or cut short", "400; nothing is stored"
)
@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda body: body.replace(b":", b": ", 1), id="space_inside"),
        pytest.param(lambda body: body + b"\n", id="newline_at_the_end"),
        pytest.param(lambda body: b"\xef\xbb\xbf" + body, id="byte_order_mark"),
        pytest.param(lambda body: body.replace(b"10000", b"10001"), id="another_amount"),
        pytest.param(lambda body: body[:-1], id="last_byte_missing"),
        pytest.param(lambda body: body[: len(body) // 2], id="half"),
        pytest.param(lambda _body: b"", id="nothing"),
    ],
)
def test_an_altered_body_is_refused(alter: Callable[[bytes], bytes], body: bytes) -> None:
    signature = sign([SECRET], body, NOW)
    assert alter(body) != body
    refused(lambda: deliver(alter(body), signature=signature), code="webhook_too_old")
    refused(lambda: deliver(alter(body), signature=_signature_of(body)))


@pytest.mark.shows(
    "A signed body that is no event: not UTF-8, not JSON, parts missing", "400; nothing is stored"
)
@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b'\xff\xfe{"id": "\x80"}', id="not_utf_8"),
        pytest.param(b"id=evt_1&type=x", id="a_form"),
        pytest.param(b"{", id="cut_off"),
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a_list"),
        pytest.param(b"[" * 5000, id="deep"),
        pytest.param(b"{}", id="no_parts"),
        pytest.param(b'{"id":"e","type":"t","created":1,"data":{"object":{}}}', id="empty_object"),
        pytest.param(b'{"id":"e","type":"t","created":1e999,"data":{"object":{}}}', id="endless_time"),
    ],
)
def test_signed_nonsense_is_refused(nonsense: bytes, session: PaymentSession) -> None:
    refused(lambda: deliver(nonsense), code="webhook_malformed")


@pytest.mark.shows("An event signed 301 s ago, or 301 s ahead of our clock", "400; nothing is stored")
@pytest.mark.parametrize("offset", [-301, 301, -86_400, 86_400])
@pytest.mark.usefixtures("at_now")
def test_an_event_from_too_far_away_in_time_is_refused(offset: int, body: bytes) -> None:
    refused(lambda: deliver(body, at=NOW + offset), code="webhook_too_old")


@pytest.mark.shows("An event signed 299 s ago, or 299 s ahead of our clock", "accepted")
@pytest.mark.parametrize("offset", [-300, -299, 0, 299, 300])
@pytest.mark.usefixtures("at_now")
def test_an_event_within_the_tolerance_is_accepted(offset: int, body: bytes) -> None:
    assert deliver(body, at=NOW + offset).status == 200


@pytest.mark.shows(
    "Rotating the secret: old, new, and both at once", "all accepted while both are configured"
)
def test_both_secrets_are_accepted_during_a_rotation(
    body: bytes, simulator: SimulatorService, session: PaymentSession
) -> None:
    with simulator_settings(simulator, webhook_secrets=[NEXT_SECRET, SECRET]):
        assert deliver(body, secrets=[SECRET]).status == 200
        assert deliver(body, secrets=[NEXT_SECRET]).is_duplicate
        assert deliver(body, secrets=["whsec_other", NEXT_SECRET]).is_duplicate


@pytest.mark.shows("The old secret, after the rotation", "400; nothing is stored")
def test_the_old_secret_is_refused_after_the_rotation(body: bytes, simulator: SimulatorService) -> None:
    with simulator_settings(simulator, webhook_secrets=[NEXT_SECRET]):
        refused(lambda: deliver(body, secrets=[SECRET]))
        assert deliver(body, secrets=[SECRET, NEXT_SECRET]).status == 200


@pytest.mark.shows("A blank webhook secret in the settings", "an error at start, that says what to type")
@pytest.mark.parametrize("secrets", [[""], ["  "], [SECRET, ""], "whsec_a_string"])
def test_a_blank_secret_is_an_error_at_start(secrets: Any, settings: Any) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {
            "system": {"BACKEND": "payments.providers.system.SystemProvider"},
            "simulator": {
                "BACKEND": "payments.providers.simulator.SimulatorProvider",
                "OPTIONS": {"webhook_secrets": secrets},
            },
        }
    }
    messages = check_settings()
    assert [message.id for message in messages] == ["payments.E004"]
    assert "webhook_secrets" in messages[0].msg


@pytest.mark.shows(
    "No webhook secret at all, and an event signed with the empty one", "400; nothing is stored"
)
def test_without_a_secret_every_event_is_refused(body: bytes, simulator: SimulatorService) -> None:
    with simulator_settings(simulator, webhook_secrets=[]):
        refused(lambda: deliver(body, secrets=[""]))


@pytest.mark.shows("An event of exactly 256 KiB", "accepted")
def test_the_largest_event_is_accepted(body: bytes) -> None:
    assert deliver(_padded(body, MAX_BODY)).status == 200


@pytest.mark.shows("An event of one byte more than 256 KiB", "413; nothing is stored")
def test_an_event_of_one_byte_more_is_refused(body: bytes) -> None:
    large = _padded(body, MAX_BODY + 1)
    refused(lambda: deliver(large), code="webhook_too_large", status=413)


@pytest.mark.shows("A Content-Length that lies, is missing, or is no number", "413 or 400; nothing is stored")
@pytest.mark.parametrize(
    ("length", "status", "code"),
    [
        pytest.param(str(MAX_BODY + 1), 413, "webhook_too_large", id="announces_too_much"),
        pytest.param("20", 400, "webhook_not_verified", id="announces_too_little"),
        pytest.param("", 400, "webhook_not_verified", id="none"),
        pytest.param("many", 400, "webhook_not_verified", id="no_number"),
        pytest.param("-1", 400, "webhook_not_verified", id="negative"),
    ],
)
def test_a_content_length_that_lies_is_refused(length: str, status: int, code: str, body: bytes) -> None:
    refused(lambda: deliver(body, CONTENT_LENGTH=length), code=code, status=status)


@pytest.mark.shows(
    "An event that comes in pieces, which a WSGI server hands on as nothing", "411; nothing is stored"
)
@pytest.mark.parametrize("length", ["", "0", "many"])
def test_an_event_of_unknown_length_is_refused_as_everywhere(length: str, body: bytes) -> None:
    refused(
        lambda: deliver(body, CONTENT_LENGTH=length, HTTP_TRANSFER_ENCODING="chunked"),
        code="length_required",
        status=411,
    )


def test_an_event_that_a_server_has_put_together_again_is_read(body: bytes) -> None:
    assert deliver(body, HTTP_TRANSFER_ENCODING="chunked").status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_any_other_method_is_refused_in_the_shape_of_all_errors(method: str, db: None) -> None:
    response = Client(enforce_csrf_checks=True).generic(method, address())
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert response["Content-Type"] == "application/json"
    if method != "HEAD":
        answer = response.json()
        assert set(answer) == {"type", "code", "message", "errors"}
        assert (answer["type"], answer["code"], answer["errors"]) == (
            "webhook_error",
            "method_not_allowed",
            [],
        )
        assert answer["message"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_address_with_a_card_number_is_not_logged(
    method: str, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    for number in ("4242424242424242", "4242 4242 4242 4242 12", "%34242424242424242"):
        assert Client().generic(method, f"/payments/webhooks/{number}/").status_code in (404, 405)
    assert "4242" not in caplog.text


@pytest.mark.shows(
    "A plug-in that breaks over an event, as after an update of its SDK", "400; nothing is stored"
)
def test_a_plug_in_that_breaks_proves_nothing(
    scripted_session: PaymentSession, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.next("parse_webhook", AttributeError(f"no get() in {SECRET_TEXT}"))
    refused(lambda: deliver(b"{}", provider_id="scripted"), code="webhook_malformed")
    assert "AttributeError" in caplog.text
    assert SECRET_TEXT not in caplog.text


@pytest.mark.shows(
    "A plug-in that returns an event without a usable id", "400; it would pass for a copy of another"
)
@pytest.mark.parametrize(
    "values",
    [
        {"event_id": ""},
        {"event_id": "e" * 256},
        {"event_id": "evt\0"},
        {"event_id": "evt_\ud800"},
        {"provider_reference": "r" * 256},
    ],
    ids=["blank", "too_long", "nul", "half_a_surrogate", "reference_too_long"],
)
def test_an_event_without_a_usable_id_is_refused(
    values: dict[str, str], scripted_session: PaymentSession, script: Script
) -> None:
    script.next("parse_webhook", hint(scripted_session, **values))
    refused(lambda: deliver(b"{}", provider_id="scripted"), code="webhook_malformed")


def test_what_is_refused_is_logged_without_its_body(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    marked = body.replace(b'"type"', b'"note":"' + SECRET_TEXT.encode() + b'","type"')
    assert deliver(marked, secrets=["whsec_wrong"]).status == 400
    assert "webhook_not_verified" in caplog.text
    assert SECRET_TEXT not in caplog.text


def test_a_refused_event_does_not_even_make_its_provider_known(db: None, simulator: SimulatorService) -> None:
    assert deliver(b"{}", signature="t=1,v1=x").status == 400
    assert not PaymentProvider.objects.exists()


def _signature_of(body: bytes) -> str:
    return sign([SECRET], body, int(time.time()))


def _padded(body: bytes, size: int) -> bytes:
    event = json.loads(body) | {"padding": ""}
    short = json.dumps(event).encode()
    padded = json.dumps(event | {"padding": "x" * (size - len(short))}).encode()
    assert len(padded) == size
    return padded
