"""Saving a card at Stripe and paying with it over the storefront's API, while the customer is present."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser

from payments.models import AccountHolder, PaymentSession
from payments.services import create_account_holder, create_payment_collection
from payments.testing.factories import CustomerFactory
from tests.api.client import Answer, Visitor
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "storefront/payment-providers/stripe/saved-payment-methods/"


@pytest.fixture
def customer(shop: FakeStripe, db: None) -> AbstractBaseUser:
    """Return a customer of a shop that takes payments through the fake."""
    return CustomerFactory.create(email="ada@example.com")


def saved(shop: FakeStripe, customer: AbstractBaseUser, **values: Any) -> str:
    """Save a card as the customer's browser does, and return its id."""
    holder = create_account_holder(customer, provider_id="stripe")
    return str(shop.customers.save(holder.provider_reference or "", **values)["id"])


def pay(customer: AbstractBaseUser, method_id: str) -> Answer:
    """Have a logged-in customer pay 100.00 euros with what is saved under an id."""
    collection = create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    visitor = Visitor(user=customer)
    created = visitor.post(
        f"storefront/payment-collections/{collection.pk}/payment-sessions/", {"provider_id": "stripe"}
    )
    assert created.status == 201
    path = f"storefront/payment-sessions/{created.body['id']}/authorize/"
    return visitor.post(path, {"data": {"payment_method": method_id}})


def test_a_customer_saves_a_card_pays_with_it_and_removes_it(
    shop: FakeStripe, customer: AbstractBaseUser
) -> None:
    visitor = Visitor(user=customer)

    started = visitor.post(PATH, {"return_url": "http://testserver/account"})
    assert (started.status, started.body["next_action"]) == (201, {"type": "provider_script", "url": None})
    assert started.body["data"]["client_secret"].startswith("seti_")
    assert visitor.get(PATH).body == {"results": []}
    method_id = saved(shop, customer)
    (shown,) = visitor.get(PATH).body["results"]
    assert (shown["id"], shown["last4"]) == (method_id, "4242")

    paid = pay(customer, method_id)
    assert (paid.status, paid.body["status"]) == (200, "authorized")
    holder = AccountHolder.objects.get()
    assert shop.intent_of(paid.body["id"])["customer"] == holder.provider_reference

    assert visitor.send("DELETE", f"{PATH}{method_id}/").status == 204
    assert visitor.get(PATH).body == {"results": []}
    assert pay(customer, method_id).body["status"] == "error"


def test_a_bank_may_ask_a_customer_who_pays_with_a_saved_card(
    shop: FakeStripe, customer: AbstractBaseUser
) -> None:
    asked = pay(customer, saved(shop, customer, card="pm_card_authenticationRequired"))
    assert (asked.body["status"], asked.body["next_action"]["type"]) == ("requires_more", "provider_script")

    session = PaymentSession.objects.get(pk=asked.body["id"])
    shop.intents.authenticate(session.provider_reference or "")
    finished = Visitor(user=customer).post(f"storefront/payment-sessions/{session.pk}/authorize/")
    assert (finished.status, finished.body["status"]) == (200, "authorized")


def test_nobody_pays_with_what_another_customer_has_saved(
    shop: FakeStripe, customer: AbstractBaseUser
) -> None:
    anothers = saved(shop, customer)
    mallory = CustomerFactory.create(email="mallory@example.com")
    newcomer = CustomerFactory.create()
    saved(shop, mallory)

    for thief in (mallory, newcomer):
        refused = pay(thief, anothers)
        assert (refused.status, refused.body["status"]) == (200, "error")
        assert Visitor(user=thief).send("DELETE", f"{PATH}{anothers}/").status == 404
    assert "charge" not in {row["object"] for row in shop.books.objects.values()}
    assert [row["id"] for row in Visitor(user=customer).get(PATH).body["results"]] == [anothers]
