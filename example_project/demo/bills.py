"""The orders of docs/storefront.md and docs/staff-api.md: bills, and one of a customer's."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.contrib.auth.models import User

from example_project.shop.models import Order


@dataclass(frozen=True, kw_only=True)
class Bill:
    """Describe an order; `customer` is a user's name, empty for a bill that anybody may pay."""

    number: str
    total: str
    currency_code: str = "eur"
    customer: str = ""


BILLS: Final = (
    Bill(number="A-1", total="100.00"),
    Bill(number="B-2", total="50.00"),
    Bill(number="C-3", total="1000", currency_code="jpy"),
    Bill(number="E-5", total="80.00"),
    Bill(number="D-4", total="25.00", customer="kim"),
)


def write_bills() -> None:
    """Have every bill; those that are there stay as they are, paid or not."""
    for bill in BILLS:
        customer = User.objects.filter(username=bill.customer).first()
        Order.objects.get_or_create(
            number=bill.number,
            defaults={
                "total": Decimal(bill.total),
                "currency_code": bill.currency_code,
                "customer": customer,
                "email": "" if customer is None else customer.email,
            },
        )
