"""The outbox: tells signal receivers of committed events, at least once, and in order per collection.

Whoever commits events publishes them right away; what a crash left behind is found by `publish_due`. One publisher at
a time works on a collection. A receiver that raises holds up nobody: its event is sent again later, to all receivers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from django.db.models import F, Min
from django.utils import timezone

from payments.models import PaymentEvent
from payments.services.leases import is_free
from payments.services.transactions import committed, lock_collection
from payments.signals import SIGNALS

logger = logging.getLogger("payments.events")

LEASE: Final = timedelta(minutes=5)
"""How long a publisher is waited for; one that takes longer renews its lease between two events."""

RETRIES: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)

Progress = Callable[[PaymentEvent], None]

_ROWS: Final = ("collection", "session", "payment", "capture", "refund")


def publish_collection(collection_id: str, *, progress: Progress | None = None) -> int:
    """Publish a collection's events until none is left that nobody else is publishing; return how many."""
    count = 0
    while events := _claim(collection_id):
        count += publish(events, progress=progress)
    return count


def publish(events: list[PaymentEvent], *, progress: Progress | None = None) -> int:
    """Publish leased events in their order, and mark those that were; return how many."""
    heard: list[PaymentEvent] = []
    try:
        for position, event in enumerate(events):
            if not _keeps_lease(events[position:]):
                break
            _note_answer(event, is_taken=_send(event))
            heard.append(event)
            if progress is not None:
                progress(event)
    finally:
        PaymentEvent.objects.filter(pk__in=[event.pk for event in heard]).update(
            published_at=timezone.now(), lease_expires_at=None
        )
    return len(heard)


def publish_new(events: list[PaymentEvent]) -> None:
    """Publish what was just committed with a lease, then what others have committed meanwhile."""
    publish(_as_committed(events) if any(_has_listeners(event) for event in events) else events)
    catch_up(events[0].collection_id)


def catch_up(collection_id: str) -> None:
    """Publish what waits of a collection, unless somebody is at it.

    Who commits behind a publisher calls this too: the publisher may have looked for more a moment too early.
    """
    if not is_first_in_line(collection_id):
        publish_collection(collection_id)


def publish_due(*, limit: int = 100, progress: Progress | None = None) -> int:
    """Publish what was left behind in up to `limit` collections, and send failed events again; return how many."""
    waiting = [_publish_safely(collection_id, progress) for collection_id in _left_behind(limit)]
    return sum(waiting) + _retry(limit, progress)


def is_first_in_line(collection_id: str) -> bool:
    """Return whether nothing of a locked collection waits to be published."""
    return not PaymentEvent.objects.unpublished().filter(collection=collection_id).exists()


def _left_behind(limit: int) -> list[str]:
    """Return the collections with events that nobody has a lease on, those that wait longest first."""
    rows = PaymentEvent.objects.unpublished().filter(is_free()).order_by().values("collection_id")
    oldest_first = rows.annotate(first=Min("id")).order_by("first")
    return list(oldest_first.values_list("collection_id", flat=True)[:limit])


def _publish_safely(collection_id: str, progress: Progress | None) -> int:
    """Publish one collection's events, so that its trouble doesn't keep the others waiting."""
    try:
        return publish_collection(collection_id, progress=progress)
    except Exception:
        logger.exception("The events of %s can't be published now.", collection_id)
        return 0


def _claim(collection_id: str) -> list[PaymentEvent]:
    """Lease all unpublished events of a collection, unless another publisher has a lease on it."""
    waiting = PaymentEvent.objects.unpublished().filter(collection=collection_id)
    if not _are_free(waiting):
        return []  # without a lock, so that a receiver that comes back here doesn't wait for anybody
    expires_at = timezone.now() + LEASE
    with committed():
        lock_collection(collection_id)
        events = list(waiting.select_related(*_ROWS))
        if not _are_free(events):
            return []
        waiting.update(lease_expires_at=expires_at)
    for event in events:
        event.lease_expires_at = expires_at
    return events


def _as_committed(events: list[PaymentEvent]) -> list[PaymentEvent]:
    """Read events anew: the rows at hand may be from before the payment's and the collection's sums were made."""
    rows = PaymentEvent.objects.filter(pk__in=[event.pk for event in events])
    return list(rows.select_related(*_ROWS).order_by("id"))


def _has_listeners(event: PaymentEvent) -> bool:
    signal = SIGNALS.get(event.type)
    return signal is not None and signal.has_listeners(PaymentEvent)


def _are_free(events: Iterable[PaymentEvent]) -> bool:
    now = timezone.now()
    return all(event.lease_expires_at is None or event.lease_expires_at <= now for event in events)


def _keeps_lease(events: list[PaymentEvent]) -> bool:
    """Return whether the rest of a batch is still this publisher's, with the lease renewed when half of it is over."""
    expires_at, now = events[0].lease_expires_at, timezone.now()
    if expires_at is None or now < expires_at - LEASE / 2:
        return True
    mine = PaymentEvent.objects.unpublished().filter(pk__in=[event.pk for event in events])
    renewed = mine.filter(lease_expires_at=expires_at).update(lease_expires_at=now + LEASE)
    for event in events:
        event.lease_expires_at = now + LEASE
    return renewed == len(events)


def _retry(limit: int, progress: Progress | None) -> int:
    due = PaymentEvent.objects.filter(next_attempt_at__lte=timezone.now()).order_by("id")
    return sum(publish([event], progress=progress) for event in due[:limit] if _lease_retry(event))


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
            "A receiver of %s raised; the event %s will be sent again: %s",
            event.type,
            event.pk,
            getattr(receiver, "__qualname__", repr(receiver)),
            exc_info=error,
        )
    return not errors
