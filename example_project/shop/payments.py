"""All that a shop writes to have its orders paid through `payments`: a resolver, and a receiver of signals.

The resolver says what a reference of the storefront stands for, how much that is, and whether this visitor may pay it.
The receiver moves an order on when its money has: it is confirmed once all of it is held, and paid once it is taken.

Signals come after the commit of what they tell, maybe more than once and maybe late. So the receiver looks at where the
order's collections stand now, and doesn't trust the order in which it hears of things: one of them may have been
canceled because another one has taken everything. And it looks at what the order costs now, for that may have changed
while somebody paid.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from example_project.shop.access import find_order
from example_project.shop.models import Order, OrderStatus
from payments import signals
from payments.models import PaymentCollection
from payments.money import ZERO
from payments.services import ResolvedPayable, is_held_for
from payments.states import CollectionStatus


def resolve_payable(request: HttpRequest, reference: str) -> ResolvedPayable | None:
    """Return what is to be paid for an order's number; None where this visitor may not see the order.

    `payments` calls this because of `PAYMENTS["PAYABLE_RESOLVER"]`. The amount is always all of the order: what was
    paid of it already, `payments` knows.
    """
    order = find_order(request, reference)
    if order is None:
        return None
    return ResolvedPayable(
        payable=order,
        amount=order.total,
        currency_code=order.currency_code,
        customer=order.customer,
        description=f"Saltglaze {order.number}",
    )


def connect() -> None:
    """Have the receivers called; doing it twice is doing it once."""
    for signal in (
        signals.collection_authorized,
        signals.collection_unauthorized,
        signals.collection_completed,
        signals.collection_canceled,
        signals.payment_captured,
    ):
        signal.connect(update_order, dispatch_uid="example_shop.update_order")


def update_order(collection: PaymentCollection, **_signal: Any) -> None:
    """Bring the order's status in line with where its collections stand."""
    order = collection.payable
    if isinstance(order, Order):
        Order.objects.filter(pk=order.pk).update(status=_status_for(order))


def _status_for(order: Order) -> OrderStatus:
    """Return how far an order is, by all its collections and by what it costs now: it may have changed meanwhile."""
    rows = list(PaymentCollection.objects.for_payable(order))
    alive = [row for row in rows if row.status != CollectionStatus.CANCELED]
    if not alive:
        return OrderStatus.REFUNDED if any(row.is_fully_refunded for row in rows) else OrderStatus.CANCELED
    taken = sum((row.captured_amount for row in alive), ZERO)
    given_back = sum((row.refunded_amount for row in alive if row.currency_code == order.currency_code), ZERO)
    costs = order.total - given_back  # what this shop gives back, it doesn't ask for again
    if is_held_for(order, amount=costs, currency_code=order.currency_code):
        return OrderStatus.PAID if taken - given_back >= costs else OrderStatus.CONFIRMED
    return OrderStatus.PARTLY_PAID if taken else OrderStatus.OPEN
