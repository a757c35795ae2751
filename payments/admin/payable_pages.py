"""The way back: on the shop's own admin pages, from what is paid for to the collections that pay for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from payments.admin.badges import status_badge
from payments.admin.links import Links
from payments.admin.words import amount_html, lines
from payments.models import PaymentCollection
from payments.models.payables import names_of
from payments.states import CollectionStatus

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object

_ATTRIBUTE: Final = "_payments_admin_collections"


class PayableAdminMixin(_ModelAdmin):
    """Offer a shop's ModelAdmin `payment_collections`, for `list_display` and `readonly_fields`.

    It costs one query per page. Who may not view collections sees none.
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

    @admin.display(description=_("payment collections"))
    def payment_collections(self, obj: Model) -> SafeString | None:
        """Show the collections of a row with amount and status, linked to their pages."""
        found: SafeString | None = obj.__dict__.get(_ATTRIBUTE)
        return found or None

    def _attach(self, request: HttpRequest, rows: list[Model]) -> None:
        links = Links(site=self.admin_site, request=request)
        if not links.may_view(PaymentCollection):
            return
        collections = _collections_of(rows)
        for row in rows:
            row.__dict__[_ATTRIBUTE] = lines(*(_html(each, links) for each in collections[row.pk]))


def _collections_of(rows: Iterable[Model]) -> defaultdict[Any, list[PaymentCollection]]:
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
