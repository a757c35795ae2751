"""What the money of a row is paid for, and by whom: nobody knows a payment by its id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from payments.admin.actions.versions import collection_of
from payments.admin.customers import customer_link
from payments.admin.links import Links
from payments.admin.payables import Payable, load_payables
from payments.models import PaymentCollection


def name_owners(rows: Iterable[Any], links: Links) -> dict[Any, SafeString]:
    """Return the payables and customers of rows by the rows' keys, with as many queries for many rows as for one.

    Who may not view collections, which name them, isn't told.
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
