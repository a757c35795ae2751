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

from payments.admin.links import Links
from payments.admin.words import quiet
from payments.models import PaymentCollection


@dataclass(frozen=True, kw_only=True)
class Payable:
    """Name a row of the shop; `row` is None where it, or its model, is gone."""

    kind: str
    pk: str
    row: models.Model | None

    def html(self, links: Links) -> SafeString:
        """Return its name, linked to its page on this admin site if it has one."""
        if self.row is None:
            return format_html("{} {} {}", self.kind, self.pk, quiet(_("(no longer there)")))
        name = links.to(type(self.row), self.row.pk, str(self.row))
        return format_html("{} {}", quiet(self.kind), name)


def load_payables(collections: Iterable[PaymentCollection]) -> dict[str, Payable]:
    """Return the payables of many collections by the collections' ids, with one query per kind of payable."""
    by_type: defaultdict[int, list[PaymentCollection]] = defaultdict(list)
    for collection in collections:
        if collection.payable_type_id is not None:
            by_type[collection.payable_type_id].append(collection)
    return {
        collection.pk: payable
        for type_id, members in by_type.items()
        for collection, payable in _load(ContentType.objects.get_for_id(type_id), members)
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
    return {str(pk): row for pk, row in found.items()}


def _key(model: type[models.Model], text: str) -> object:
    """Return a stored key as the model's own type, or None where it can't be one any more."""
    try:
        key: object = model._meta.pk.to_python(text)
    except (ValidationError, ValueError, TypeError):
        return None
    return key
