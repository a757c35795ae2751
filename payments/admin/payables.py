"""What collections are to pay for: rows of the shop, read in one query per model.

Django's own prefetching of generic relations fails on a page whose shop has dropped a model or changed its keys; an
operator still has to see the money then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from payments.admin.links import Links, link
from payments.admin.words import quiet
from payments.models import PaymentCollection
from payments.models.payables import key_text, namesakes_of


@dataclass(frozen=True, kw_only=True)
class Payable:
    """Name a row of the shop; `row` is None where it, or its model, is gone."""

    kind: str
    pk: str
    row: models.Model | None

    def html(self, links: Links) -> SafeString:
        """Return its name, linked to its page on this admin site if it has one; its key to who may not view it."""
        if self.row is None:
            return format_html("{} {} {}", self.kind, self.pk, quiet(_("(no longer there)")))
        models_of_row = namesakes_of(type(self.row))
        name = str(self.row) if links.may_view(models_of_row[0]) else self.pk
        url = next(filter(None, (links.url(model, self.row.pk) for model in models_of_row)), None)
        return format_html("{} {}", quiet(self.kind), link(url, name))


def load_payables(collections: Iterable[PaymentCollection]) -> dict[str, Payable]:
    """Return the payables of many collections by the collections' ids, with one query per kind of payable."""
    types = ContentType.objects.db_manager(PaymentCollection.objects.db)
    by_type: defaultdict[int, list[PaymentCollection]] = defaultdict(list)
    for collection in collections:
        if collection.payable_type_id is not None:
            by_type[collection.payable_type_id].append(collection)
    return {
        collection.pk: payable
        for type_id, members in by_type.items()
        for collection, payable in _load(types.get_for_id(type_id), members)
    }


def _load(
    content_type: ContentType, collections: list[PaymentCollection]
) -> list[tuple[PaymentCollection, Payable]]:
    model = content_type.model_class()
    kind = content_type.model if model is None else str(model._meta.verbose_name)
    rows = {} if model is None else _rows(model, {str(collection.payable_id) for collection in collections})
    return [
        (
            collection,
            Payable(
                kind=capfirst(kind), pk=str(collection.payable_id), row=rows.get(str(collection.payable_id))
            ),
        )
        for collection in collections
    ]


def _rows(model: type[models.Model], keys: set[str]) -> dict[str, models.Model]:
    found = model._base_manager.in_bulk([value for key in keys if (value := _key(model, key)) is not None])
    return {text: row for pk, row in found.items() if (text := key_text(model, pk)) is not None}


def _key(model: type[models.Model], text: str) -> object:
    """Return a stored key as the model's own type, or None where it can't be one any more."""
    try:
        key: object = model._meta.pk.to_python(text)
    except (ValidationError, ValueError, TypeError):
        return None
    return None if key_text(model, key) is None else key
