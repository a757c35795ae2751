"""Whose collection it is: the customer's, or that of whoever holds its secret. Everybody else finds nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments import services
from payments.api.storefront.access import client_secret, is_client_secret
from payments.models import PaymentCollection, PaymentSession
from payments.testing import Script
from tests.api.client import Visitor
from tests.api.pairs import PAIRS, Pairs, daily
from tests.api.routes import STOREFRONT

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

ROUTES = [
    ("GET", "storefront/payment-collections/{collection}/", None),
    ("POST", "storefront/payment-collections/{collection}/payment-sessions/", {"provider_id": "system"}),
    ("GET", "storefront/payment-sessions/{session}/", None),
    ("PATCH", "storefront/payment-sessions/{session}/", {"amount": "1.00"}),
    ("POST", "storefront/payment-sessions/{session}/authorize/", {}),
    ("POST", "storefront/payment-sessions/{session}/cancel/", {}),
]


def test_every_address_of_a_collection_or_session_is_among_those_tried() -> None:
    own = {
        (route.method, route.path)
        for route in STOREFRONT
        if {"{collection}", "{session}"} & set(route.path.split("/"))
    }

    assert own == {(method, path) for method, path, _body in ROUTES}


@pytest.fixture
def owned(shopper: Any) -> PaymentCollection:
    """Return the shopper's collection, with a session."""
    collection = services.create_payment_collection(amount="100", currency_code="eur", customer=shopper)
    services.create_payment_session(collection, provider_id="scripted")
    return collection


def addressed(route: str, collection: PaymentCollection) -> str:
    return route.format(collection=collection.pk, session=collection.sessions.get().pk)


def stranger_visitors(collection: PaymentCollection) -> list[Visitor]:
    other = services.create_payment_collection(amount="1", currency_code="eur")
    secret = client_secret(collection.pk)
    user = get_user_model().objects.create_user("mallory")
    operator = get_user_model().objects.create_superuser("root")
    secrets = [
        "",
        "x",
        secret[:-1],
        secret + "x",
        secret.upper(),
        client_secret(other.pk),
        "ключ",
        collection.pk,
    ]
    return [
        Visitor(),
        Visitor(user=user),
        Visitor(user=operator),
        *(Visitor(secret=wrong) for wrong in secrets),
        Visitor(user=user, secret=client_secret(other.pk)),
    ]


@pytest.mark.parametrize(("method", "route", "body"), ROUTES)
def test_the_customer_and_the_holder_of_the_secret_are_let_in(
    shopper: Any, owned: PaymentCollection, method: str, route: str, body: Any
) -> None:
    path = addressed(route, owned)

    for visitor in (Visitor(user=shopper), Visitor(secret=client_secret(owned.pk))):
        assert visitor.send(method, path, body).status in (200, 201, 409)


@pytest.mark.parametrize(("method", "route", "body"), daily(ROUTES, step=3))
@pytest.mark.parametrize("pairs", PAIRS)
def test_not_yours_and_not_there_are_the_same_answer_to_the_byte(
    owned: PaymentCollection, script: Script, pairs: Pairs, *, method: str, route: str, body: Any
) -> None:
    calls = len(script.calls)
    foreign = addressed(route, owned)
    missing = [
        route.format(collection=key, session=key)
        for key in ("pay_col_0", "payses_0", owned.pk.lower(), "x" * 300, "a%00b", "%F0%9F%92%B0", "-1")
    ]

    strangers = stranger_visitors(owned)
    answers = [
        visitor.send(method, path, payload)
        for visitor, path in [
            *((stranger, foreign) for stranger in strangers),
            *pairs(strangers, missing),
        ]
        for payload in ((body, {"nonsense": 1}) if body is not None else (None,))
    ]

    assert answers[0].error == (404, "not_found", "not_found", [])
    for answer in answers:
        assert (answer.status, answer.raw) == (404, answers[0].raw)
        assert answer.headers.keys() - {"Vary"} == answers[0].headers.keys() - {"Vary"}
        assert answer.headers["Content-Length"] == answers[0].headers["Content-Length"]
    assert len(script.calls) == calls
    assert PaymentSession.objects.get().status == "pending"


@pytest.mark.shows("A stranger who measures what isn't theirs", "the same statements as for what isn't there")
@pytest.mark.parametrize(("method", "route", "body"), daily(ROUTES, step=3))
def test_not_yours_and_not_there_take_the_same_statements(
    owned: PaymentCollection, method: str, route: str, body: Any
) -> None:
    places = addressed(route, owned), route.format(collection="pay_col_0", session="payses_0")
    for stranger in stranger_visitors(owned):
        told: list[list[str]] = []
        for path in places:
            with CaptureQueriesContext(connection) as statements:
                assert stranger.send(method, path, body).status == 404
            told.append([re.sub(r"'[^']*'|%s", "?", each["sql"]) for each in statements])
        assert told[0] == told[1]


def test_one_visitor_sees_no_difference_in_the_headers_either(shopper: Any, owned: PaymentCollection) -> None:
    mallory = Visitor(user=get_user_model().objects.create_user("mallory"))

    foreign = mallory.get(f"storefront/payment-collections/{owned.pk}/")
    missing = mallory.get("storefront/payment-collections/pay_col_0/")

    assert foreign == missing


def test_a_collection_without_a_customer_is_only_reached_by_its_secret(shopper: Any) -> None:
    collection = services.create_payment_collection(amount="1", currency_code="eur")
    path = f"storefront/payment-collections/{collection.pk}/"

    assert Visitor().get(path).status == 404
    assert Visitor(user=shopper).get(path).status == 404
    assert Visitor(secret=client_secret(collection.pk)).get(path).status == 200


def test_a_customer_who_is_recognized_later_gets_the_guests_collection(
    shopper: Any, guest: Visitor, collection: PaymentCollection
) -> None:
    order: Any = collection.payable
    order.customer = shopper
    order.save()
    customer = Visitor(user=shopper)

    opened = customer.post("storefront/payment-collections/", {"reference": "A-1"})

    assert (opened.status, opened.body["id"]) == (200, collection.pk)
    assert customer.get(f"storefront/payment-collections/{collection.pk}/").status == 200


def test_a_secret_survives_a_new_key_while_the_old_one_is_a_fallback(settings: Any) -> None:
    secret = client_secret("pay_col_1")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"

    assert is_client_secret(secret, "pay_col_1")
    assert client_secret("pay_col_1") != secret

    settings.SECRET_KEY_FALLBACKS = []
    assert not is_client_secret(secret, "pay_col_1")


def test_a_secret_tells_nothing_of_the_key_and_opens_one_collection(settings: Any) -> None:
    secret = client_secret("pay_col_1")

    assert settings.SECRET_KEY not in secret
    assert not is_client_secret(secret, "pay_col_2")
    assert len(secret.removeprefix("paycs_")) == 43  # 256 bits in base 64


def test_a_logged_in_customer_needs_a_csrf_token(shopper: Any, owned: PaymentCollection) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(shopper)
    path = f"/payments/storefront/payment-sessions/{owned.sessions.get().pk}/authorize/"

    refused = client.post(path, {}, content_type="application/json")
    client.cookies["csrftoken"] = token = "a" * 32
    allowed = client.post(path, {}, content_type="application/json", headers={"X-CSRFToken": token})

    assert (refused.status_code, refused.json()["type"], refused.json()["code"]) == (
        403,
        "permission_error",
        "csrf_failed",
    )
    assert allowed.status_code == 200


def test_a_guest_with_a_secret_needs_no_csrf_token(guest: Visitor, collection: PaymentCollection) -> None:
    response = Client(enforce_csrf_checks=True).post(
        f"/payments/storefront/payment-collections/{collection.pk}/payment-sessions/",
        {"provider_id": "system"},
        content_type="application/json",
        headers=guest.headers,
    )

    assert response.status_code == 201


def test_no_cache_keeps_an_answer(guest: Visitor, collection: PaymentCollection) -> None:
    for path in (f"storefront/payment-collections/{collection.pk}/", "storefront/payment-collections/0/"):
        assert guest.get(path).headers["Cache-Control"] == "no-store"
