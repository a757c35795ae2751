"""Addresses of admin pages, and what is on them as a person reads it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final

from django.contrib.admin.utils import quote
from django.db import models
from django.test import Client
from django.urls import reverse

from payments.models import AccountHolder, WebhookEvent
from tests.reliability.books import KEPT

INSPECTED: Final[tuple[type[models.Model], ...]] = (*KEPT, WebhookEvent, AccountHolder)
"""The models whose pages only show."""


def listing(model: type[models.Model], query: str = "", site: str = "admin") -> str:
    """Return the address of a list."""
    return reverse(f"{site}:{model._meta.app_label}_{model._meta.model_name}_changelist") + query


def page(row: models.Model, site: str = "admin", action: str = "change") -> str:
    """Return the address of a row's page."""
    name = f"{site}:{row._meta.app_label}_{row._meta.model_name}_{action}"
    return reverse(name, args=[quote(str(row.pk))])


def html(client: Client, url: str) -> str:
    """Return the page at an address, which must be there."""
    response = client.get(url)
    assert response.status_code == 200, (response.status_code, url)
    return response.content.decode()


def text(markup: str) -> str:
    """Return what a person reads: no tags, single spaces."""
    without_code = re.sub(r"<(script|style)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", without_code)))


def panel(markup: str, slug: str) -> str:
    """Return what a person reads in one panel."""
    found = re.search(rf'<section class="payments-panel module" id="{slug}".*?</section>', markup, re.DOTALL)
    assert found is not None, f"there is no panel {slug}"
    return text(found[0])


def listed(client: Client, url: str) -> list[Any]:
    """Return the keys of the rows on a list."""
    response = client.get(url)
    assert response.status_code == 200, (response.status_code, url)
    return [row.pk for row in response.context["cl"].result_list]
