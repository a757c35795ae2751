"""A due installment whose bank wants the customer: charged by itself, and finished by them in the storefront."""

from __future__ import annotations

import pytest

from payments.models import PaymentSession
from payments.providers import PaymentContext
from payments.services import (
    charge_due_installments,
    create_account_holder,
    create_installment_plan,
    create_payment_collection,
)
from payments.testing.factories import CustomerFactory
from tests.api.client import Visitor
from tests.stripe.fake import FakeStripe

pytestmark = pytest.mark.django_db(transaction=True)

BACK = "https://shop.example/account/installments"


@pytest.mark.parametrize("return_url", [BACK, pytest.param(None, marks=pytest.mark.database_independent)])
def test_a_customer_who_comes_back_finishes_what_was_charged_meanwhile(
    shop: FakeStripe, return_url: str | None
) -> None:
    customer = CustomerFactory.create(email="ada@example.com")
    holder = create_account_holder(customer, provider_id="stripe")
    shop.customers.save(holder.provider_reference or "", card="pm_card_authenticationRequired")
    collection = create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    due, _later = create_installment_plan(
        collection,
        provider_id="stripe",
        count=2,
        interval="month",
        is_automatic=True,
        context=PaymentContext(return_url=return_url),
    )
    visitor, path = Visitor(user=customer), f"storefront/payment-sessions/{due.pk}/"

    assert charge_due_installments() == 1
    asked = visitor.get(path).body
    assert (asked["status"], asked["next_action"]) == ("requires_more", {"type": "challenge", "url": None})

    present = visitor.post(f"{path}authorize/").body
    assert present["status"] == "requires_more"
    if return_url is None:
        assert present["next_action"] == {"type": "provider_script", "url": None}
    else:
        assert present["next_action"]["type"] == "redirect"
        assert present["next_action"]["url"].startswith("https://hooks.stripe.com/")
    shop.intents.authenticate(PaymentSession.objects.get(pk=due.pk).provider_reference or "")
    finished = visitor.post(f"{path}authorize/").body

    assert (finished["status"], finished["authorized_amount"]) == ("authorized", "50.00")
    assert [row["amount"] for row in shop.books.all("charge")] == [5000]
