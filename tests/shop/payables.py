"""What the test shop tells `payments` about its orders."""

from __future__ import annotations

from django.http import HttpRequest

from payments.services import ResolvedPayable
from tests.shop.models import Order


def resolve_payable(request: HttpRequest, reference: str) -> ResolvedPayable | None:
    """Return what is to be paid for the order with this number: its customer's, or anybody's where it has none."""
    order = Order.objects.filter(number=reference).select_related("customer").first()
    if order is None or order.customer not in (None, request.user):
        return None
    return ResolvedPayable(
        payable=order,
        amount=order.total,
        currency_code=order.currency_code,
        customer=order.customer,
        description=f"Order {order.number}",
    )
