"""The pages of captures."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from payments.admin.filters import MovementCurrencyFilter
from payments.admin.movements import MOVEMENT_COLUMNS, MovementAdminMixin
from payments.admin.searches import Search


class CaptureAdminMixin(MovementAdminMixin):
    """Show captures."""

    list_display = MOVEMENT_COLUMNS
    list_filter = ("status", MovementCurrencyFilter, "payment__provider", "created_at")
    search_help_text = _("The id of a capture, payment, collection or operation, or a provider's reference.")
    search = Search(
        ids={
            "capt": "id",
            "pay": "payment__id",
            "pay_col": "payment__collection__id",
            "payop": "operations__id",
        },
        exact=("provider_reference", "payment__provider_reference"),
        customer="payment__collection__customer",
    )
    fields = ("id", "created_at", "succeeded_at", "updated_at")
    readonly_fields = fields
