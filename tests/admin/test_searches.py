"""A search finds what the lists show: customers by name, what is paid by its number, ids in any case."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.test import Client
from django.test.utils import isolate_apps

from payments.admin import changelist as admin_searches
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentSession,
)
from payments.services import capture_payment
from payments.services import search as service_searches
from tests.admin.conftest import Viewer
from tests.admin.pages import listed, listing
from tests.admin.scenes import make_authorized, make_collection, make_customer
from tests.shop.models import Order

pytestmark = pytest.mark.django_db


def find(client: Client, text: str, model: type[models.Model] = PaymentCollection) -> list[Any]:
    """Return the keys of the rows that a list finds."""
    return listed(client, listing(model, "?" + urlencode({"q": text})))


def find_paid(client: Client, text: str) -> list[Any]:
    """Return the keys of the collections that are found on the site that has the shop's orders."""
    return listed(client, listing(PaymentCollection, "?" + urlencode({"q": text}), site="ops"))


def call(username: str, first_name: str, last_name: str) -> Any:
    """Return a customer with a name."""
    customer = make_customer(username)
    names = {"first_name": first_name, "last_name": last_name}
    get_user_model().objects.filter(pk=customer.pk).update(**names)
    return customer


@pytest.mark.parametrize(
    "text", ["haddad", "Haddad", "NOOR", "Noor Haddad", "noor  had", "Noor de la Haddad", "oor"]
)
def test_customer_is_found_by_name(text: str, operator: Client) -> None:
    last_name = "de la Haddad" if "de la" in text else "Haddad"
    wanted = make_collection(customer=call("u1", "Noor", last_name))
    make_collection(customer=call("u2", "Mia", "Lindqvist"))
    make_authorized(wanted)
    assert find(operator, text) == [wanted.pk]
    for model in (PaymentSession, Payment):
        assert len(find(operator, text, model)) == 1


def test_two_words_are_one_customer_and_in_the_order_of_a_name(operator: Client) -> None:
    make_collection(customer=call("u1", "Noor", "Lindqvist"))
    make_collection(customer=call("u2", "Mia", "Haddad"))
    assert find(operator, "Noor Haddad") == []
    wanted = make_collection(customer=call("u3", "Anna Maria", "Berg"))
    assert find(operator, "Anna Maria Berg") == [wanted.pk]


@isolate_apps("tests.shop")
def test_users_without_names_are_found_by_what_they_have(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nameless(AbstractBaseUser):
        username = models.CharField(max_length=150, unique=True)
        USERNAME_FIELD = "username"

        class Meta:
            app_label = "shop"
            managed = False
            db_table = get_user_model()._meta.db_table

    wanted = make_collection(customer=call("noor.h", "Mia", "Lindqvist"))
    monkeypatch.setattr(service_searches, "get_user_model", lambda: Nameless)
    assert find(operator, "noor") == [wanted.pk]
    assert find(operator, "Mia Lindqvist") == []


def test_id_is_found_in_any_case(operator: Client) -> None:
    collection = make_collection()
    payment = make_authorized(collection)
    capture_payment(payment)
    for text in (payment.pk.lower(), payment.pk.upper(), payment.pk[:-3].lower(), collection.pk.lower()):
        assert find(operator, text) == [collection.pk], text
        assert find(operator, text, Payment) == [payment.pk], text
        assert find(operator, text, Capture) == [payment.captures.get().pk], text
    assert find(operator, collection.pk.lower(), PaymentEvent)


def test_id_that_a_shop_chose_itself_is_found_as_it_is(operator: Client) -> None:
    payment = make_authorized(make_collection())
    Payment.objects.filter(pk=payment.pk).update(provider_reference="pay_abc")
    collection = PaymentCollection.objects.create(pk="pay_col_abc", amount="1.00", currency_code="eur")
    assert find(operator, "pay_col_abc") == [collection.pk]
    assert find(operator, "pay_abc") == [payment.collection_id]


def test_what_is_paid_is_found_as_on_its_own_list(operator: Client) -> None:
    wanted = make_collection(number="SG-1036")
    make_collection(number="SG-2000")
    Order.objects.filter(number="SG-1036").update(email="guest@example.com")
    for text in ("SG-1036", "sg-1036", "guest@example"):
        assert find_paid(operator, text) == [wanted.pk]
    assert len(find_paid(operator, "SG-")) == 2
    assert find_paid(operator, "SG-3") == []


def test_what_is_paid_is_found_only_on_a_site_that_has_it(operator: Client) -> None:
    make_collection(number="SG-1036")
    assert find(operator, "SG-1036") == []


def test_search_says_nothing_of_rows_that_the_user_may_not_view(viewer: Viewer) -> None:
    wanted = make_collection(number="SG-1036")
    assert find_paid(viewer("view_paymentcollection"), "SG-1036") == []
    assert find_paid(viewer("view_paymentcollection", "view_order"), "SG-1036") == [wanted.pk]


def test_number_of_payables_that_are_looked_up_is_limited_to_the_newest(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_searches, "LIMIT", 2)
    collections = [make_collection(number=f"SG-{number}") for number in range(3)]
    assert set(find_paid(operator, "SG-")) == {each.pk for each in collections[1:]}


def test_customers_are_found_by_those_who_may_view_users(viewer: Viewer) -> None:
    make_collection(customer=call("u1", "Noor", "Haddad"))
    for text in ("Noor", "Noor Haddad", "u1", "@"):
        assert find(viewer("view_paymentcollection"), text) == []
        assert len(find(viewer("view_paymentcollection", "view_user"), text)) == 1


def test_rows_are_found_by_other_rows_that_the_operator_may_view(viewer: Viewer) -> None:
    payment = make_authorized(make_collection())
    capture_payment(payment)
    capture, session = payment.captures.get(), payment.session
    operation = session.operations.get(kind="authorize")
    few = viewer("view_paymentcollection")
    for text in (payment.pk, capture.pk, session.pk, operation.pk, session.provider_reference):
        assert find(few, text) == [], text
    assert find(few, payment.collection_id) == [payment.collection_id]
    assert find(viewer("view_paymentcollection", "view_payment"), payment.pk) == [payment.collection_id]
    assert find(viewer("view_paymentcollection", "view_capture"), capture.pk) == []
    both = viewer("view_paymentcollection", "view_payment", "view_capture")
    assert find(both, capture.pk) == [payment.collection_id]
    # What a row refers to, it says itself.
    assert find(viewer("view_payment"), payment.collection_id, Payment) == [payment.pk]
