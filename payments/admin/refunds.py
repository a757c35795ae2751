"""The pages of refunds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.filters import MovementCurrencyFilter
from payments.admin.links import links_of
from payments.admin.movements import MOVEMENT_COLUMNS, MovementAdminMixin
from payments.admin.searches import Search
from payments.models import Capture, Refund, RefundReason


class RefundAdminMixin(MovementAdminMixin):
    """Show refunds, with why the money went back."""

    list_display = (*MOVEMENT_COLUMNS[:3], "reason_column", *MOVEMENT_COLUMNS[3:])
    list_filter = ("status", MovementCurrencyFilter, "reason", "payment__provider", "created_at")
    list_select_related = ("payment__collection", "reason")
    row_relations = ("payment__collection", "reason")
    search_help_text = _("The id of a refund, payment, collection or operation, or a provider's reference.")
    search = Search(
        ids={
            "ref": "id",
            "pay": "payment__id",
            "pay_col": "payment__collection__id",
            "payop": "operations__id",
        },
        exact=("provider_reference", "payment__provider_reference"),
        customer="payment__collection__customer",
    )
    fields = ("id", "created_at", "succeeded_at", "updated_at")
    readonly_fields = fields

    @admin.display(description=_("reason"))
    def reason_column(self, obj: Refund) -> SafeString | None:
        """Show why the money went back."""
        return links_of(obj).to(RefundReason, obj.reason_id, obj.reason.label) if obj.reason else None

    def facts(self, obj: Capture | Refund) -> Iterable[tuple[str, str | SafeString | None]]:
        """Add the reason and the note."""
        refund = cast("Refund", obj)
        yield gettext("Reason"), self.reason_column(refund)
        yield gettext("Note"), refund.note
        yield from super().facts(obj)
