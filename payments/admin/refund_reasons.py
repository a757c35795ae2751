"""The pages of refund reasons, which the shop writes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object


class RefundReasonAdminMixin(_ModelAdmin):
    """Edit refund reasons. One that a refund uses can't be deleted."""

    list_display = ("label", "description", "created_at")
    search_fields = ("label", "description")
    search_help_text = _("A piece of the label or the description.")
    fields = ("id", "label", "description", "metadata", "created_at", "updated_at")
    readonly_fields = ("id", "created_at", "updated_at")
