"""What the test shop sells: rows that know nothing about `payments`."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Order(models.Model):
    """An order with a total in major units of an ISO 4217 currency, in lower case."""

    number = models.CharField(max_length=32, unique=True)
    email = models.EmailField(blank=True)
    total = models.DecimalField(max_digits=19, decimal_places=4)
    currency_code = models.CharField(max_length=3)
    is_paid = models.BooleanField(default=False)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="orders",
    )

    def __str__(self) -> str:
        return self.number
