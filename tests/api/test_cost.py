"""No request costs more than its size: the worst that fits through any door is answered in a fifth of a second."""

from __future__ import annotations

import gc
import json
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.core.exceptions import BadRequest
from django.test import Client
from django.urls import resolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from payments.api.errors import MAX_FIELD_ERRORS
from payments.api.parsers import MAX_BODY_BYTES
from payments.models import Payment
from payments.redaction import find_card_data, redact
from payments.testing import configured_provider
from tests.api.client import ROOT, Visitor
from tests.api.routes import ROUTES, Route, filled, keys_of
from tests.threads import SLOWNESS

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

BOUND: Final = 0.2 * SLOWNESS
"""Seconds of CPU."""

SIZE: Final = MAX_BODY_BYTES - 1024
"""The bytes of what is hostile in a body; the rest is left for what is asked for."""

PIECES: Final = (
    "a",
    "é",
    "\ufdfa",  # eighteen characters, once normalized
    "4",
    "4 ",
    "4242 ",
    "4242-",
    "4242:",
    "4242424242424241 ",
    "%34",
    "4 %2534",
    "4 %2526",
    "\\",
    "\\u0034",
    "&nbsp;",
    "&#52;",
    "\u0664\u200b",
    "+4 ",
    "ZZ99 ZZZZ ",
    "card4",
    "_",
)
"""What hostile texts are made of."""


@pytest.fixture(autouse=True)
def small_heap(caplog: pytest.LogCaptureFixture) -> None:
    """Have the garbage collector search what a request leaves, not what other tests or requests have left.

    A refusal that is logged keeps its request, and pytest keeps what is logged until the test ends.
    """
    caplog.set_level(logging.CRITICAL, "django.request")
    gc.collect()
    gc.freeze()


def of_size(piece: str, size: int = SIZE) -> str:
    return piece * (size // len(piece.encode()))


def many_keys(piece: str) -> dict[str, int]:
    """Return an object of as many keys as there is room for, each a number and a piece."""
    return {f"{number}{piece}": 1 for number in range(SIZE // (10 + len(piece.encode())))}


def deep(piece: str) -> Any:
    """Return an object that is nested as deep as may be, with long keys all the way, and a list at its end."""
    value: Any = [1] * (SIZE // 12)
    for _level in range(14):
        value = {of_size(piece, SIZE // 24): value}
    return value


SHAPES: Final[dict[str, Callable[[str], Any]]] = {
    "a long key and many values": lambda piece: {of_size(piece, SIZE // 2): [1] * (SIZE // 8)},
    "a short key and many values": lambda piece: {piece: [1] * (SIZE // 4)},
    "many keys": many_keys,
    "many objects": lambda piece: [{piece: 1}] * (SIZE // (10 + len(piece.encode()))),
    "deep": deep,
    "a long text": of_size,
    "many texts": lambda piece: [of_size(piece, 60)] * (SIZE // 64),
    "many numbers": lambda piece: [1e308] * (SIZE // 8),
    "long numbers": lambda piece: [10**4000] * (SIZE // 4010),
    "many lists": lambda piece: [[]] * (SIZE // 4),
}
"""Values of 64 KiB that are made of a piece."""

PLAIN: Final = ("many numbers", "long numbers", "many lists")
"""The shapes that are the same whatever the piece."""


def values_of(shapes: Iterable[str], pieces: Iterable[str]) -> Any:
    """Yield each of these shapes made of each of these pieces, and those without a piece once."""
    first, *others = pieces
    for shape in shapes:
        yield from (SHAPES[shape](piece) for piece in ([first] if shape in PLAIN else [first, *others]))


def seconds(call: Callable[[], object]) -> float:
    """Return how much CPU a call takes; the least of five times, should one be too much."""
    least = BOUND
    for _attempt in range(5):
        started = time.thread_time()
        call()
        least = time.thread_time() - started
        if least < BOUND:
            break
    return least


def cost(client: Client, method: str, path: str, body: str = "", **headers: str) -> float:
    """Return how much CPU a request takes that must not be a failure of ours."""

    def send() -> None:
        kind = headers.get("Content-Type", "application/json")
        try:
            answer = client.generic(method, path, body, content_type=kind, headers=headers)
        except BadRequest:
            return  # Later Djangos refuse some headers before any view is asked.
        assert answer.status_code < 500, answer.content

    return seconds(send)


def written(value: Any) -> str:
    """Return a body of at most 64 KiB."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert len(body.encode()) <= MAX_BODY_BYTES
    return body


def bodies_of(route: Route, keys: dict[str, str], value: Any) -> list[Any]:
    """Return bodies with a value in each place where there is room for one, and in the place of the body."""
    body = filled(route.body or {}, keys)
    inside = [
        {**body, name: {**known, "extra": value}} for name, known in body.items() if isinstance(known, dict)
    ]
    return [value, *({**body, name: value} for name in [*body, "extra"]), *inside]


CHANGING: Final = [route for route in ROUTES if route.method in ("POST", "PUT", "PATCH")]
AUTHORIZING: Final = [
    route for route in CHANGING if route.path == "storefront/payment-sessions/{session}/authorize/"
]
LISTS: Final = [route for route in ROUTES if route.method == "GET" and not route.path.endswith("}/")]
EVERYDAY: Final = ("\ufdfa",)
"""The pieces that are tried every day."""

READ: Final = ("\ufdfa", "4242-", "4 ", "a", "&#52;")
"""One piece of each kind: what is normalized, looks like a card, only begins to, is short, and is decoded."""

WORST: Final = dict.fromkeys(SHAPES, "\ufdfa") | {"a long text": "4242-"}
"""What each shape is made of at every address."""

HEADERS: Final = (
    "Idempotency-Key",
    "Payment-Client-Secret",
    "Accept-Language",
    "Accept",
    "Content-Type",
    "Authorization",
    "X-Forwarded-For",
    "User-Agent",
    "X-Note",
)
PROOFS: Final = (
    "Stripe-Signature",
    "Simulator-Signature",
    "PayPal-Transmission-Time",
    "PayPal-Transmission-Sig",
    "PayPal-Cert-Url",
)
PROVIDERS: Final[dict[str, Any]] = {
    "simulator": {
        "BACKEND": "payments.providers.simulator.SimulatorProvider",
        "OPTIONS": {"api_key": "sk_sim_of_the_tests"},
    },
    "stripe": {
        "BACKEND": "payments.providers.stripe.StripeProvider",
        "OPTIONS": {"api_key": "sk_test_1", "webhook_secrets": ["whsec_1", "whsec_2"]},
    },
    "paypal": {
        "BACKEND": "payments.providers.paypal.PayPalProvider",
        "OPTIONS": {
            "client_id": "a",
            "client_secret": "b",
            "webhook_ids": ["5WH12345AB678901C"],
            "livemode": False,
            "base_url": "http://127.0.0.1:9",
        },
    },
}


def too_slow(requests: Iterable[tuple[Client, str, str, str, dict[str, str]]]) -> list[str]:
    """Return which requests cost too much."""
    found = []
    for client, method, path, body, headers in requests:
        taken = cost(client, method, path, body, **headers)
        if taken >= BOUND:
            found.append(f"{method} {path[:100]} {body[:100]} {str(headers)[:100]}: {taken:.2f} s")
    return found


def with_bodies(
    owner: Visitor, payment: Payment, routes: Iterable[Route], pieces: Iterable[str], shape: str
) -> Any:
    keys = keys_of(payment)
    for route, value in product(routes, values_of([shape], pieces)):
        for body in bodies_of(route, keys, value):
            yield owner.client, route.method, f"{ROOT}/{filled(route.path, keys)}", written(body), {}


def test_answer_blames_so_many_fields_at_most(boss: Visitor) -> None:
    refused = boss.post("staff/refund-reasons/", {f"k{number}": 1 for number in range(3000)})
    assert refused.error[:3] == (400, "invalid_request", "invalid_input")
    assert len(refused.body["errors"]) == MAX_FIELD_ERRORS


@pytest.mark.parametrize("name", ["status", "provider_reference", "payment_collection"])
def test_list_takes_twenty_values_of_a_parameter_at_most(boss: Visitor, name: str) -> None:
    value = {"status": "authorized"}.get(name, "x")
    path = "staff/payment-sessions/"
    assert boss.get(path, **{name: [value] * 20}).status == 200
    assert boss.get(path, **{name: [value] * 21}).error == (
        400,
        "invalid_request",
        "invalid_value",
        [(name, "invalid_value")],
    )


@pytest.mark.parametrize("shape", ["many keys", "many objects", "many lists", "deep"])
@pytest.mark.shows(
    "A stranger sends the most costly body that there is", "it costs less than a fifth of a second"
)
def test_no_body_costs_more_than_its_size(owner: Visitor, payment: Payment, shape: str) -> None:
    assert too_slow(with_bodies(owner, payment, AUTHORIZING, EVERYDAY, shape)) == []


@pytest.mark.thorough
@pytest.mark.parametrize("shape", SHAPES)
def test_no_body_costs_more_than_its_size_whatever_it_is_made_of(
    owner: Visitor, payment: Payment, shape: str
) -> None:
    assert too_slow(with_bodies(owner, payment, AUTHORIZING, READ, shape)) == []


@pytest.mark.thorough
@pytest.mark.parametrize("shape", SHAPES)
def test_no_body_costs_more_than_its_size_at_any_address(
    owner: Visitor, payment: Payment, shape: str
) -> None:
    assert too_slow(with_bodies(owner, payment, CHANGING, [WORST[shape]], shape)) == []


def with_queries(owner: Visitor, payment: Payment, made_of: Iterable[tuple[Route, str]]) -> Any:
    keys = keys_of(payment)
    for route, piece in made_of:
        path = f"{ROOT}/{filled(route.path, keys)}"
        value = quote(of_size(piece, SIZE // 3))
        view: Any = resolve(path).func
        names = [*getattr(view.cls, "conditions", {}), "q", "cursor", "limit", "order", "note"]
        queries = [f"{name}={value}" for name in names]
        queries += ["&".join(f"{name}={number}{quote(piece)}" for number in range(999)) for name in names]
        queries += ["&".join(f"{number}{quote(piece)}={quote(piece)}" for number in range(999))]
        queries += [f"{value}=1" + "".join(f"&{value[:9]}={number}" for number in range(900))]
        yield from ((owner.client, "GET", f"{path}?{query}", "", {}) for query in queries)
        yield owner.client, route.method, f"{path}{value}/", "", {}


def test_no_query_costs_more_than_its_size(owner: Visitor, payment: Payment) -> None:
    routes = [route for route in LISTS if route.path in ("staff/payments/", "storefront/payment-providers/")]
    assert too_slow(with_queries(owner, payment, [(route, "4") for route in routes])) == []


@pytest.mark.thorough
def test_no_query_costs_more_than_its_size_at_any_address(owner: Visitor, payment: Payment) -> None:
    routes = [*product(LISTS, ["\ufdfa", "4242-"]), *product(LISTS[:1], ["&nbsp;", "card4"])]
    assert too_slow(with_queries(owner, payment, routes)) == []


def with_headers(client: Client, path: str, body: str, names: Iterable[str], pieces: Iterable[str]) -> Any:
    for name, piece in product(names, pieces):
        if piece.isascii() or name == "X-Note":
            yield client, "POST", path, body, {name: of_size(piece).encode().decode("latin-1")}


def test_no_header_costs_more_than_its_size(owner: Visitor, payment: Payment) -> None:
    path = f"{ROOT}/storefront/payment-sessions/{payment.session_id}/authorize/"
    assert too_slow(with_headers(owner.client, path, "{}", HEADERS, ["4242-"])) == []


@pytest.mark.thorough
def test_no_header_costs_more_than_its_size_whatever_is_in_it(owner: Visitor, payment: Payment) -> None:
    for path, pieces in (
        (f"storefront/payment-sessions/{payment.session_id}/authorize/", PIECES),
        ("storefront/payment-collections/", READ),
    ):
        assert too_slow(with_headers(owner.client, f"{ROOT}/{path}", "{}", HEADERS, pieces)) == []


def with_deliveries(path: str, shapes: Iterable[str], pieces: Iterable[str]) -> Any:
    """Yield deliveries that nobody has signed, though they look as if: what is read before that is found out."""
    now = time.time()
    moment = datetime.fromtimestamp(now, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = f"t={now:.0f}" + ",v1=a" * 12_000
    proofs = {
        "Stripe-Signature": signed,
        "Simulator-Signature": signed,
        "PayPal-Transmission-Time": moment,
        "PayPal-Transmission-Sig": "A" * 344,
        "PayPal-Auth-Algo": "SHA256withRSA",
        "PayPal-Cert-Url": "https://api.paypal.com/v1/notifications/certs/CERT-" + "a" * SIZE,
    }
    for value in values_of(shapes, pieces):
        event = {"id": "1", "event_type": "x", "create_time": moment, "resource": value}
        yield Client(), "POST", path, json.dumps(event, ensure_ascii=False), proofs


@pytest.mark.parametrize("alias", [*PROVIDERS, "nowhere"])
def test_no_unsigned_delivery_costs_more_than_its_size(alias: str) -> None:
    with configured_provider(alias, PROVIDERS.get(alias, PROVIDERS["stripe"])):
        path = f"{ROOT}/webhooks/{alias}/"
        assert too_slow(with_deliveries(path, ["many keys", "deep", "long numbers"], EVERYDAY)) == []
        assert too_slow(with_headers(Client(), path, "{}", PROOFS, EVERYDAY)) == []


@pytest.mark.thorough
@pytest.mark.parametrize("alias", PROVIDERS)
def test_no_unsigned_delivery_costs_more_than_its_size_whatever_is_in_it(alias: str) -> None:
    with configured_provider(alias, PROVIDERS[alias]):
        path = f"{ROOT}/webhooks/{alias}/"
        assert too_slow(with_deliveries(path, SHAPES, READ)) == []
        assert too_slow(with_headers(Client(), path, "{}", PROOFS, PIECES)) == []


@pytest.mark.parametrize(
    "piece",
    [pytest.param(piece, marks=[] if piece in READ else [pytest.mark.thorough]) for piece in PIECES],
)
def test_looking_for_card_data_costs_no_more_than_the_size(piece: str) -> None:
    values = [SHAPES[shape](piece) for shape in ("a long key and many values", "deep", "a long text")]
    assert all(seconds(partial(find, value)) < BOUND for find in (find_card_data, redact) for value in values)


@pytest.mark.thorough
@settings(max_examples=60, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=4).map("".join),
    st.sampled_from(sorted(SHAPES.keys() - PLAIN)),
)
def test_no_card_data_is_found_that_is_costly_to_look_for(piece: str, shape: str) -> None:
    piece = piece.encode(errors="replace").decode() or "a"
    value = SHAPES[shape](piece)
    # To explain a failure, Hypothesis would trace each line, which takes more time than the lines.
    assert max(seconds(partial(find, value)) for find in (find_card_data, redact)) < BOUND
