"""Time travel for demo data: what a story did so far moves into the past, all of it by the same span.

A story is told in one second, and should look like weeks. So before each of its steps, the rows that the earlier steps
made are moved back: their order and the distances within a step stay what they really were. Only times are touched.

The history of payments can't be changed, and its querysets refuse to. Made-up history is the one exception, and only
here is it made up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db import models, transaction
from django.db.models import F

from example_project.shop.models import Order
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)

# What is written when something has happened. What will happen (due_at, expires_at, next_attempt_at) stays.
_PAST: Final = frozenset(
    {
        "created_at",
        "updated_at",
        "initiated_at",
        "authorized_at",
        "captured_at",
        "succeeded_at",
        "completed_at",
        "canceled_at",
        "finished_at",
        "published_at",
    }
)
_PATHS: Final[tuple[tuple[type[models.Model], str], ...]] = (
    (PaymentCollection, "pk"),
    (PaymentSession, "collection"),
    (Payment, "collection"),
    (Capture, "payment__collection"),
    (Refund, "payment__collection"),
    (PaymentOperation, "collection"),
    (PaymentEvent, "collection"),
)


def move_back(order: Order, collection: PaymentCollection | None, span: timedelta) -> None:
    """Move an order, and everything about its payment, into the past by a span."""
    with transaction.atomic():
        Order.objects.filter(pk=order.pk).update(placed_at=F("placed_at") - span)
        if collection is None:
            return
        for model, path in _PATHS:
            models.QuerySet(model).filter(**{path: collection.pk}).update(**_moved(model, span))


def _moved(model: type[models.Model], span: timedelta) -> dict[str, Any]:
    names = (field.name for field in model._meta.concrete_fields)
    return {name: F(name) - span for name in names if name in _PAST}
