"""Saving a card at Stripe and paying with it over the storefront's API, while the customer is present."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser

from payments.api.storefront.access import client_secret
from payments.models import AccountHolder, PaymentSession
from payments.services import (
    charge_due_installments,
    create_account_holder,
    create_installment_plan,
    create_payment_collection,
    create_payment_session,
)
from payments.states import Outcome
from payments.testing.factories import CustomerFactory
from tests.api.client import Answer, Visitor
from tests.stripe.conftest import driver_for
from tests.stripe.fake import FakeStripe
from tests.stripe.fake.cards import TOKENS

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


@pytest.mark.database_independent
def test_a_bank_may_ask_a_customer_who_pays_with_a_saved_card(
    shop: FakeStripe, customer: AbstractBaseUser
) -> None:
    asked = pay(customer, saved(shop, customer, card="pm_card_authenticationRequired"))
    assert (asked.body["status"], asked.body["next_action"]["type"]) == ("requires_more", "provider_script")

    session = PaymentSession.objects.get(pk=asked.body["id"])
    shop.intents.authenticate(session.provider_reference or "")
    finished = Visitor(user=customer).post(f"storefront/payment-sessions/{session.pk}/authorize/")
    assert (finished.status, finished.body["status"]) == (200, "authorized")


@pytest.mark.database_independent
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


def owed(customer: AbstractBaseUser, *, method_id: str | None = None) -> tuple[PaymentSession, Visitor]:
    """Return a session of 100.00 euros that a customer has begun, and who holds its collection's secret."""
    collection = create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    data = None if method_id is None else {"payment_method": method_id}
    session = create_payment_session(collection, provider_id="stripe", data=data)
    return session, Visitor(secret=client_secret(collection.pk))


def tried(way: str, customer: AbstractBaseUser, method_id: str) -> Answer:
    """Have the holder of a client secret try in one way to pay with what has an id; return the last answer."""
    session, guest = owed(customer)
    data = {"payment_method": method_id}
    if way == "token":
        data = {"confirmation_token": "ctoken_chosen"}
    if way == "create":
        path = f"storefront/payment-collections/{session.collection_id}/payment-sessions/"
        return guest.post(path, {"provider_id": "stripe", "data": data})
    path = f"storefront/payment-sessions/{session.pk}/"
    return (
        guest.patch(path, {"data": data})
        if way == "update"
        else guest.post(f"{path}authorize/", {"data": data})
    )


@pytest.mark.database_independent
@pytest.mark.parametrize("way", ["authorize", "token", "create", "update"])
def test_a_client_secret_and_a_known_id_pay_with_no_saved_method(
    shop: FakeStripe, customer: AbstractBaseUser, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method_id = saved(shop, customer)
    monkeypatch.setitem(TOKENS, "ctoken_chosen", method_id)
    refused = tried(way, customer, method_id)
    monkeypatch.setitem(TOKENS, "ctoken_chosen", "pm_missing")
    missing = tried(way, customer, "pm_missing")

    assert refused.status == missing.status
    assert refused.body.get("error") == missing.body.get("error")
    assert refused.body.get("code") == missing.body.get("code")
    assert refused.body.get("status", "error") == "error"
    for session in PaymentSession.objects.exclude(provider_reference=None):
        assert shop.intent_of(session.pk)["payment_method"] is None
    assert "charge" not in {row["object"] for row in shop.books.objects.values()}


@pytest.mark.database_independent
def test_what_the_customer_has_chosen_is_not_authorized_by_who_holds_the_secret(
    shop: FakeStripe, customer: AbstractBaseUser
) -> None:
    session, guest = owed(customer, method_id=saved(shop, customer))
    path = f"storefront/payment-sessions/{session.pk}/authorize/"

    refused = guest.post(path)
    assert (refused.status, refused.body["status"]) == (200, "error")
    assert refused.body["error"]["code"] == "payment_method_required"
    assert "charge" not in {row["object"] for row in shop.books.objects.values()}

    assert Visitor(user=customer).post(path).body["status"] == "authorized"


@pytest.mark.shows(
    "A saved card was charged while its customer was away, the bank wants them, and somebody else authorizes",
    "Nothing is asked of the bank and nothing is held: only the customer can go on with what they have saved",
)
@pytest.mark.database_independent
@pytest.mark.parametrize("lets_pass", [False, True])
def test_what_waits_for_its_customer_is_not_authorized_by_who_holds_the_secret(
    shop: FakeStripe, customer: AbstractBaseUser, lets_pass: bool
) -> None:
    method_id = saved(shop, customer, card="pm_card_authenticationRequired")
    collection = create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    due, _later = create_installment_plan(
        collection, provider_id="stripe", count=2, interval="month", is_automatic=True
    )
    charge_due_installments()
    if lets_pass:  # The bank wouldn't ask again, since the payer is there.
        shop.books.objects[method_id]["fake_card"] = "pm_card_visa"
    path = f"storefront/payment-sessions/{due.pk}/authorize/"

    for user in (None, CustomerFactory.create()):
        answer = Visitor(user=user, secret=client_secret(collection.pk)).post(path)
        assert (answer.status, answer.body["status"]) == (200, "requires_more")
        assert answer.body["next_action"]["type"] == "challenge"
        assert answer.body["data"] == {}  # the intent's secret is for the customer alone
    assert "charge" not in {row["object"] for row in shop.books.objects.values()}

    goes_on = Visitor(user=customer).post(path).body
    assert goes_on["data"]["client_secret"]
    assert goes_on["status"] == ("authorized" if lets_pass else "requires_more")
    assert (goes_on["next_action"] is None) == lets_pass


@pytest.mark.database_independent
@pytest.mark.parametrize("data", [{"payment_method": "pm_card_visa"}, {"confirmation_token": "ctoken_visa"}])
def test_who_holds_the_secret_pays_with_a_card_of_their_own(
    shop: FakeStripe, customer: AbstractBaseUser, data: dict[str, str]
) -> None:
    saved(shop, customer)
    session, guest = owed(customer)

    paid = guest.post(f"storefront/payment-sessions/{session.pk}/authorize/", {"data": data})

    assert (paid.status, paid.body["status"]) == (200, "authorized")


@pytest.mark.database_independent
def test_a_first_try_that_has_saved_the_card_is_no_refusal_of_the_second(fake: FakeStripe) -> None:
    driver = driver_for(fake)
    assert driver.authorize(refuses_saved=True).outcome == Outcome.SUCCEEDED
    account = fake.customers.create({})["id"]
    fake.books.objects["pm_of_them"] = fake.customers.save(account) | {
        "id": "pm_of_them",
        "fake_card": "pm_card_visa",
    }

    again = driver.authorize(input={"payment_method": "pm_of_them"}, refuses_saved=True)

    assert (again.outcome, again.amount) == (Outcome.SUCCEEDED, Decimal(100))
