"""One promise over both of the staff's faces: what providers keep private is for those who hold its permission."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import NoReverseMatch, reverse

from payments import services
from payments.models import AccountHolder, Payment, PaymentOperation, PaymentSession, WebhookEvent
from payments.testing import scripted_provider
from tests.api.routes import STAFF, filled, keys_of
from tests.shop.models import Order

pytestmark = pytest.mark.database_independent

PLANTED: Final = {
    (PaymentSession, "provider_data"): "PRIVATE-of-the-session",
    (PaymentSession, "context"): "PRIVATE-of-the-context",
    (Payment, "provider_data"): "PRIVATE-of-the-payment",
    (AccountHolder, "provider_data"): "PRIVATE-of-the-holder",
    (PaymentOperation, "input"): "PRIVATE-of-the-input",
    (PaymentOperation, "provider_log"): "PRIVATE-of-the-provider_log",
    (WebhookEvent, "fact"): "PRIVATE-of-the-fact",
}
"""Every column that only some may see, and what stands in it."""

IN_NO_API: Final = {"PRIVATE-of-the-holder"}


@pytest.fixture(scope="module")
def lasting(module_db: Any) -> dict[str, str]:
    """Return the keys of rows in each of which something private stands, for every test of this module."""
    with module_db.unblock(), scripted_provider():
        customer = get_user_model().objects.create_user("paula")
        order = Order.objects.create(number="A-1", total="100.00", currency_code="eur")
        collection = services.create_payment_collection(
            amount="100.00", currency_code="eur", payable=order, customer=customer
        )
        session = services.create_payment_session(collection, provider_id="scripted")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        services.capture_payment(payment, amount="60.00")
        services.refund_payment(payment, amount="10.00")
        keys = keys_of(payment)
        for (model, column), private in PLANTED.items():
            model._default_manager.update(**{column: {"kept": private}})
        return keys


@pytest.fixture(autouse=True)
def _provider() -> Iterator[None]:
    with scripted_provider():
        yield


def employed(*, sees_private: bool) -> Client:
    """Return the client of an operator who may do everything, or everything but see what is private."""
    user = get_user_model().objects.create_user("operator", is_staff=True)
    allowed = Permission.objects.filter(content_type__app_label="payments")
    user.user_permissions.set(allowed if sees_private else allowed.exclude(codename="view_provider_data"))
    client = Client()
    client.force_login(user)
    return client


def admin_addresses() -> Iterator[str]:
    """Yield the address of every page that the admin has of the rows there are."""
    yield reverse("admin:app_list", args=["payments"])
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != "payments":
            continue
        keys = [quote(str(row.pk)) for row in model._default_manager.order_by("pk")]
        for pattern in model_admin.get_urls():
            if str(pattern.name).endswith(("_add", "_delete", "_history")):
                continue
            for arguments in ([], *([key] for key in keys[-1:])):
                try:
                    yield reverse(f"admin:{pattern.name}", args=arguments)
                except NoReverseMatch:
                    continue


def api_addresses(keys: dict[str, str]) -> Iterator[str]:
    """Yield every address of the staff's API that can be read."""
    return (f"/payments/{filled(route.path, keys)}" for route in STAFF if route.method == "GET")


def shown(client: Client, addresses: Iterator[str], **headers: str) -> dict[str, set[str]]:
    """Return by address what of the private texts is shown there."""
    found = {}
    for address in addresses:
        response = client.get(address, headers=headers)
        body = b"".join(response) if response.streaming else response.content
        assert response.status_code in (200, 302, 403, 404, 405), (address, response.status_code)
        found[address] = {private for private in PLANTED.values() if private.encode() in body}
    return found


@pytest.mark.thorough
@pytest.mark.django_db
@pytest.mark.shows(
    "An operator without `view_provider_data` opens every page of the admin and every address of the staff API",
    "Nothing that a provider keeps, was told of the payer, was sent by them, or has answered is on any of them",
)
def test_what_is_private_is_nowhere_without_the_permission(lasting: dict[str, str]) -> None:
    client = employed(sees_private=False)
    found = shown(client, admin_addresses()) | shown(client, api_addresses(lasting))
    assert len(found) > 40
    assert not {address: texts for address, texts in found.items() if texts}
    browsed = shown(client, api_addresses(lasting), Accept="text/html")
    assert not {address: texts for address, texts in browsed.items() if texts}


@pytest.mark.thorough
@pytest.mark.django_db
def test_what_is_private_is_on_both_faces_with_the_permission(lasting: dict[str, str]) -> None:
    client = employed(sees_private=True)
    in_admin = set().union(*shown(client, admin_addresses()).values())
    in_api = set().union(*shown(client, api_addresses(lasting)).values())
    assert in_admin == set(PLANTED.values())
    assert in_api == set(PLANTED.values()) - IN_NO_API


@pytest.mark.django_db
def test_what_an_action_answers_keeps_it_too(lasting: dict[str, str]) -> None:
    client = employed(sees_private=False)
    for route in STAFF:
        if route.method in ("POST", "PATCH") and "{" in route.path:
            address, body = f"/payments/{filled(route.path, lasting)}", filled(route.body, lasting)
            response = client.generic(route.method, address, "{}" if body is None else json.dumps(body))
            assert b"PRIVATE" not in response.content, route
