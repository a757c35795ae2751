"""The example shop as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from example_project.shop.checks import check_secret_key


class ShopConfig(AppConfig):
    """Register the shop, and have it listen to what becomes of its orders' payments."""

    name = "example_project.shop"
    label = "example_shop"
    verbose_name = "Saltglaze"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers, and have Django run the check."""
        from example_project.shop import access, payments  # noqa: PLC0415 - they import models, which load later

        access.connect()
        payments.connect()
        register(check_secret_key, Tags.security)
