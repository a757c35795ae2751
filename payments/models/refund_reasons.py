"""The refund reason: why money went back, in the shop's own words."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.fields import KeyField


class RefundReason(models.Model):
    """Name a reason for refunds. One that a refund uses can't be deleted."""

    id = KeyField(_("id"), primary_key=True, default=ids.new_refund_reason_id, editable=False)
    label = models.CharField(_("label"), max_length=255, unique=True)
    description = models.TextField(_("description"), blank=True, default="")
    metadata = models.JSONField(_("metadata"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("refund reason")
        verbose_name_plural = _("refund reasons")
        ordering = ["label"]

    def __str__(self) -> str:
        return self.label
