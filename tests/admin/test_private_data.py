"""What providers keep private is shown to those who may see it, and nowhere else."""

from __future__ import annotations

import pytest
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.models import (
    AccountHolder,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    WebhookEvent,
)
from tests.admin.conftest import Viewer
from tests.admin.pages import INSPECTED, html, listing, page, panel

pytestmark = pytest.mark.django_db

WITHHELD = "You lack the permission to see private provider data."
SECRETS = ("sk_private", "client_secret", "customer_secret", "987654", "customer_id", "fact_secret")

PRIVATE_PANELS = [
    (PaymentSession, "provider-data", "sk_private_456"),
    (PaymentSession, "context", "anna@shop.example"),
    (Payment, "provider-data", "sk_private_456"),
    (AccountHolder, "provider-data", "sk_private_holder"),
    (PaymentOperation, "input", "987654"),
    (WebhookEvent, "fact", "fact_secret"),
]


@pytest.fixture
def collection(lasting: PaymentCollection, db: None) -> PaymentCollection:
    WebhookEvent.objects.update(fact={"fact_secret": 1})
    return PaymentCollection.objects.get(pk=lasting.pk)


def _row(model: type[models.Model]) -> models.Model:
    rows = model._default_manager.all()
    if model is PaymentOperation:
        rows = rows.exclude(input={})
    row = rows.order_by("pk").first()
    assert row is not None
    return row


@pytest.mark.parametrize(("model", "slug", "secret"), PRIVATE_PANELS)
@pytest.mark.database_independent
def test_private_data_is_shown_with_the_permission(
    model: type[models.Model], slug: str, secret: str, collection: PaymentCollection, viewer: Viewer
) -> None:
    client = viewer(f"view_{model._meta.model_name}", "view_provider_data")
    shown = panel(html(client, page(_row(model))), slug)
    assert secret in shown
    assert WITHHELD not in shown


@pytest.mark.parametrize(("model", "slug", "secret"), PRIVATE_PANELS)
@pytest.mark.database_independent
def test_a_sentence_stands_in_without_the_permission(
    model: type[models.Model], slug: str, secret: str, collection: PaymentCollection, viewer: Viewer
) -> None:
    shown = html(viewer(f"view_{model._meta.model_name}"), page(_row(model)))
    assert WITHHELD in panel(shown, slug)
    assert secret not in panel(shown, slug)


@pytest.mark.database_independent
def test_no_page_leaks_private_data_or_its_keys_without_the_permission(
    collection: PaymentCollection, viewer: Viewer
) -> None:
    client = viewer(*(f"view_{model._meta.model_name}" for model in INSPECTED))
    for model in INSPECTED:
        rows = list(model._default_manager.all())
        assert rows
        for url in [listing(model), *(page(row) for row in rows)]:
            shown = html(client, url)
            found = [secret for secret in SECRETS if secret in shown]
            assert not found, (url, found)


@pytest.mark.database_independent
def test_private_columns_are_not_even_read_without_the_permission(
    collection: PaymentCollection, viewer: Viewer
) -> None:
    client = viewer(*(f"view_{model._meta.model_name}" for model in INSPECTED))
    urls = [url for model in INSPECTED for url in (listing(model), page(_row(model)))]
    with CaptureQueriesContext(connection) as queries:
        for url in urls:
            html(client, url)
    read = [query["sql"] for query in queries if "provider_data" in query["sql"]]
    assert all("auth_permission" in sql for sql in read), read


@pytest.mark.parametrize("secret", ["sk_private_456", "client_secret", "987654"])
def test_searching_does_not_look_into_private_data(
    secret: str, collection: PaymentCollection, operator: Client
) -> None:
    for model in INSPECTED:
        response = operator.get(listing(model), {"q": secret})
        assert list(response.context["cl"].result_list) == []


def test_session_page_says_what_the_storefront_sees(collection: PaymentCollection, operator: Client) -> None:
    session = collection.sessions.get(provider="card")
    shown = panel(html(operator, page(session)), "data")
    assert "This is what the storefront sees" in shown
    assert '"client_token": "tok_public_123"' in shown
    assert "sk_private" not in shown
