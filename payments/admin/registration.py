"""The pages registered with Django's own admin.

A project with another skin registers a model anew with the same mixin in front of its own ModelAdmin:
`class CollectionAdmin(PaymentCollectionAdminMixin, unfold.admin.ModelAdmin)`.
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
    """Payment collections in Django's own admin."""


@admin.register(PaymentSession)
class PaymentSessionAdmin(PaymentSessionAdminMixin, _ModelAdmin):
    """Payment sessions in Django's own admin."""


@admin.register(Payment)
class PaymentAdmin(PaymentAdminMixin, _ModelAdmin):
    """Payments in Django's own admin."""


@admin.register(Capture)
class CaptureAdmin(CaptureAdminMixin, _ModelAdmin):
    """Captures in Django's own admin."""


@admin.register(Refund)
class RefundAdmin(RefundAdminMixin, _ModelAdmin):
    """Refunds in Django's own admin."""


@admin.register(PaymentOperation)
class PaymentOperationAdmin(PaymentOperationAdminMixin, _ModelAdmin):
    """Payment operations in Django's own admin."""


@admin.register(PaymentEvent)
class PaymentEventAdmin(PaymentEventAdminMixin, _ModelAdmin):
    """Payment events in Django's own admin."""


@admin.register(WebhookEvent)
class WebhookEventAdmin(WebhookEventAdminMixin, _ModelAdmin):
    """Webhook events in Django's own admin."""


@admin.register(AccountHolder)
class AccountHolderAdmin(AccountHolderAdminMixin, _ModelAdmin):
    """Account holders in Django's own admin."""


@admin.register(RefundReason)
class RefundReasonAdmin(RefundReasonAdminMixin, _ModelAdmin):
    """Refund reasons in Django's own admin."""


@admin.register(PaymentProvider)
class PaymentProviderAdmin(PaymentProviderAdminMixin, _ModelAdmin):
    """Payment providers in Django's own admin."""
