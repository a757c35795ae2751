"""JSON columns as panels: what the storefront sees, and what only a few may see."""

from __future__ import annotations

import json
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.admin.panels import DocumentPanel, Text

PRIVATE_DATA_PERMISSION: Final = "payments.view_provider_data"


def document_panel(*, title: Text, slug: str, value: Any, note: Text = "") -> DocumentPanel:
    """Return a panel with a JSON document that everybody who may see the page may read."""
    return DocumentPanel(title=title, slug=slug, text=pretty(value), note=note)


def private_panel(
    request: HttpRequest, row: Any, field: str, *, title: Text, slug: str, note: Text = ""
) -> DocumentPanel:
    """Return a panel with a private JSON column, or with a sentence in its place.

    The column is deferred, so without the permission it isn't even read from the database.
    """
    if may_see_private_data(request):
        return DocumentPanel(title=title, slug=slug, text=pretty(getattr(row, field)), note=note)
    return DocumentPanel(
        title=title,
        slug=slug,
        text=None,
        withheld=withheld_words(),
    )


def provider_data_panel(request: HttpRequest, row: Any) -> DocumentPanel:
    """Return a panel with what a provider keeps of a row, which is private."""
    return private_panel(
        request,
        row,
        "provider_data",
        title=_("Private provider data"),
        slug="provider-data",
        note=_("What the provider needs later. The storefront never sees it."),
    )


def withheld_words() -> str:
    """Return the sentence that stands in the place of what is private."""
    return _("You lack the permission to see private provider data.")


def may_see_private_data(request: HttpRequest) -> bool:
    """Return whether the request's user may see what providers keep private."""
    user: Any = request.user
    return bool(user.has_perm(PRIVATE_DATA_PERMISSION))


def pretty(value: Any) -> str:
    """Return JSON that a person can read, in the order in which it is stored; nothing where it is empty."""
    if value in (None, {}, []):
        return ""
    return json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)


def next_action_text(value: Any) -> str | SafeString:
    """Return what the payer has to do next, as text: an address from a provider isn't for operators to follow."""
    if not isinstance(value, dict):
        return ""
    return " ".join(str(value[key]) for key in ("type", "url") if value.get(key))
