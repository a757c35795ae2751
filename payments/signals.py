"""Signals that a shop may receive; each is sent after the commit of its change.

Every signal has the arguments `event` (the stored PaymentEvent), `collection`, `session`, `payment`, `capture` and
`refund`; those that don't apply are None. The sender is the model that the signal is named for, such as Payment for
`payment_captured`. An error in a receiver is logged, and the other receivers are still called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.dispatch import Signal as DjangoSignal


class Signal(DjangoSignal):
    """A signal whose failing receivers are logged by its sender.

    Django's own logging fails for a receiver without a name, such as a `functools.partial`, and then the remaining
    receivers are never called.
    """

    def _log_robust_failure(self, receiver: Any, err: Exception) -> None:
        """Do nothing, since the sender of the signal logs the error."""


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
"""The signal of each event type, such as `payment.captured`; events of other types have none."""
