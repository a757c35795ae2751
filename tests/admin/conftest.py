"""Providers, people and clients of the admin's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client, override_settings

from payments.models import PaymentCollection
from tests.admin.answers import CARD
from tests.admin.browsing import Chromium, running_chromium
from tests.admin.scenes import make_account_holder, make_eventful, make_webhook

Viewer = Callable[..., Client]


PROVIDERS = {
    "system": {"BACKEND": "payments.providers.system.SystemProvider"},
    "card": CARD,
}


@pytest.fixture(autouse=True)
def configured(settings: Any) -> None:
    """Configure a scripted provider besides `system`, and two admin sites."""
    settings.ROOT_URLCONF = "tests.admin.urls"
    settings.PAYMENTS = {"PROVIDERS": PROVIDERS, "ALLOW_PRETEND_MONEY": True}


@pytest.fixture(scope="module")
def _browser() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def chromium(_browser: Chromium) -> Iterator[Chromium]:
    """Return a browser, which a module's tests share; whatever windows a test has opened are closed after it."""
    yield _browser
    _browser.close_all()


@pytest.fixture(scope="module")
def lasting(module_db: Any) -> PaymentCollection:
    """Return a collection to which much has happened, olivia's doing; it is there for every test of the module."""
    with (
        module_db.unblock(),
        override_settings(PAYMENTS={"PROVIDERS": PROVIDERS, "ALLOW_PRETEND_MONEY": True}),
    ):
        collection = make_eventful(actor=make_olivia())
        make_webhook(collection)
        make_account_holder(collection.customer)
        return collection


@pytest.fixture
def collection(lasting: PaymentCollection, db: None) -> PaymentCollection:
    """Return the shared collection, as it is in the database."""
    return PaymentCollection.objects.get(pk=lasting.pk)


def make_olivia() -> Any:
    return get_user_model().objects.create_superuser("olivia", "olivia@shop.example", "password")


@pytest.fixture
def olivia(db: None) -> Any:
    """Return a superuser."""
    return get_user_model().objects.filter(username="olivia").first() or make_olivia()


@pytest.fixture
def operator(olivia: Any) -> Client:
    """Return a superuser's client."""
    client = Client()
    client.force_login(olivia)
    return client


@pytest.fixture
def viewer(db: None) -> Viewer:
    """Return a function that returns the client of a staff member with these permissions and no other."""

    def build(*codenames: str) -> Client:
        users = get_user_model().objects
        user = users.create_user(f"viewer{users.count()}", is_staff=True)
        permissions = Permission.objects.filter(codename__in=codenames)
        assert {permission.codename for permission in permissions} == set(codenames)
        user.user_permissions.set(permissions)
        client = Client()
        client.force_login(user)
        return client

    return build
