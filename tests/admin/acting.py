"""Taking actions as an operator's browser does: opening the confirmation page, filling it in, confirming."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.contrib.admin.utils import quote
from django.contrib.messages import get_messages
from django.db import models
from django.test import Client
from django.urls import reverse


def action_url(row: models.Model, slug: str, site: str = "admin") -> str:
    """Return the address of an action's confirmation page."""
    name = f"{site}:{row._meta.app_label}_{row._meta.model_name}_action"
    return reverse(name, args=[quote(str(row.pk)), slug])


def inputs(markup: str) -> dict[str, str]:
    """Return the hidden and text inputs of the page's form as a browser would send them."""
    form = markup.split('id="content-main"')[1]
    found = re.findall(r"<input[^>]*>", form)
    pairs = [(re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag), tag) for tag in found]
    return {
        name[1]: unescape(value[1]) if value else ""
        for name, value, tag in pairs
        if name and 'type="radio"' not in tag
    }


def open_form(client: Client, row: models.Model, slug: str) -> dict[str, str]:
    """Open a confirmation page, and return what its form would send."""
    response = client.get(action_url(row, slug))
    assert response.status_code == 200, response.status_code
    return inputs(response.content.decode())


def confirm(client: Client, row: models.Model, slug: str, sent: dict[str, str], **values: str) -> Any:
    """Confirm an action with what a form sends."""
    return client.post(action_url(row, slug), {**sent, **values, "confirmed": "1"})


def act(client: Client, row: models.Model, slug: str, **values: str) -> Any:
    """Open the page, fill it in and confirm."""
    return confirm(client, row, slug, open_form(client, row, slug), **values)


def told(response: Any) -> str:
    """Return the messages that a response carries."""
    return " ".join(str(message) for message in get_messages(response.wsgi_request))
