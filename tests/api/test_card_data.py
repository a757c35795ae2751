"""Card data is turned away wherever it is put, and leaves no trace: not in a row, a log, a page or an answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any
from urllib.parse import quote

import pytest

from payments.models import Payment, PaymentCollection, PaymentOperation, WebhookEvent
from payments.providers import AuthorizeResult, CaptureResult, Failure, WebhookResult
from payments.states import Outcome
from payments.testing import Script
from tests.api.client import Answer, Visitor
from tests.api.evidence import admin_texts, database_texts, with_traces
from tests.api.routes import ROUTES, Route, filled, keys_of

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

# The published test numbers of the networks, in the ways in which people write them.
NUMBERS = (
    "4242424242424242",
    "5555 5555 5555 4444",
    "3782-822463-10005",
    "6011111111111117",
    "2223003122003222",
)
# What else is written around a number, and within it.
WRITTEN = (
    "4242 4242 4242 4242 12/34 123",
    "4242424242424242 12/34",
    "4242424242424242 123",
    "4242424242424242-123",
    "378282246310005 1234",
    "4242  4242  4242  4242",
    "4242\t4242\t4242\t4242",
    "4242\n4242\n4242\n4242",
    "4242:4242:4242:4242",
    "4242,4242,4242,4242",
    "4242.4242.4242.4242",
    "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
    "٤٢٤٢\u2003٤٢٤٢\u2003٤٢٤٢\u2003٤٢٤٢",
    "42\u200b42\u200b42\u200b42\u200b42\u200b42\u200b42\u200b42",
    "%34242424242424242",
)
CODE = "9174"
NAMED = {"cvc": CODE, "card_number": CODE, "cvv2": int(CODE), "CardVerificationCode": CODE}
HEADERS = (
    "Idempotency-Key",
    "Payment-Client-Secret",
    "Accept-Language",
    "User-Agent",
    "X-Note",
    "Authorization",
)
ADDED_ON_THE_WAY = ("Cookie", "Referer", "Traceparent", "X-Datadog-Trace-Id", "X-Forwarded-For")
NEEDLES = (
    *NUMBERS,
    *(number.replace(" ", "").replace("-", "") for number in NUMBERS),
    f'"{CODE}"',
    f"'{CODE}'",
)

REFUSED = (422, "invalid_request", "card_data_refused")


def variations(body: dict[str, Any], numbers: Iterator[str]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield a body with a card number in the place of each of its values, and beside them; and the field to blame."""
    for name, value in body.items():
        if isinstance(value, dict):
            for field, inner in variations(value, numbers):
                yield (name if field is None else f"{name}.{field}"), {**body, name: inner}
        elif isinstance(value, list):
            yield name, {**body, name: [next(numbers)]}
        else:
            yield name, {**body, name: f"my card is {next(numbers)}."}
            yield name, {**body, name: int(next(numbers).replace(" ", "").replace("-", ""))}
    yield "extra", {**body, "extra": {"deep": [{"deeper": next(numbers)}]}}
    yield None, {**body, next(numbers): "as a key"}
    yield from ((name, {**body, name: code}) for name, code in NAMED.items())


def attempts(
    route: Route, keys: dict[str, str], numbers: Iterator[str]
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield the arguments of requests with card data somewhere, and the field to blame."""
    path, body = filled(route.path, keys), filled(route.body, keys)
    for field, changed in variations(body, numbers) if body is not None else ():
        yield field, {"path": path, "body": changed}
    yield "note", {"path": f"{path}?note={next(numbers)}"}
    yield "cvc", {"path": f"{path}?cvc={CODE}"}
    for place in ("collection", "session", "payment", "reason", "operation", "event", "method"):
        if f"{{{place}}}" in route.path:
            yield f"{place}_id", {"path": filled(route.path, {**keys, place: next(numbers).replace(" ", "")})}
    for header in HEADERS:
        yield header, {"path": path, "headers": {header: f"card {next(numbers)}"}}
    yield "Cvc", {"path": path, "headers": {"Cvc": CODE}}


def send(
    visitor: Visitor, method: str, *, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    visitor.headers = headers or {}
    return visitor.send(method, path, body)


@pytest.mark.parametrize(
    "step", [pytest.param(3, id="some"), pytest.param(1, id="all", marks=pytest.mark.thorough)]
)
def test_card_data_is_refused_everywhere_and_leaves_no_trace(
    owner: Visitor,
    payment: Payment,
    script: Script,
    row_counts: Any,
    caplog: pytest.LogCaptureFixture,
    *,
    step: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    keys = keys_of(payment)
    before, calls, numbers = row_counts(), len(script.calls), cycle(NUMBERS)
    texts: list[str] = []

    for start, route in enumerate(ROUTES):
        for field, request in islice(attempts(route, keys, numbers), start % step, None, step):
            answer = send(owner, route.method, **request)

            assert answer.error[:3] == REFUSED, f"{route}: {request}"
            (blamed, code) = answer.error[3][0] if answer.error[3] else (None, "card_data_refused")
            assert code == "card_data_refused"
            assert field is None or str(blamed).startswith(field), f"{route}: {request}: {blamed}"
            texts.append(f"{answer.raw!r} {answer.headers!r}")

    assert len(texts) > 500 // step
    assert (row_counts(), len(script.calls)) == (before, calls)
    owner.headers = {}
    assert with_traces(database_texts(), NEEDLES) == []
    assert with_traces(texts, NEEDLES) == []
    assert with_traces(admin_texts(owner.client), NEEDLES) == []
    logged = [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    assert logged
    assert with_traces(logged, NEEDLES) == []


def test_what_browsers_and_networks_add_hinders_no_payment_and_leaves_no_trace(
    owner: Visitor, payment: Payment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for header in ADDED_ON_THE_WAY:
        value = f"{owner.client.cookies.output(header='', sep=';')}; visitor={NUMBERS[0]}"
        answer = send(
            owner,
            "POST",
            path=f"storefront/payment-sessions/{payment.session_id}/authorize/",
            body={},
            headers={header: value if header == "Cookie" else NUMBERS[0]},
        )
        assert answer.status == 200
    assert with_traces(database_texts(), NEEDLES) == []
    assert with_traces((record.getMessage() for record in caplog.records), NEEDLES) == []


def test_a_card_number_is_refused_however_it_is_written(
    guest: Visitor, payment: Payment, script: Script
) -> None:
    path = f"storefront/payment-sessions/{payment.session_id}/"
    calls = len(script.calls)
    for written in WRITTEN:
        refused = guest.post(f"{path}authorize/", {"data": {"token": written}})
        assert refused.error == (*REFUSED, [("data.token", REFUSED[2])]), written
        assert guest.get(path, note=written).status == 422, written
        in_path = quote(written.replace("/", ""), safe="")
        assert guest.get(f"storefront/payment-sessions/{in_path}/").status == 422, written
    assert len(script.calls) == calls


@pytest.mark.parametrize(
    "body", ['{"data": {"token": "4242424242424242"', '{"data": {"cvc": "1", "cvc": "2"}}', "4242 4242"]
)
def test_card_data_in_a_body_that_can_not_be_read_is_not_repeated(
    guest: Visitor, payment: Payment, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = guest.post(f"storefront/payment-sessions/{payment.session_id}/authorize/", body)
    assert refused.error[:3] == (400, "invalid_request", "invalid_json")
    assert b"4242" not in refused.raw
    assert "4242" not in caplog.text


def test_a_refusal_can_be_followed_by_a_good_request_with_the_same_key(
    guest: Visitor, payment: Payment
) -> None:
    path = f"storefront/payment-sessions/{payment.session_id}/authorize/"
    guest.headers = {**guest.headers, "Idempotency-Key": "k"}
    assert guest.post(path, {"data": {"token": NUMBERS[0]}}).status == 422
    assert guest.post(path, {"data": {"token": "tok"}}).status == 200


def test_what_a_provider_quotes_of_a_card_is_taken_out(
    guest: Visitor, boss: Visitor, payment: Payment, script: Script
) -> None:
    quoted = f"The card {NUMBERS[0]} was declined"
    failure = Failure(code="declined", message=quoted, detail=quoted)
    script.next(
        "capture",
        CaptureResult(
            outcome=Outcome.DECLINED, failure=failure, provider_log={"pan": NUMBERS[0], "was": quoted}
        ),
    )
    declined = boss.post(f"staff/payments/{payment.pk}/capture/")
    assert declined.error[:3] == (402, "provider_error", "declined")
    assert declined.body["message"] == "The card [redacted] was declined"
    assert PaymentOperation.objects.get(kind="capture").provider_log == {
        "pan": "[redacted]",
        "was": "[redacted]",
    }
    script.next("capture", ValueError(quoted))
    assert boss.post(f"staff/payments/{payment.pk}/capture/").status == 202
    assert with_traces(database_texts(), NEEDLES) == []
    assert with_traces(admin_texts(boss.client), NEEDLES) == []


def test_what_a_webhook_quotes_of_a_card_is_taken_out(
    boss: Visitor, payment: Payment, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quoted = {"card": {"number": NUMBERS[1], "cvc": CODE}, "text": f"charged {NUMBERS[0]}"}
    script.next(
        "parse_webhook",
        WebhookResult(event_id="evt_1", event_type="x", session_id=payment.session_id, payload=quoted),
    )
    answer = boss.client.post(
        "/payments/webhooks/scripted/", json.dumps(quoted), content_type="application/json"
    )
    assert answer.status_code == 200
    assert WebhookEvent.objects.get().payload["card"] == {"number": "[redacted]", "cvc": "[redacted]"}
    assert with_traces(database_texts(), NEEDLES) == []
    assert with_traces(admin_texts(boss.client), NEEDLES) == []
    assert with_traces((record.getMessage() for record in caplog.records), NEEDLES) == []


def test_a_payer_reads_no_card_number_that_a_provider_quotes(
    guest: Visitor, collection: PaymentCollection, script: Script
) -> None:
    failure = Failure(code=NUMBERS[0], message=f"No: {NUMBERS[0]} 12/34 {CODE}")
    script.next("authorize", AuthorizeResult(outcome=Outcome.DECLINED, failure=failure))
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
    session = guest.post(path, {"provider_id": "scripted"}).body

    declined = guest.post(f"storefront/payment-sessions/{session['id']}/authorize/").body

    assert declined["error"] == {"code": "declined", "message": "No: [redacted]"}
    assert with_traces(database_texts(), NEEDLES) == []
