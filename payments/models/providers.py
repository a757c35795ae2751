"""The operator's switch for each configured provider, and the accounts that customers have there.

A provider's row stays when its alias leaves the settings, so that everything that refers to it remains readable.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import UniqueConstraint
from django.utils.translation import gettext_lazy as _

from payments import ids
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


class AccountHolder(KeptModel):
    """A customer's account at a provider, where their payment methods are saved.

    `provider_reference` is empty until the provider has answered: the row is inserted first, so that a retry requests
    the same account. `provider_data` is private. `refusals` counts how often the account was refused or deleted; each
    time ends the idempotency key of its creation.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_account_holder_id, editable=False)
    provider = models.ForeignKey(
        PaymentProvider, verbose_name=_("provider"), on_delete=models.PROTECT, related_name="account_holders"
    )
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("customer"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="payment_account_holders",
    )
    provider_reference = KeyField(_("provider reference"), max_length=255, null=True, blank=True)
    email = models.EmailField(_("e-mail address"), blank=True, default="")
    provider_data = models.JSONField(_("provider data"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    refusals = models.PositiveIntegerField(_("refusals"), default=0, editable=False)

    objects: ClassVar[KeptQuerySet[AccountHolder]] = KeptQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("account holder")
        verbose_name_plural = _("account holders")
        ordering = ["-created_at", "-id"]
        permissions = [("remove_saved_method", _("Can remove saved payment methods"))]
        constraints = [
            UniqueConstraint(
                fields=["provider", "provider_reference"], name="payments_holder_provider_reference_unique"
            ),
            UniqueConstraint(fields=["provider", "customer"], name="payments_holder_customer_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.provider_id})"
