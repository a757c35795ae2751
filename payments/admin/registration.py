"""Registers the pages with Django's own admin.

A project that uses another skin unregisters a model and registers it anew with the same mixin in front of its own
ModelAdmin: `class CollectionAdmin(PaymentCollectionAdminMixin, unfold.admin.ModelAdmin)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from payments.admin.pages.account_holders import AccountHolderAdminMixin
from payments.admin.pages.collections import PaymentCollectionAdminMixin
from payments.admin.pages.events import PaymentEventAdminMixin
from payments.admin.pages.operations import PaymentOperationAdminMixin
from payments.admin.pages.payments import (
    CaptureAdminMixin,
    PaymentAdminMixin,
    RefundAdminMixin,
    RefundReasonAdminMixin,
)
from payments.admin.pages.providers import PaymentProviderAdminMixin
from payments.admin.pages.sessions import PaymentSessionAdminMixin
from payments.admin.pages.webhooks import WebhookEventAdminMixin
from payments.models import (
    AccountHolder,
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentProvider,
    PaymentSession,
    Refund,
    RefundReason,
    WebhookEvent,
)

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(PaymentCollection)
class PaymentCollectionAdmin(PaymentCollectionAdminMixin, _ModelAdmin):
    """Show payment collections."""


@admin.register(PaymentSession)
class PaymentSessionAdmin(PaymentSessionAdminMixin, _ModelAdmin):
    """Show payment sessions."""


@admin.register(Payment)
class PaymentAdmin(PaymentAdminMixin, _ModelAdmin):
    """Show payments."""


@admin.register(Capture)
class CaptureAdmin(CaptureAdminMixin, _ModelAdmin):
    """Show captures."""


@admin.register(Refund)
class RefundAdmin(RefundAdminMixin, _ModelAdmin):
    """Show refunds."""


@admin.register(PaymentOperation)
class PaymentOperationAdmin(PaymentOperationAdminMixin, _ModelAdmin):
    """Show payment operations."""


@admin.register(PaymentEvent)
class PaymentEventAdmin(PaymentEventAdminMixin, _ModelAdmin):
    """Show payment events."""


@admin.register(WebhookEvent)
class WebhookEventAdmin(WebhookEventAdminMixin, _ModelAdmin):
    """Show webhook events."""


@admin.register(AccountHolder)
class AccountHolderAdmin(AccountHolderAdminMixin, _ModelAdmin):
    """Show account holders."""


@admin.register(RefundReason)
class RefundReasonAdmin(RefundReasonAdminMixin, _ModelAdmin):
    """Edit refund reasons."""


@admin.register(PaymentProvider)
class PaymentProviderAdmin(PaymentProviderAdminMixin, _ModelAdmin):
    """Show payment providers, and switch them on and off."""
