"""Addresses that no honest client asks for: strange ids, strange parameters, strange headers."""

from __future__ import annotations

from itertools import product
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.test import Client

from payments.models import Payment
from payments.testing import Script
from tests.api.client import ROOT, Answer, Visitor
from tests.api.evidence import Snapshot
from tests.api.pairs import PAIRS, Pairs
from tests.api.routes import ROUTES, filled, keys_of

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

KEYS: Final = ("collection", "session", "payment", "reason", "operation", "event")
"""What names our own rows; a saved method's id is the provider's."""
IDS: Final = (
    "a\0b",
    "%00",
    "a\nb",
    "\r\nX-Evil: 1",
    "..",
    "..%2f..%2fadmin",
    "\\..\\admin",
    "%s%n{0}",
    "{{ 7*7 }}",
    "' OR 1=1; --",
    "<script>",
    "💰",
    "pay_0\u202e",
    "-1",
    "9" * 400,
    "x" * 5000,
)
VALUES: Final = (
    "",
    "\0",
    "' OR 1=1; --",
    "%",
    "_",
    "\\",
    "[]",
    "{}",
    "💰",
    "9" * 30,
    "-1",
    "1e400",
    "NaN",
    "0001-01-01",
    "9999-12-31T23:59:59-23:59",
    "0000-00-00T00:00:00Z",
    "shop.order:",
    "shop.order:99999999999999999999",
    "shop.order:a\0b",
    "payments.payment:x",
    "auth.nobody:1",
    "pay_col_%",
    "WyIwMDAxLTAxLTAxVDAwOjAwOjAwWiIsIngiLGZhbHNlXQ==",
    "WyI5OTk5LTEyLTMxVDIzOjU5OjU5WiIsIngiLHRydWVd",
    "x" * 4000,
)
METHODS: Final = ("TRACE", "PROPFIND", "CONNECT", "get", "BREW", "PUT", "DELETE", "PATCH")
HEADERS: Final = (
    ("Accept", "garbage"),
    ("Accept", "*/*;q=x, text/html;q="),
    ("Accept", "application/json; indent=99999999999999999999"),
    ("Accept-Language", "x" * 5000),
    ("Accept-Language", "de;q=nan, -_*,;;="),
    ("Authorization", "Basic \xff\xfe"),
    ("Content-Encoding", "gzip"),
    ("Cookie", "sessionid=\0; a"),
    ("Idempotency-Key", "a\nb"),
    ("Payment-Client-Secret", "\xff\xfe"),
    ("Range", "bytes=0-1"),
    ("X-Forwarded-For", "\xff, ::1%eth0"),
    ("X-HTTP-Method-Override", "DELETE"),
)


def is_well_answered(answer: Answer) -> bool:
    """Return whether an answer is a success, an error in the one shape, or a page for an operator's browser."""
    is_page = answer.headers.get("Content-Type", "").startswith("text/html")
    return (
        answer.status < 400
        or (is_page and answer.status < 500)
        or (answer.status < 500 and answer.error[0] == answer.status)
    )


@pytest.mark.shows(
    "At every address, in place of an id: NULs, newlines, encoded slashes, markup, SQL, thousands of characters",
    "404 in the one shape of errors; nothing is stored, and no provider is asked",
)
@pytest.mark.parametrize("pairs", PAIRS)
def test_an_id_that_nothing_can_have_is_not_found(
    owner: Visitor, payment: Payment, script: Script, pairs: Pairs
) -> None:
    keys_of(payment)
    before, calls = Snapshot(), len(script.calls)
    naming = [route for route in ROUTES if any(f"{{{key}}}" in route.path for key in KEYS)]
    assert len(naming) > 20

    for route, key in pairs(naming, IDS):
        path = filled(route.path, dict.fromkeys(KEYS, quote(key, safe="")))
        answer = owner.send(route.method, path, {} if route.body is not None else None)
        assert answer.error == (404, "not_found", "not_found", []), f"{route}: {key[:20]!r}"

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.shows(
    "At every address: headers that are malformed, endless, or ask for another method",
    "An answer in one of the usual shapes; no header of a request has another one done",
)
@pytest.mark.parametrize("pairs", PAIRS)
def test_no_header_is_too_strange(owner: Visitor, payment: Payment, script: Script, pairs: Pairs) -> None:
    keys = keys_of(payment)
    before, calls = Snapshot(), len(script.calls)

    harmless = [route for route in ROUTES if route.method != "DELETE" and "saved-payment" not in route.path]
    session = owner.client.cookies["sessionid"].value
    for route, (name, value) in pairs(harmless, HEADERS):
        owner.client.cookies["sessionid"] = session  # which is gone after a cookie that makes no sense
        owner.headers = {name: value}
        answer = owner.send(route.method, filled(route.path, keys), None if route.body is None else {"a": 1})
        assert is_well_answered(answer), f"{route}: {name}: {value[:20]!r}"

    assert (before.changes, len(script.calls)) == (set(), calls)


@pytest.mark.parametrize("pairs", PAIRS)
def test_a_method_that_is_nowhere_is_refused_everywhere(
    owner: Visitor, payment: Payment, pairs: Pairs
) -> None:
    keys = keys_of(payment)
    known = {(route.path, route.method) for route in ROUTES}

    for path, method in pairs(sorted({route.path for route in ROUTES}), METHODS):
        if (path, method.upper()) not in known:
            answer = owner.send(method, filled(path, keys))
            assert answer.error == (405, "invalid_request", "method_not_allowed", []), f"{method} {path}"


LISTS: Final = sorted(
    route.path
    for route in ROUTES
    if route.method == "GET" and route.path.startswith("staff/") and route.path.count("/") == 2
)


@pytest.mark.thorough
@pytest.mark.shows(
    "Each parameter of each list with NULs, SQL, wildcards, dates at the end of time, forged cursors, endless texts",
    "An answer, or 400 in the one shape of errors",
)
@pytest.mark.parametrize("path", LISTS)
def test_no_parameter_of_a_list_is_too_strange(owner: Visitor, payment: Payment, path: str) -> None:
    keys_of(payment)
    refused = owner.get(f"{path}?nonsense=1")
    known = (
        refused.body["message"].partition("there are ")[2].rstrip(".").split(", ")
        if refused.status == 400
        else []
    )

    for name, value in product([*known, "format", "id__in"], VALUES):
        for order in ("-created_at", "amount"):
            query = {name: value} if name == "order" else {name: value, "order": order}
            answer = owner.get(path, **query)
            assert is_well_answered(answer), f"{name}={value[:20]!r}"


def test_a_page_link_leads_nowhere_but_back_to_the_list(owner: Visitor, payment: Payment) -> None:
    for number in range(3):
        owner.post("staff/refund-reasons/", {"label": f"Reason {number}"})

    page: Any = Client()
    page.force_login(owner.user)
    answer = page.get(
        f"{ROOT}/staff/refund-reasons/?limit=1&q=", headers={"X-Forwarded-Host": "evil.example"}
    ).json()

    assert answer["next"].startswith(f"http://testserver{ROOT}/staff/refund-reasons/?")
