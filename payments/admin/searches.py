"""Searching, as the lists of the admin do it: the staff's API finds the same, but for what is paid.

What is paid is a row of the shop, which only the shop's own page knows how to find: its `search_fields` say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, OuterRef, QuerySet

from payments.admin.links import Links
from payments.models import PaymentCollection
from payments.models.payables import namesakes_of
from payments.services.search import Search, is_own_id

__all__ = ["Search", "collections_for"]

LIMIT: Final = 100
"""How many rows of each kind are looked up, the newest first: whoever finds more searches for too little."""


def collections_for(links: Links, text: str) -> Iterator[QuerySet[Any]]:
    """Return the keys of collections that pay for what its own list on this site finds by a text.

    There is nothing by an id that `payments` gave, and nothing of a model that the user may not view.
    """
    term = text.strip()
    if not term or is_own_id(term):
        return
    for content_type in _paid_types(links):
        keys = _found(links, content_type, term)
        if keys:
            yield (
                PaymentCollection._base_manager.filter(payable_type=content_type, payable_id__in=keys)
                .order_by()
                .values("pk")
            )


def _paid_types(links: Links) -> QuerySet[ContentType]:
    """Return the kinds of rows that collections pay for, as far as they can be searched here."""
    searched = [
        ContentType.objects.get_for_model(each).pk
        for model, model_admin in links.site._registry.items()
        if model._meta.app_label != PaymentCollection._meta.app_label and model_admin.search_fields
        for each in namesakes_of(model)
    ]
    paid = PaymentCollection._base_manager.filter(payable_type=OuterRef("pk"))
    return ContentType.objects.filter(Exists(paid), pk__in=searched)


def _found(links: Links, content_type: ContentType, term: str) -> list[str]:
    paid = content_type.model_class()
    registered = links.site._registry
    names = () if paid is None else namesakes_of(paid)
    found = (registered[each] for each in names if each in registered and links.may_view(each))
    model_admin = next((each for each in found if each.search_fields), None)
    if model_admin is None:
        return []
    rows, has_doubles = model_admin.get_search_results(
        links.request, model_admin.get_queryset(links.request), term
    )
    keys = (rows.distinct() if has_doubles else rows).order_by("-pk").values_list("pk", flat=True)
    return [str(key) for key in keys[:LIMIT]]
