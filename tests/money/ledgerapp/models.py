"""The rows of the ledger."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from payments.money import AmountField


class Account(models.Model):
    """An account that entries belong to."""

    name = models.CharField(max_length=32, unique=True)

    def __str__(self) -> str:
        return self.name


class Entry(models.Model):
    """A limit, what has been used of it, and other numbers to mix up with them."""

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, null=True, blank=True, related_name="entries"
    )
    name = models.CharField(max_length=32, default="entry")
    limit = AmountField(default=Decimal("99999999999999.9999"))
    used = AmountField(default=Decimal(0), db_index=True)
    note = AmountField(null=True, blank=True)
    fee = AmountField(db_default=Decimal("0.25"))
    quantity = models.IntegerField(default=1)
    price = models.DecimalField(max_digits=19, decimal_places=4, default=Decimal(0))
    rate = models.FloatField(default=0.0)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(used__lte=F("limit")), name="ledger_entry_used_lte_limit"),
            models.CheckConstraint(condition=Q(limit__gt=0), name="ledger_entry_limit_positive"),
            models.CheckConstraint(
                condition=Q(used__lte=F("limit") + Decimal("0.0001") - 0),
                name="ledger_entry_used_lte_limit_plus",
            ),
            models.UniqueConstraint(fields=("name", "note"), name="ledger_entry_unique_note"),
        )

    def __str__(self) -> str:
        return self.name
