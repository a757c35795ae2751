"""Put the pages of payments on django-unfold's ModelAdmin, as docs/admin.md says."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from payments import admin as pages
from payments import models

for model, mixin in (
    (models.PaymentCollection, pages.PaymentCollectionAdminMixin),
    (models.PaymentSession, pages.PaymentSessionAdminMixin),
    (models.Payment, pages.PaymentAdminMixin),
    (models.Capture, pages.CaptureAdminMixin),
    (models.Refund, pages.RefundAdminMixin),
    (models.PaymentOperation, pages.PaymentOperationAdminMixin),
    (models.PaymentEvent, pages.PaymentEventAdminMixin),
    (models.WebhookEvent, pages.WebhookEventAdminMixin),
    (models.AccountHolder, pages.AccountHolderAdminMixin),
    (models.RefundReason, pages.RefundReasonAdminMixin),
    (models.PaymentProvider, pages.PaymentProviderAdminMixin),
):
    admin.site.unregister(model)
    admin.site.register(model, type(f"{model.__name__}Admin", (mixin, ModelAdmin), {}))
