"""The example shop as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Register the shop, and have it listen to what becomes of its orders' payments."""

    name = "example_project.shop"
    label = "example_shop"
    verbose_name = "Saltglaze"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers."""
        from example_project.shop import access, payments  # noqa: PLC0415 - they import models, which load later

        access.connect()
        payments.connect()
