"""Every page that only shows, only shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client

from payments.models import (
    AccountHolder,
    IdempotencyRecord,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentProvider,
    PaymentSession,
    WebhookEvent,
)
from tests.admin.conftest import Viewer
from tests.admin.pages import INSPECTED, html, listing, page, text
from tests.api.pairs import daily

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

each_model = pytest.mark.parametrize("model", daily(INSPECTED, step=3), ids=lambda model: model.__name__)


@each_model
def test_view_permission_is_enough_to_see_list_and_page(
    model: type[models.Model], collection: PaymentCollection, viewer: Viewer
) -> None:
    client = viewer(f"view_{model._meta.model_name}")
    row = model._default_manager.first()
    assert row is not None
    assert 'class="addlink"' not in html(client, listing(model))
    shown = html(client, page(row))
    assert 'name="_save"' not in shown
    assert '<input type="text"' not in shown


@each_model
def test_without_view_permission_nothing_is_shown(
    model: type[models.Model], collection: PaymentCollection, viewer: Viewer
) -> None:
    client = viewer()
    row = model._default_manager.first()
    assert row is not None
    assert client.get(listing(model)).status_code == 403
    assert client.get(page(row)).status_code == 403


@each_model
def test_even_a_superuser_can_neither_add_change_nor_delete(
    model: type[models.Model], collection: PaymentCollection, operator: Client
) -> None:
    row = model._default_manager.first()
    assert row is not None
    before = model._default_manager.filter(pk=row.pk).values().get()
    assert operator.get(listing(model) + "add/").status_code == 403
    assert operator.post(listing(model) + "add/", {"amount": "1"}).status_code == 403
    assert operator.post(page(row), {"amount": "1", "status": "completed"}).status_code == 403
    assert operator.post(page(row, action="delete"), {"post": "yes"}).status_code == 403
    operator.post(listing(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model._default_manager.filter(pk=row.pk).values().get() == before


@each_model
def test_lists_offer_no_bulk_action(
    model: type[models.Model], collection: PaymentCollection, operator: Client
) -> None:
    assert "delete_selected" not in html(operator, listing(model))


@each_model
def test_pages_say_explicitly_what_they_show(model: type[models.Model]) -> None:
    model_admin = admin.site.get_model_admin(model)
    assert model_admin.fields
    assert list(model_admin.readonly_fields) == list(model_admin.fields)
    assert model_admin.list_display != ("__str__",)
    assert model_admin.list_filter
    assert model_admin.search_fields
    assert model_admin.list_select_related
    assert model_admin.show_full_result_count is False


def test_stored_answers_to_requests_have_no_pages() -> None:
    assert not admin.site.is_registered(IdempotencyRecord)


def test_a_page_leaves_out_panels_whose_rows_the_user_may_not_view(
    collection: PaymentCollection, viewer: Viewer
) -> None:
    shown = html(viewer("view_paymentcollection"), page(collection))
    assert "100.00 EUR" in text(shown)
    for slug in ("sessions", "payments", "operations", "history"):
        assert f'id="{slug}"' not in shown


def test_links_lead_only_where_the_user_may_go(collection: PaymentCollection, viewer: Viewer) -> None:
    session = collection.sessions.first()
    assert session is not None
    client = viewer("view_paymentcollection", "view_paymentsession")
    shown = html(client, page(collection))
    assert f'href="{page(session)}"' in shown
    assert "/payments/payment/" not in shown
    assert "/auth/user/" not in html(client, listing(PaymentCollection))


def test_history_button_leads_to_the_history_on_the_page(
    collection: PaymentCollection, operator: Client
) -> None:
    response = operator.get(page(collection, action="history"))
    assert response.status_code == 302
    assert response.headers["Location"] == f"{page(collection)}#history"


@pytest.mark.parametrize("model", [WebhookEvent, PaymentEvent, AccountHolder, PaymentProvider])
def test_history_of_a_row_without_one_on_its_page_is_the_log_of_the_admin(
    model: type[models.Model], collection: PaymentCollection, operator: Client, olivia: Any
) -> None:
    row = model._default_manager.first()
    assert row is not None
    request: Any = SimpleNamespace(user=olivia)
    admin.site.get_model_admin(model).log_change(request, row, "Disable a provider: it is disabled.")
    words = text(html(operator, page(row, action="history")))
    assert "olivia" in words
    assert "Disable a provider: it is disabled." in words


def test_history_is_for_who_may_view_it(collection: PaymentCollection, viewer: Viewer) -> None:
    client = viewer("view_paymentcollection")
    assert "Change history" in html(client, page(collection, action="history"))
    assert client.get(page(PaymentProvider.objects.all()[0], action="history")).status_code == 403
    gone = page(PaymentCollection(pk="pay_col_gone"), action="history")
    assert client.get(gone).headers["Location"] == "/admin/"


@pytest.mark.parametrize(
    "query",
    [
        "?provider_data__client_secret__startswith=s",
        "?context__email__contains=a",
        "?session__provider_data__icontains=s",
        "?collection__customer__password__startswith=p",
    ],
)
def test_lists_cannot_be_filtered_by_private_columns(query: str, operator: Client) -> None:
    for model in (PaymentSession, Payment, PaymentEvent):
        assert operator.get(listing(model, query)).status_code == 400
