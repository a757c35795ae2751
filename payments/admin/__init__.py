"""The admin: pages on which an operator sees what happened to a payment.

A face: it reads rows, checks permissions and renders. It has no rule about money, and what it changes, it changes
through services. Each page is a mixin, so that it also works in front of another ModelAdmin.
"""

from __future__ import annotations

from payments.admin import registration as registration
from payments.admin.account_holders import AccountHolderAdminMixin
from payments.admin.actions.mixins import ActionsAdminMixin
from payments.admin.captures import CaptureAdminMixin
from payments.admin.collections import PaymentCollectionAdminMixin
from payments.admin.events import PaymentEventAdminMixin
from payments.admin.inspection import InspectionAdminMixin, PaymentsAdminMixin
from payments.admin.operations import PaymentOperationAdminMixin
from payments.admin.payable_pages import PayableAdminMixin
from payments.admin.payments import PaymentAdminMixin
from payments.admin.providers import PaymentProviderAdminMixin
from payments.admin.refund_reasons import RefundReasonAdminMixin
from payments.admin.refunds import RefundAdminMixin
from payments.admin.sessions import PaymentSessionAdminMixin
from payments.admin.webhooks import WebhookEventAdminMixin

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
