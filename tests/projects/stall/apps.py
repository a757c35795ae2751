"""The stall as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class StallConfig(AppConfig):
    """Register the stall."""

    name = "tests.projects.stall"
    label = "stall"
    default_auto_field = "django.db.models.BigAutoField"
