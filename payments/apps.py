"""The app's configuration: the place where checks are registered."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

import payments
from payments.checks import DJANGO_PAYMENTS, HOW_TO_LEAVE_DJANGO_PAYMENTS, register_checks


class PaymentsConfig(AppConfig):
    """Configure the app."""

    name = "payments"
    label = "payments"
    verbose_name = _("Payments")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Import the models. Raises ImproperlyConfigured where django-payments was installed over this package.

        No check would be reached then: its `__init__`, `signals` and `urls` are there in the place of ours.
        """
        if hasattr(payments, "PurchasedItem"):
            raise ImproperlyConfigured(f"{DJANGO_PAYMENTS} {HOW_TO_LEAVE_DJANGO_PAYMENTS}")
        super().import_models()

    def ready(self) -> None:
        """Register the system checks."""
        register_checks()
