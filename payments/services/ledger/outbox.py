"""The outbox: sends the signals of committed events at least once, in order per collection.

The process that commits events publishes them right away, one publisher per collection at a time; `publish_due` finds
what a crash left behind.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)
from payments.services.ledger.history import by_itself
from payments.services.ledger.locks import (
    RETRIES,
    database_alias,
    is_free,
    lock_collection,
    lock_free,
    repeated,
)
from payments.services.ledger.statements import insert
from payments.signals import SIGNALS

logger = logging.getLogger("payments.events")

LEASE: Final = timedelta(minutes=5)
"""How long a publisher keeps its events from others; a slower one renews its lease between two events."""

Progress = Callable[[PaymentEvent], None]

_ROWS: Final = ("collection", "session", "payment", "capture", "refund")
_SENDERS: Final = {
    "collection": PaymentCollection,
    "session": PaymentSession,
    "payment": Payment,
    "capture": Capture,
    "refund": Refund,
    "operation": PaymentOperation,
}
"""The sender of a signal, by the first part of its event's type."""

_LOOKS: Final = 20

_SHARE: Final = 25
"""How many collections a worker leases at once: if it dies, their events wait until the lease ends."""


def enqueue(collection_id: str, events: Sequence[PaymentEvent]) -> bool:
    """Insert a locked collection's events and publish them after the commit; return whether a signal has receivers.

    If an earlier event of the collection still waits, the events queue behind it, and its publisher continues with
    them. An event whose signal has no receivers is inserted as published.
    """
    alias, now = database_alias(), timezone.now()
    heard = [event for event in events if _has_listeners(event)]
    for event in events:
        event.published_at = None if event in heard else now
    if not heard:
        insert(alias, events)
        return False
    is_first = not PaymentEvent.objects.unpublished().filter(collection=collection_id).exists()
    for event in heard:
        event.lease_expires_at = now + LEASE if is_first else None
    _insert_with_keys(alias, events)
    # Robust: an error in a receiver must not look as if the change itself had failed.
    transaction.on_commit(
        (lambda: publish_new(heard)) if is_first else (lambda: catch_up(collection_id)),
        using=alias,
        robust=True,
    )
    return True


def publish_collection(collection_id: str, *, progress: Progress | None = None) -> int:
    """Publish a collection's events until only those leased to other publishers are left; return how many."""
    count = 0
    while events := _claim(collection_id):
        count += publish(events, progress=progress)
    return count


def publish(events: list[PaymentEvent], *, progress: Progress | None = None) -> int:
    """Publish leased events in their order and mark them as published; return how many.

    After the loss of its lease a publisher marks nothing: another publisher sends and marks the events.
    """
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
        leases = {event.lease_expires_at for event in heard}
        mine = PaymentEvent.objects.unpublished().filter(pk__in=[event.pk for event in heard])
        mine.filter(lease_expires_at__in=leases).update(published_at=timezone.now(), lease_expires_at=None)
    return len(heard)


def publish_new(events: list[PaymentEvent]) -> None:
    """Publish events that were just committed with a lease, then those that others have committed meanwhile."""
    rows = PaymentEvent.objects.filter(pk__in=[event.pk for event in events])
    # The given rows belong to the books, and receivers must not change those.
    publish(list(rows.select_related(*_ROWS).order_by("id")))
    catch_up(events[0].collection_id)


def catch_up(collection_id: str) -> None:
    """Publish a collection's waiting events, unless another publisher has leased them.

    It also runs when a commit queues events behind a publisher, which may have checked for more a moment too early.
    """
    if PaymentEvent.objects.unpublished().filter(collection=collection_id).exists():
        publish_collection(collection_id)


def publish_due(*, limit: int = 100, progress: Progress | None = None) -> int:
    """Publish the events left behind in up to `limit` collections, and send failed events again; return how many.

    Several workers may run at the same time: each leases other collections.
    """
    count, left = 0, limit
    while left > 0 and (shares := _lease_collections(min(left, _SHARE))):
        for share in shares:
            count += _publish_safely(share, progress)
        left -= len(shares)
    return count + _retry(limit, progress)


def _insert_with_keys(alias: str, events: Sequence[PaymentEvent]) -> None:
    if connections[alias].features.can_return_rows_from_bulk_insert:
        PaymentEvent.objects.bulk_create(events)
        return
    for event in events:  # MySQL doesn't return the ids of rows inserted together.
        event.save(using=alias, force_insert=True)


def _lease_collections(limit: int) -> list[list[PaymentEvent]]:
    """Lease the waiting events of up to `limit` collections without a publisher; return them by collection.

    If other workers lease the same collections first, it tries a few more times. A collection that stays locked is left
    for the next run.
    """
    for _attempt in range(_LOOKS):
        # Other workers may be leasing the first ones, so more are read than are leased.
        collection_ids = _left_behind(4 * limit)
        found = repeated(lambda: _lease(collection_ids, limit)) if collection_ids else []  # noqa: B023 - runs at once
        if found or not collection_ids:
            return found
        time.sleep(0.01)
    return []


def _left_behind(limit: int) -> list[str]:
    """Return the collections with unleased waiting events, those that have waited longest first."""
    waiting = PaymentEvent.objects.unpublished()
    # Only the first event of a collection is looked at: those behind it aren't leased while it isn't.
    earlier = waiting.order_by().filter(collection=OuterRef("collection"), id__lt=OuterRef("id"))
    first = waiting.filter(is_free()).exclude(Exists(earlier))
    # By id alone, all that was ever published might be looked through; this is the order of an index of the others.
    in_order = first.order_by("published_at", "id")
    return list(in_order.values_list("collection_id", flat=True)[:limit])


def _lease(collection_ids: Sequence[str], limit: int) -> list[list[PaymentEvent]]:
    locked = lock_free(PaymentCollection.objects.filter(pk__in=collection_ids).order_by("pk"), limit)
    waiting = PaymentEvent.objects.unpublished().filter(collection__in=locked)
    rows = sorted(waiting.select_related(*_ROWS), key=lambda event: (event.collection_id, event.pk))
    by_collection = [list(events) for _key, events in groupby(rows, lambda event: event.collection_id)]
    free = [events for events in by_collection if _are_free(events)]
    _take_lease([event for events in free for event in events])
    return sorted(free, key=lambda events: events[0].pk)


def _publish_safely(events: list[PaymentEvent], progress: Progress | None) -> int:
    """Publish one collection's events; an error is logged, so that the other collections don't wait."""
    try:
        return publish(events, progress=progress)
    except Exception:
        logger.exception("The events of %s can't be published now.", events[0].collection_id)
        return 0


def _claim(collection_id: str) -> list[PaymentEvent]:
    """Lease all unpublished events of a collection, unless another publisher has leased them."""
    waiting = PaymentEvent.objects.unpublished().filter(collection=collection_id)
    if not _are_free(waiting):
        return []  # without a lock, so that a receiver which calls a verb doesn't wait here

    def lease() -> list[PaymentEvent]:
        lock_collection(collection_id)
        events = list(waiting.select_related(*_ROWS))
        return _take_lease(events) if _are_free(events) else []

    return repeated(lease)


def _take_lease(events: list[PaymentEvent]) -> list[PaymentEvent]:
    expires_at = timezone.now() + LEASE
    PaymentEvent.objects.filter(pk__in=[event.pk for event in events]).update(lease_expires_at=expires_at)
    for event in events:
        event.lease_expires_at = expires_at
    return events


def _has_listeners(event: PaymentEvent) -> bool:
    signal = SIGNALS.get(event.type)
    return signal is not None and signal.has_listeners(PaymentEvent)


def _are_free(events: Iterable[PaymentEvent]) -> bool:
    now = timezone.now()
    return all(event.lease_expires_at is None or event.lease_expires_at <= now for event in events)


def _keeps_lease(events: list[PaymentEvent]) -> bool:
    """Return whether this publisher still holds the lease on the rest of a batch; renew it after half of its time."""
    expires_at, now = events[0].lease_expires_at, timezone.now()
    if expires_at is None or now < expires_at - LEASE / 2:
        return True
    mine = PaymentEvent.objects.unpublished().filter(pk__in=[event.pk for event in events])
    renewed = mine.filter(lease_expires_at=expires_at).update(lease_expires_at=now + LEASE)
    for event in events:
        event.lease_expires_at = now + LEASE
    return renewed == len(events)


def _retry(limit: int, progress: Progress | None) -> int:
    """Send up to `limit` events again for which a receiver raised; return how many."""
    count = 0
    while count < limit:
        due = PaymentEvent.objects.filter(next_attempt_at__lte=timezone.now()).order_by(
            "next_attempt_at", "id"
        )
        found = list(due[: limit - count])
        if not found:
            break
        count += sum(publish([event], progress=progress) for event in found if _lease_retry(event))
    return count


def _lease_retry(event: PaymentEvent) -> bool:
    """Postpone an event's next attempt, unless another worker has done so."""
    before, event.next_attempt_at = event.next_attempt_at, timezone.now() + LEASE
    rows = PaymentEvent.objects.filter(pk=event.pk, next_attempt_at=before)
    return rows.update(next_attempt_at=event.next_attempt_at) == 1


def _note_answer(event: PaymentEvent, *, is_taken: bool) -> None:
    """Schedule the retry of an event for which a receiver raised, or end its retries.

    Nothing is written if another publisher has taken the event over.
    """
    if is_taken and event.next_attempt_at is None:
        return
    has_given_up = event.failed_attempts >= len(RETRIES)
    retry_at = None if is_taken or has_given_up else timezone.now() + RETRIES[event.failed_attempts]
    mine = PaymentEvent.objects.filter(
        pk=event.pk, next_attempt_at=event.next_attempt_at, lease_expires_at=event.lease_expires_at
    )
    mine.update(next_attempt_at=retry_at, failed_attempts=F("failed_attempts") + int(not is_taken))


def _send(event: PaymentEvent) -> bool:
    """Send an event's signal; return whether no receiver raised.

    A receiver may raise anything, for instance a timeout that isn't an Exception. Its event is sent again later, to all
    receivers, and the next events don't wait for it.
    """
    signal = SIGNALS.get(event.type)
    if signal is None:
        return True
    rows = {name: getattr(event, name) for name in _ROWS}
    try:
        with by_itself():
            sender = _SENDERS[event.type.partition(".")[0]]
            answers = signal.send_robust(sender=sender, event=event, **rows)
    except KeyboardInterrupt:
        raise
    except BaseException as ended:  # noqa: BLE001 - see above
        _log(event, signal, ended)
        return False
    errors = [(receiver, answer) for receiver, answer in answers if isinstance(answer, Exception)]
    for receiver, error in errors:
        _log(event, receiver, error)
    return not errors


def _log(event: PaymentEvent, receiver: Any, error: BaseException) -> None:
    logger.error(
        "A receiver of %s raised; the event %s will be sent again: %s",
        event.type,
        event.pk,
        getattr(receiver, "__qualname__", repr(receiver)),
        exc_info=error,
    )
