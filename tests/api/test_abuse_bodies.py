"""Bodies that no honest client sends: each is refused in the one shape of errors, and nothing comes of any."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http.request import UnreadablePostError
from django.test import Client
from django.urls import resolve
from rest_framework.exceptions import ParseError

from payments.api.parsers import MAX_BODY_BYTES, JSONParser
from payments.models import Payment
from payments.testing import Script
from tests.api.client import ROOT, Answer, Visitor
from tests.api.evidence import Snapshot
from tests.api.pairs import PAIRS, Pairs
from tests.api.routes import ROUTES, Route, filled, keys_of

pytestmark = pytest.mark.django_db

CHANGING = [route for route in ROUTES if route.method in ("POST", "PUT", "PATCH")]

NO_JSON = {
    "nothing but spaces": b"  ",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"amount": "1.00"}'.encode("utf-16"),
    "a byte that is no UTF-8": b'{"amount": "\xff"}',
    "a surrogate in UTF-8": b'{"amount": "\xed\xa0\x80"}',
    "half of a surrogate pair in a key": b'{"\\ud800": 1}',
    "half of a surrogate pair in a key deep inside": b'{"data": {"token": [{"\\udfff": 1}]}}',
    "a key that is there twice": b'{"amount": "1.00", "amount": "2.00"}',
    "a key that is there twice deep inside": b'{"metadata": {"a": [{"b": 1, "b": 1}]}}',
    "a key that is there twice in another spelling": b'{"amount": "1.00", "am\\u006funt": "2.00"}',
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": -Infinity}',
    "a number of five thousand digits": b'{"amount": 1' + b"0" * 5000 + b"}",
    "two values": b"{} {}",
    "single quotes": b"{'amount': '1.00'}",
    "a NUL after the end": b"{}\x00",
    "a raw newline in a text": b'{"note": "a\nb"}',
    "33 arrays": b'{"data": ' + b"[" * 33 + b"]" * 33 + b"}",
    "50,000 objects": b'{"a":' * 12_000,
    "cut off": b'{"amount": "1.0',
    "a form": b"amount=1.00",
}
NO_OBJECT = {"an array": b"[]", "null": b"null", "a text": b'"x"', "a number": b"1e400", "true": b"true"}
NO_VALUE: tuple[Any, ...] = ("a\0b", "\ud800", [], {"a": 1}, True, 10**4000, "9" * 60_000)
"""Values that are JSON, and are nothing that any field but an object would take."""

UNKNOWN = {
    "a NUL in a key": b'{"a\\u0000b": 1}',
    "a prototype": b'{"__proto__": {"amount": "1.00"}}',
    "a path": b'{"payment.amount": "1.00"}',
    "a list of an amount": b'{"amount[]": "1.00"}',
    "another spelling": '{"аmount": "1.00"}'.encode(),
    "another case": b'{"Amount": "1.00"}',
}


REFUSED = [
    (what, body, code)
    for bodies, code in ((NO_JSON, "invalid_json"), (NO_OBJECT, "not_an_object"), (UNKNOWN, "unknown_field"))
    for what, body in bodies.items()
]


def send(
    visitor: Visitor,
    route: Route,
    path: str,
    body: bytes,
    *,
    media_type: str = "application/json",
    **extra: Any,
) -> Answer:
    """Send bytes as they are."""
    response = visitor.client.generic(
        route.method, f"{ROOT}/{path}", body, content_type=media_type, headers=visitor.headers, **extra
    )
    return visitor._answer(response)


@pytest.mark.shows(
    "At every address: BOMs, other encodings, surrogates, keys that are there twice, NaN, endless nesting and digits",
    "400 in the one shape of errors; nothing is stored, and no provider is asked",
)
@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.database_independent
def test_what_is_no_json_or_no_object_is_refused_everywhere(
    owner: Visitor, payment: Payment, script: Script, pairs: Pairs
) -> None:
    keys = keys_of(payment)
    before, calls = Snapshot(), len(script.calls)

    for route, (what, body, code) in pairs(CHANGING, REFUSED):
        answer = send(owner, route, filled(route.path, keys), body)
        assert answer.error[:2] == (400, "invalid_request"), f"{route}: {what}"
        assert code in (answer.body["code"], *(each["code"] for each in answer.body["errors"]))

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "At every address, in every field: NULs, half characters, huge numbers, arrays and objects in place of a text",
    "400 that names the field; nothing is stored, and no provider is asked",
)
@pytest.mark.parametrize("pairs", PAIRS)
def test_a_value_that_nothing_can_be_is_refused_in_every_field(
    owner: Visitor, payment: Payment, script: Script, pairs: Pairs
) -> None:
    keys = keys_of(payment)
    before, calls = Snapshot(), len(script.calls)

    fields = [(route, name) for route in CHANGING for name in route.body or {}]
    for (route, name), value in pairs(fields, NO_VALUE):
        path, body = filled(route.path, keys), filled(route.body, keys)
        if (isinstance(value, dict) and isinstance(body[name], dict)) or value is body[name]:
            continue
        answer = owner.send(route.method, path, body | {name: value})
        assert answer.error[:2] == (400, "invalid_request"), f"{route}: {name}={str(value)[:20]!r}"
        assert {str(each["field"]).partition(".")[0] for each in answer.body["errors"]} == {name}

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "A body of 64 KiB, and of one byte more, at every address",
    "The one is read, and judged by what is in it; the other is refused with 413",
)
@pytest.mark.database_independent
def test_a_body_may_have_64_kib_and_not_a_byte_more(owner: Visitor, payment: Payment) -> None:
    keys = keys_of(payment)
    largest = json.dumps({"nonsense": ""}).replace('""', f'"{"x" * (MAX_BODY_BYTES - 16)}"').encode()
    assert len(largest) == MAX_BODY_BYTES

    for route in CHANGING:
        path = filled(route.path, keys)
        assert send(owner, route, path, largest).status == 400
        assert send(owner, route, path, largest + b" ").error[:3] == (
            413,
            "invalid_request",
            "body_too_large",
        )


MEDIA_TYPES = (
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "text/plain",
    "application/xml",
    "application/vnd.api+json",
    "garbage",
    "",
)
FORM = b'--x\r\nContent-Disposition: form-data; name="amount"\r\n\r\n1.00\r\n--x--\r\n'


@pytest.mark.shows(
    "A form, in parts or not, or a body of any other kind, from who is logged in and sends a CSRF token",
    "415: nobody takes it for a body without an amount, which would capture everything",
)
@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("is_read_before", [False, True])
@pytest.mark.database_independent
def test_a_body_that_is_not_json_is_refused_everywhere(
    owner: Visitor, payment: Payment, script: Script, settings: Any, *, pairs: Pairs, is_read_before: bool
) -> None:
    owner.client = Client(enforce_csrf_checks=True)
    owner.client.force_login(owner.user)
    owner.client.cookies["csrftoken"] = "a" * 32
    owner.headers = {"X-CSRFToken": "a" * 32}
    if is_read_before:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.reading_forms"]
    keys = keys_of(payment)
    before, calls = Snapshot(), len(script.calls)

    for route, media_type in pairs(CHANGING, MEDIA_TYPES):
        if is_read_before and media_type == "multipart/form-data":
            continue  # then it is Django that has no use for a form without a boundary
        answer = send(owner, route, filled(route.path, keys), FORM, media_type=media_type)
        assert answer.error == (415, "invalid_request", "unsupported_media_type", []), (
            f"{route}: {media_type}"
        )

    assert (before.changes, len(script.calls)) == (set(), calls)


def reading_forms(get_response: Any) -> Any:
    """Be a middleware that looks into forms before any view does."""

    def middleware(request: Any) -> Any:
        assert request.POST is not None
        return get_response(request)

    return middleware


@pytest.mark.shows(
    "A capture's body sent in pieces (Transfer-Encoding: chunked), which servers hand on without a length",
    "411: nobody takes it for a body without an amount, which would capture everything",
)
@pytest.mark.database_independent
def test_a_body_of_unknown_length_is_refused_everywhere(
    owner: Visitor, payment: Payment, script: Script
) -> None:
    keys = keys_of(payment)
    before, calls = Snapshot(), len(script.calls)

    for route in CHANGING:
        for length in ("", "0", "many"):
            answer = send(
                owner,
                route,
                filled(route.path, keys),
                b'{"amount": "1.00"}',
                CONTENT_LENGTH=length,
                HTTP_TRANSFER_ENCODING="chunked",
            )
            assert answer.error == (411, "invalid_request", "length_required", []), f"{route}: {length!r}"

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "A capture's body over HTTP/2, which needs neither a length nor to say that it comes in pieces",
    "411, as above",
)
def test_a_body_that_nothing_announces_is_refused_too(
    owner: Visitor, payment: Payment, script: Script
) -> None:
    path = f"{ROOT}/staff/payments/{payment.pk}/capture/"
    view, _args, kwargs = resolve(path)
    calls = len(script.calls)

    def ask(body: bytes) -> Any:
        scope = {"type": "http", "http_version": "2", "method": "POST", "path": path, "headers": []}
        request: Any = ASGIRequest({**scope, "query_string": b""}, BytesIO(body))
        request.user, request._dont_enforce_csrf_checks = owner.user, True
        return view(request, **kwargs)

    refused = ask(b'{"amount": "1.00"}')

    assert (refused.status_code, refused.data["code"]) == (411, "length_required")
    assert len(script.calls) == calls
    assert ask(b"").status_code == 200


def test_a_body_whose_sender_hangs_up_is_refused() -> None:
    class HungUp(BytesIO):
        def read(self, *args: Any) -> bytes:
            raise UnreadablePostError

    with pytest.raises(ParseError) as refusal:
        JSONParser().parse(HungUp())

    assert refusal.value.get_codes() == "body_cut_off"
