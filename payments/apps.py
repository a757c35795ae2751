"""The app's configuration."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import pre_delete
from django.utils.translation import gettext_lazy as _
from rest_framework.serializers import DecimalField, ModelSerializer

import payments
from payments.checks import DJANGO_PAYMENTS, HOW_TO_LEAVE_DJANGO_PAYMENTS, register_checks
from payments.money import AmountField


class PaymentsConfig(AppConfig):
    """The app, with the label `payments`."""

    name = "payments"
    label = "payments"
    verbose_name = _("Payments")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Import the models; raise ImproperlyConfigured if django-payments was installed over this package.

        A system check would never run then: that package's `__init__`, `signals` and `urls` have replaced ours.
        """
        if hasattr(payments, "PurchasedItem"):
            raise ImproperlyConfigured(f"{DJANGO_PAYMENTS} {HOW_TO_LEAVE_DJANGO_PAYMENTS}")
        super().import_models()

    def ready(self) -> None:
        """Register the checks, the erasure of a deleted user's data, and what DRF and drf-spectacular are told."""
        register_checks()
        # Otherwise a shop's own ModelSerializer has no field for amounts, and would write them as floats.
        ModelSerializer.serializer_field_mapping[AmountField] = DecimalField
        from payments.services.erasure import erase_deleted_user  # noqa: PLC0415 - models are loaded by now

        # Django names the model through which a user is deleted, which may be a proxy.
        user_model = get_user_model()
        for model in apps.get_models():
            if model._meta.concrete_model is user_model:
                pre_delete.connect(erase_deleted_user, sender=model, dispatch_uid="payments_erasure")
        if apps.is_installed("drf_spectacular"):
            import_module("payments.api.openapi")
