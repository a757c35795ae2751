"""What the tests of the API share: a scripted provider, a shop with orders, and visitors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connections

from payments import services
from payments.api.storefront.access import client_secret
from payments.models import Payment, PaymentCollection
from payments.testing import Script
from tests.api.client import Visitor
from tests.reliability.books import KEPT
from tests.shop.models import Order

MakeOrder = Callable[..., Order]
MakeStaff = Callable[..., Visitor]


@pytest.fixture(autouse=True)
def _atomic_requests(script: Script, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrap each request in a transaction where the settings ask for it, as tests/api/hostile_settings.py does.

    The script comes first, so that what a test has set is taken back before the script's own provider is.
    """
    if getattr(settings, "ATOMIC_REQUESTS", False):
        monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.fixture
def shopper(db: None) -> Any:
    """Return a user who buys things."""
    return get_user_model().objects.create_user("sam", email="sam@shopper.example")


@pytest.fixture
def make_order(db: None) -> MakeOrder:
    """Return a function that puts an order in the shop."""

    def make(number: str = "A-1", **values: Any) -> Order:
        return Order.objects.create(number=number, **({"total": "100.00", "currency_code": "eur"} | values))

    return make


@pytest.fixture
def make_staff(db: None) -> MakeStaff:
    """Return a function that employs an operator with these permissions, and gives the visitor."""

    def make(*codenames: str) -> Visitor:
        users = get_user_model().objects
        user = users.create_user(f"operator{users.count()}", is_staff=True)
        permissions = Permission.objects.filter(content_type__app_label="payments", codename__in=codenames)
        assert {permission.codename for permission in permissions} == set(codenames)
        user.user_permissions.set(permissions)
        return Visitor(user=user)

    return make


@pytest.fixture
def boss(db: None) -> Visitor:
    """Return an operator who may do everything."""
    return Visitor(user=get_user_model().objects.create_superuser("boss"))


@pytest.fixture
def guest(make_order: MakeOrder) -> Visitor:
    """Return a guest who has opened the collection of the order A-1 over 100.00 euros and holds its secret."""
    order = make_order()
    opened, _is_new = services.open_payment_collection(
        services.ResolvedPayable(
            payable=order, amount=order.total, currency_code=order.currency_code, description="Order A-1"
        ),
        source="storefront",
        by_payer=True,
    )
    return Visitor(secret=client_secret(opened.pk))


@pytest.fixture
def collection(guest: Visitor) -> PaymentCollection:
    """Return the guest's collection."""
    return PaymentCollection.objects.get()


@pytest.fixture
def payment(collection: PaymentCollection) -> Payment:
    """Return a payment of 100.00 euros on the guest's collection, of which nothing is captured."""
    session = services.create_payment_session(collection, provider_id="scripted")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return payment


@pytest.fixture
def owner(payment: Payment, shopper: Any) -> Visitor:
    """Return the superuser whose collection the payment's is, so that every route is theirs."""
    shopper.is_staff = shopper.is_superuser = True
    shopper.save()
    payment.collection.customer = shopper
    payment.collection.save_fields("customer")
    Order.objects.update(customer=shopper)
    services.list_providers()  # whoever asks first has the missing rows made
    return Visitor(user=shopper)


@pytest.fixture
def row_counts() -> Callable[[], list[int]]:
    """Return a function that counts the rows that may stand for money."""
    return lambda: [model._default_manager.count() for model in KEPT]
