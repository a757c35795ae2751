"""The operator's switch for each configured provider.

A row stays when its alias leaves the settings, so that everything that refers to it remains readable.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from payments.models.base import KeptModel, KeptQuerySet
from payments.models.fields import KeyField


class PaymentProvider(KeptModel):
    """A configured provider, and whether new sessions may use it."""

    id = KeyField(_("id"), primary_key=True)
    is_enabled = models.BooleanField(_("enabled"), default=True)

    objects: ClassVar[KeptQuerySet[PaymentProvider]] = KeptQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("payment provider")
        verbose_name_plural = _("payment providers")
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.id)
