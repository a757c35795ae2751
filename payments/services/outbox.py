"""The outbox: tells signal receivers of committed events, at least once, and in order per collection.

Whoever commits events publishes them right away; what a crash left behind is found by `publish_due`. One publisher at
a time works on a collection. A receiver that raises holds up nobody: its event is sent again later, to all receivers.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.db.models import F
from django.utils import timezone

from payments.models import PaymentEvent
from payments.services.transactions import committed, lock_collection
from payments.signals import SIGNALS

logger = logging.getLogger("payments.events")

LEASE: Final = timedelta(minutes=5)
"""How long one batch may take; afterwards another publisher sends what isn't marked as published."""

RETRIES: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)


def publish_collection(collection_id: str) -> int:
    """Publish a collection's events until none is left that nobody else is publishing; return how many."""
    count = 0
    while events := _claim(collection_id):
        count += publish(events)
    return count


def publish(events: list[PaymentEvent]) -> int:
    """Publish leased events in their order, and mark those that were; return how many."""
    heard: list[PaymentEvent] = []
    try:
        for event in events:
            _note_answer(event, is_taken=_send(event))
            heard.append(event)
    finally:
        PaymentEvent.objects.filter(pk__in=[event.pk for event in heard]).update(
            published_at=timezone.now(), lease_expires_at=None
        )
    return len(heard)


def publish_due(*, limit: int = 100) -> int:
    """Publish what was left behind in up to `limit` collections, and send failed events again; return how many."""
    waiting = (
        PaymentEvent.objects.unpublished().order_by("collection_id").values_list("collection_id", flat=True)
    )
    collection_ids = list(waiting.distinct()[:limit])
    return sum(publish_collection(collection_id) for collection_id in collection_ids) + _retry(limit)


def is_first_in_line(collection_id: str) -> bool:
    """Return whether nothing of a locked collection waits to be published."""
    return not PaymentEvent.objects.unpublished().filter(collection=collection_id).exists()


def _claim(collection_id: str) -> list[PaymentEvent]:
    """Lease all unpublished events of a collection, unless another publisher has a lease on it."""
    now = timezone.now()
    with committed():
        lock_collection(collection_id)
        rows = PaymentEvent.objects.unpublished().filter(collection=collection_id)
        events = list(rows.select_related("collection", "session", "payment", "capture", "refund"))
        if any(event.lease_expires_at is not None and event.lease_expires_at > now for event in events):
            return []
        rows.update(lease_expires_at=now + LEASE)
    return events


def _retry(limit: int) -> int:
    now = timezone.now()
    due = PaymentEvent.objects.filter(next_attempt_at__lte=now).order_by("id")
    events = [event for event in due[:limit] if _lease_retry(event)]
    return publish(events)


def _lease_retry(event: PaymentEvent) -> bool:
    """Push an event's next attempt into the future, if nobody else has done so."""
    rows = PaymentEvent.objects.filter(pk=event.pk, next_attempt_at=event.next_attempt_at)
    return rows.update(next_attempt_at=timezone.now() + LEASE) == 1


def _note_answer(event: PaymentEvent, *, is_taken: bool) -> None:
    """Schedule an event that a receiver didn't take for later, or end the retries."""
    if is_taken and event.next_attempt_at is None:
        return
    has_given_up = event.failed_attempts >= len(RETRIES)
    retry_at = None if is_taken or has_given_up else timezone.now() + RETRIES[event.failed_attempts]
    PaymentEvent.objects.filter(pk=event.pk).update(
        next_attempt_at=retry_at, failed_attempts=F("failed_attempts") + int(not is_taken)
    )


def _send(event: PaymentEvent) -> bool:
    """Send an event's signal; return whether every receiver took it."""
    signal = SIGNALS.get(event.type)
    if signal is None:
        return True
    answers = signal.send_robust(
        sender=PaymentEvent,
        event=event,
        collection=event.collection,
        session=event.session,
        payment=event.payment,
        capture=event.capture,
        refund=event.refund,
    )
    errors = [(receiver, answer) for receiver, answer in answers if isinstance(answer, Exception)]
    for receiver, error in errors:
        logger.error(
            "A receiver of %s raised; the event %s will be sent again.",
            event.type,
            event.pk,
            exc_info=error,
            extra={"receiver": getattr(receiver, "__qualname__", repr(receiver))},
        )
    return not errors
