"""The ledger as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Register the ledger under the label `ledger`."""

    name = "tests.money.ledgerapp"
    label = "ledger"
    default_auto_field = "django.db.models.BigAutoField"
