"""Signals that a shop may listen to; each is sent after the change it tells of is committed.

Every signal is sent with `event` (the PaymentEvent, already stored), `collection` and, where there is one, the row
it is about as `session`, `payment`, `capture` or `refund`. The sender is the model that the signal is named for, such
as Payment for `payment_captured`. A receiver that raises is logged, and the others are called all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.dispatch import Signal as DjangoSignal


class Signal(DjangoSignal):
    """A signal whose failing receivers are logged by its sender.

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

SIGNALS: Final[Mapping[str, Signal]] = {
    name.replace("_", ".", 1): signal for name, signal in list(vars().items()) if isinstance(signal, Signal)
}
"""Which event type is told by which signal, such as `payment.captured`; an event of another type is history only."""
