"""What collections pay for: rows of the shop, read in one query per model, and the way back from them.

Django's own prefetching of generic relations fails where the shop has dropped a model or changed its keys, and an
operator has to see the money even then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.formatting import amount_html, lines, quiet
from payments.admin.links import Links, customer_link, link
from payments.admin.widgets import status_badge
from payments.models import PaymentCollection
from payments.models.payables import key_text, names_of, namesakes_of
from payments.states import CollectionStatus

_ATTRIBUTE: Final = "_payments_admin_collections"


@dataclass(frozen=True, kw_only=True)
class Payable:
    """A row of the shop that is paid for; `row` is None where it, or its model, is gone."""

    kind: str
    pk: str
    row: models.Model | None

    def html(self, links: Links) -> SafeString:
        """Return its name, or its key where the user may not view it, linked to its page if this site has one."""
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
    rows = {}
    if model is not None:
        keys = [_key(model, str(collection.payable_id)) for collection in collections]
        found = model._base_manager.in_bulk({key for key in keys if key is not None})
        rows = {text: row for pk, row in found.items() if (text := key_text(model, pk)) is not None}
    return [
        (
            collection,
            Payable(
                kind=capfirst(kind), pk=str(collection.payable_id), row=rows.get(str(collection.payable_id))
            ),
        )
        for collection in collections
    ]


def _key(model: type[models.Model], text: str) -> object:
    """Return a stored key as the model's own type, or None where it no longer fits."""
    try:
        key: object = model._meta.pk.to_python(text)
    except (ValidationError, ValueError, TypeError):
        return None
    return None if key_text(model, key) is None else key


def collection_of(row: Any) -> str | None:
    """Return the id of a row's collection; None for a row that is about no one collection."""
    return row.pk if isinstance(row, PaymentCollection) else getattr(row, "collection_id", None)


def name_owners(rows: Iterable[Any], links: Links) -> dict[Any, SafeString]:
    """Return the payables and customers of rows by the rows' keys, with as many queries for many rows as for one.

    Without permission to view collections, there are none.
    """
    if not links.may_view(PaymentCollection):
        return {}
    ids = {row.pk: collection_id for row in rows if (collection_id := collection_of(row)) is not None}
    found = PaymentCollection.objects.filter(pk__in=set(ids.values())).select_related("customer")
    collections = {collection.pk: collection for collection in found.defer("metadata")}
    payables = load_payables(collections.values())
    names = {pk: _name(each, payables.get(pk), links) for pk, each in collections.items()}
    return {pk: names[collection_id] for pk, collection_id in ids.items() if names.get(collection_id)}


def _name(collection: PaymentCollection, payable: Payable | None, links: Links) -> SafeString:
    parts = (payable.html(links) if payable else "", customer_link(collection.customer, links))
    return format_html_join(" · ", "{}", ((part,) for part in parts if part))


if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object


class PayableAdminMixin(_ModelAdmin):
    """A column `payment_collections` for a shop's own ModelAdmin, for `list_display` and `readonly_fields`.

    It costs one query per page, and is empty for users who may not view collections.
    """

    class Media:
        css = {"all": ["payments/admin.css"]}

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list, its rows with their collections."""
        changelist = super().get_changelist_instance(request)
        self._attach(request, list(changelist.result_list))
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row of a page with its collections."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self._attach(request, [row])
        return row

    @admin.display(description=gettext_lazy("payment collections"))
    def payment_collections(self, obj: models.Model) -> SafeString | None:
        """Show the collections of a row with amount and status, linked to their pages."""
        found: SafeString | None = obj.__dict__.get(_ATTRIBUTE)
        return found or None

    def _attach(self, request: HttpRequest, rows: list[models.Model]) -> None:
        links = Links(site=self.admin_site, request=request)
        if not links.may_view(PaymentCollection):
            return
        collections = _collections_of(rows)
        for row in rows:
            row.__dict__[_ATTRIBUTE] = lines(*(_html(each, links) for each in collections[row.pk]))


def _collections_of(rows: Iterable[models.Model]) -> defaultdict[Any, list[PaymentCollection]]:
    """Return the collections of many rows by the rows' keys, whatever other models the rows are known under."""
    types = ContentType.objects.db_manager(PaymentCollection.objects.db)
    named = {(types.get_for_model(model).pk, key): row.pk for row in rows for model, key in names_of(row)}
    found = PaymentCollection.objects.filter(
        payable_type__in={type_id for type_id, _key in named}, payable_id__in={key for _type, key in named}
    )
    by_row: defaultdict[Any, list[PaymentCollection]] = defaultdict(list)
    for collection in found.defer("metadata").order_by("created_at", "id"):
        by_row[named.get((collection.payable_type_id or 0, str(collection.payable_id)))].append(collection)
    return by_row


def _html(collection: PaymentCollection, links: Links) -> SafeString:
    return format_html(
        "{} {} {}",
        links.to_id(PaymentCollection, collection.pk),
        amount_html(collection.amount, collection.currency_code),
        status_badge(collection.status, CollectionStatus),
    )
