"""What no browser sends is refused; it never fails in the database."""

from __future__ import annotations

import pytest
from django.db import models
from django.test import Client

from payments.models import Payment, PaymentCollection, PaymentProvider, PaymentSession, RefundReason
from tests.admin.pages import INSPECTED, listing, text
from tests.admin.scenes import make_authorized, make_collection
from tests.admin.test_bulk_actions import bulk_url, run

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


@pytest.mark.parametrize("name", ["provider", "currency", "payable_id", "customer", "q", "status__exact"])
def test_nul_in_a_filter_is_refused(name: str, operator: Client) -> None:
    assert operator.get(listing(PaymentCollection, f"?{name}=%00")).status_code == 400


@pytest.mark.parametrize(
    "model", [*INSPECTED, PaymentProvider, RefundReason], ids=lambda model: model.__name__
)
def test_nul_in_the_address_of_a_page_is_refused(model: type[models.Model], operator: Client) -> None:
    for page in ("change", "history", "delete", "actions/capture"):
        assert operator.get(f"{listing(model)}a%00/{page}/").status_code == 400


def test_nul_in_what_a_form_sends_is_refused(operator: Client) -> None:
    payment = make_authorized(make_collection())
    for sent in ("x\0:y", f"{payment.pk}:\0"):
        assert operator.post(bulk_url(Payment, "capture"), {"row": [sent]}).status_code == 400
    chosen = {"action": "capture", "_selected_action": ["x\0"]}
    assert operator.post(listing(Payment), chosen).status_code == 400


def test_version_longer_than_any_is_no_version(operator: Client) -> None:
    payment = make_authorized(make_collection())
    words = text(run(operator, Payment, "capture", [f"{payment.pk}:{'x' * 3000}"]))
    assert "It has changed since you chose it, so nothing was done." in words
    payment.refresh_from_db()
    assert payment.captured_amount == 0


@pytest.mark.parametrize("model", [PaymentCollection, PaymentSession, Payment])
@pytest.mark.parametrize("number", ["9" * 23, "-" + "9" * 23, str(2**63)])
def test_number_that_no_row_can_have_finds_nothing_or_is_refused(
    number: str, model: type[models.Model], operator: Client
) -> None:
    make_collection()
    path = "customer" if model is PaymentCollection else "collection__customer"
    response = operator.get(listing(model, f"?{path}={number}"))
    assert response.status_code in (200, 302, 400), response.status_code
    if response.status_code == 200:
        assert not response.context["cl"].result_list
