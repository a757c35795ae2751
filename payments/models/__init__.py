"""The models: what is stored, how its statuses may change, and what the database itself guarantees.

Nothing here calls a provider or a service; transition methods neither read, write nor save anything.
"""

from __future__ import annotations

from payments.models.collections import PaymentCollection
from payments.models.events import DaySummary, PaymentEvent
from payments.models.idempotency import IdempotencyRecord
from payments.models.movements import Capture, Refund, RefundReason
from payments.models.operations import PaymentOperation
from payments.models.payments import Payment
from payments.models.providers import AccountHolder, PaymentProvider
from payments.models.sessions import PaymentSession
from payments.models.webhooks import WebhookEvent

__all__ = [
    "AccountHolder",
    "Capture",
    "DaySummary",
    "IdempotencyRecord",
    "Payment",
    "PaymentCollection",
    "PaymentEvent",
    "PaymentOperation",
    "PaymentProvider",
    "PaymentSession",
    "Refund",
    "RefundReason",
    "WebhookEvent",
]
