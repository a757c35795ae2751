"""A row of the shop leads to the collections that pay for it, and a payment to the provider's dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.utils.html import escape

from payments.admin import PayableAdminMixin
from payments.providers import get_provider
from payments.providers.stripe import StripeProvider
from payments.providers.stripe.options import StripeOptions
from payments.services import capture_payment, refund_payment
from payments.states import MovementKind
from tests.admin.pages import html, page
from tests.admin.scenes import make_authorized, make_collection
from tests.shop.models import Order


class OrderAdmin(PayableAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("number", "payment_collections")
    fields = ("number", "payment_collections")
    readonly_fields = fields


@pytest.fixture
def orders() -> OrderAdmin:
    return OrderAdmin(Order, admin.site)


def _request(user: Any) -> Any:
    request = RequestFactory().get("/")
    request.user = user
    return request


@pytest.mark.django_db
def test_row_shows_its_collections_linked(orders: OrderAdmin, olivia: Any) -> None:
    collection = make_collection("12.00")
    other = make_collection("99.00")
    row = orders.get_object(_request(olivia), str(collection.payable_id))
    shown = orders.payment_collections(row)
    assert shown is not None
    assert escape(page(collection)) in shown
    assert "12.00 EUR" in shown
    assert "Not paid" in shown
    assert page(other) not in shown


@pytest.mark.django_db
def test_list_costs_one_query_more(
    orders: OrderAdmin, olivia: Any, django_assert_num_queries: Callable[[int], Any]
) -> None:
    collections = [make_collection("12.00") for _number in range(5)]
    request = _request(olivia)
    plain = admin.ModelAdmin(Order, admin.site).get_changelist_instance(request)
    list(plain.result_list)
    with django_assert_num_queries(4):  # two counts, the rows, their collections
        changelist = orders.get_changelist_instance(request)
        shown = [orders.payment_collections(row) for row in changelist.result_list]
    assert len(shown) == len(collections)
    assert all(shown)


@pytest.mark.django_db
def test_who_may_not_view_collections_sees_none(orders: OrderAdmin, django_user_model: Any) -> None:
    collection = make_collection("12.00")
    user = django_user_model.objects.create_user("vic", is_staff=True)
    row = orders.get_object(_request(user), str(collection.payable_id))
    assert orders.payment_collections(row) is None


@pytest.mark.django_db
@pytest.mark.database_independent
def test_reference_leads_to_the_providers_dashboard(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = make_authorized(make_collection("12.00"))
    provider = type(get_provider(payment.provider_id))
    monkeypatch.setattr(
        provider, "dashboard_url", lambda _self, reference: f"https://psp.example/{reference}"
    )
    url = f'href="https://psp.example/{payment.provider_reference}"'
    assert payment.provider_reference
    assert url in html(operator, page(payment))
    assert url in html(operator, page(payment.collection))
    monkeypatch.setattr(provider, "dashboard_url", lambda _self, reference: f"javascript:{reference}")
    assert "javascript:" not in html(operator, page(payment))


@pytest.mark.django_db
@pytest.mark.database_independent
def test_a_movement_s_reference_leads_to_the_providers_dashboard(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = capture_payment(make_authorized(make_collection("12.00")))
    refund_payment(payment, amount="2.00")
    provider = type(get_provider(payment.provider_id))
    rows = {row._meta.model_name: row for row in (payment.captures.get(), payment.refunds.get())}
    for kind, row in rows.items():
        row.provider_reference = f"{kind}_1"
        row.save_fields("provider_reference")

    def url_of(_self: object, kind: MovementKind, reference: str) -> str:
        return f"https://psp.example/{kind}/{reference}"

    assert "psp.example" not in html(operator, page(payment))
    monkeypatch.setattr(provider, "movement_url", url_of)
    for kind, row in rows.items():
        url = f'href="https://psp.example/{kind}/{kind}_1"'
        assert url in html(operator, page(row))
        assert url in html(operator, page(payment))
        assert url in html(operator, page(payment.collection))


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("sk_test_1", "https://dashboard.stripe.com/test/payments/pi_1"),
        ("rk_live_1", "https://dashboard.stripe.com/payments/pi_1"),
    ],
)
def test_stripe_names_its_dashboard(key: str, url: str) -> None:
    options = StripeOptions(api_key=key, webhook_secrets=["whsec_1"])
    assert StripeProvider(alias="stripe", options=options).dashboard_url("pi_1") == url


def test_stripe_names_its_page_of_a_capture_s_intent_and_none_of_a_refund() -> None:
    options = StripeOptions(api_key="sk_test_1", webhook_secrets=["whsec_1"])
    provider = StripeProvider(alias="stripe", options=options)
    url = "https://dashboard.stripe.com/test/payments/pi_1"
    assert provider.movement_url(MovementKind.CAPTURE, "pi_1/payop_1") == url
    assert provider.movement_url(MovementKind.CAPTURE, "pi_1") == url
    assert provider.movement_url(MovementKind.CAPTURE, "on paper") == ""
    assert provider.movement_url(MovementKind.REFUND, "re_1") == ""
