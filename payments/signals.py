"""Signals that a shop may listen to; each is sent after the change it tells of is committed.

Every signal is sent with `event` (the PaymentEvent, already stored), `collection` and, where there is one, the row
it is about as `session`, `payment`, `capture` or `refund`; the sender is the PaymentEvent class. A receiver that
raises is logged and holds up nobody.
"""

from __future__ import annotations

from typing import Any, Final

from django.dispatch import Signal as DjangoSignal


class Signal(DjangoSignal):
    """Be a signal whose failing receivers are logged by who sends it.

    Django's own logging trips over a receiver that has no name, such as a `functools.partial`: the receivers behind
    it would then never be told.
    """

    def _log_robust_failure(self, receiver: Any, err: Exception) -> None:
        """Leave it to the sender."""


collection_created = Signal()
collection_updated = Signal()
collection_canceled = Signal()
collection_authorized = Signal()
collection_unauthorized = Signal()
collection_completed = Signal()

session_created = Signal()
session_updated = Signal()
session_requires_more = Signal()
session_authorized = Signal()
session_failed = Signal()
session_canceled = Signal()
session_due = Signal()
session_not_charged = Signal()
session_expired = Signal()

payment_authorized = Signal()
payment_captured = Signal()
payment_refunded = Signal()
payment_charged_back = Signal()
payment_reinstated = Signal()
payment_canceled = Signal()
payment_expired = Signal()

capture_failed = Signal()
refund_failed = Signal()

operation_needs_attention = Signal()

SIGNALS: Final[dict[str, Signal]] = {
    "collection.created": collection_created,
    "collection.updated": collection_updated,
    "collection.canceled": collection_canceled,
    "collection.authorized": collection_authorized,
    "collection.unauthorized": collection_unauthorized,
    "collection.completed": collection_completed,
    "session.created": session_created,
    "session.updated": session_updated,
    "session.requires_more": session_requires_more,
    "session.authorized": session_authorized,
    "session.failed": session_failed,
    "session.canceled": session_canceled,
    "session.due": session_due,
    "session.not_charged": session_not_charged,
    "session.expired": session_expired,
    "payment.authorized": payment_authorized,
    "payment.captured": payment_captured,
    "payment.refunded": payment_refunded,
    "payment.charged_back": payment_charged_back,
    "payment.reinstated": payment_reinstated,
    "payment.canceled": payment_canceled,
    "payment.expired": payment_expired,
    "capture.failed": capture_failed,
    "refund.failed": refund_failed,
    "operation.attention": operation_needs_attention,
}
"""Which event type is told by which signal; an event of another type is history only."""
