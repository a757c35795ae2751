"""The pages work on other admin sites and in front of other ModelAdmins."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from payments.models import PaymentCollection
from tests.admin.pages import html, listing, page
from tests.admin.urls import ProjectModelAdmin, ops_site

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


def test_links_stay_on_the_site_that_shows_them(collection: PaymentCollection, operator: Client) -> None:
    for url in (page(collection, site="ops"), listing(PaymentCollection, site="ops")):
        main = html(operator, url).split('id="content-main"')[1]
        links = re.findall(r'href="(/[^"]*)"', main)
        assert links
        assert all(link.startswith("/ops/") for link in links), links


def test_rows_without_a_page_on_a_site_are_named_without_a_link(
    collection: PaymentCollection, operator: Client
) -> None:
    shown = html(operator, page(collection, site="ops"))
    payment = collection.payments.first()
    assert payment is not None
    assert payment.pk[-8:] in shown
    assert "/payments/payment/" not in shown


def test_mixin_takes_the_other_model_admin_for_its_base() -> None:
    model_admin = ops_site.get_model_admin(PaymentCollection)
    assert isinstance(model_admin, ProjectModelAdmin)
    assert model_admin.list_per_page == 5


def test_pages_bring_one_style_sheet_and_no_script_of_their_own(
    collection: PaymentCollection, operator: Client
) -> None:
    assert finders.find("payments/admin.css")
    shown = html(operator, page(collection))
    assert shown.count('href="/static/payments/admin.css"') == 1
    assert "payments/" not in "".join(re.findall(r'<script[^>]*src="([^"]*)"', shown))
    main = shown.split('id="content-main"')[1]
    assert 'style="' not in main


def test_pages_are_translatable(collection: PaymentCollection, operator: Client, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    response = operator.get(page(collection), headers={"accept-language": "de"})
    assert response.status_code == 200
    assert "100,00 EUR" in response.content.decode()
