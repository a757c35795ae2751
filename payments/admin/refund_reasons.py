"""The pages of refund reasons, which the shop writes itself."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from payments.admin.inputs import PlainInputMixin


class RefundReasonAdminMixin(PlainInputMixin):
    """Edit refund reasons. One that a refund uses can't be deleted."""

    list_display = ("label", "description", "created_at")
    search_fields = ("label", "description")
    search_help_text = _("A piece of the label or the description.")
    fields = ("id", "label", "description", "metadata", "created_at", "updated_at")
    readonly_fields = ("id", "created_at", "updated_at")
