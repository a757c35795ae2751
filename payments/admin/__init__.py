"""The admin: pages on which an operator sees what happened to a payment, and acts through the services.

Each page is a mixin, so that it also works in front of another skin's ModelAdmin.
"""

from __future__ import annotations

from payments.admin import registration as registration
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.base import InspectionAdminMixin, PaymentsAdminMixin
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
from payments.admin.payables import PayableAdminMixin

__all__ = [
    "AccountHolderAdminMixin",
    "ActionsAdminMixin",
    "CaptureAdminMixin",
    "InspectionAdminMixin",
    "PayableAdminMixin",
    "PaymentAdminMixin",
    "PaymentCollectionAdminMixin",
    "PaymentEventAdminMixin",
    "PaymentOperationAdminMixin",
    "PaymentProviderAdminMixin",
    "PaymentSessionAdminMixin",
    "PaymentsAdminMixin",
    "RefundAdminMixin",
    "RefundReasonAdminMixin",
    "WebhookEventAdminMixin",
]
