"""Receivers of signals that remember what they heard, and do what a test wants of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from django.db import connection
from django.dispatch import Signal

from payments.models import PaymentCollection, PaymentEvent
from payments.signals import SIGNALS


class Listener:
    """Hear every signal, and note each event in the order of hearing."""

    def __init__(self) -> None:
        self.heard: list[PaymentEvent] = []
        self.in_transaction: list[str] = []
        self.since = 0

    def types(self, collection: PaymentCollection | None = None) -> list[str]:
        """Return the types that were heard, of one collection or of all."""
        return [event.type for event in self.of(collection)]

    def of(self, collection: PaymentCollection | None) -> list[PaymentEvent]:
        """Return the events that were heard of a collection, or of all."""
        return [event for event in self.heard if collection in (None, event.collection)]

    def ids(self) -> dict[str, list[int]]:
        """Return the ids that were heard of each collection, in the order of hearing."""
        heard: dict[str, list[int]] = defaultdict(list)
        for event in self.heard:
            heard[event.collection_id].append(event.pk)
        return heard

    def __enter__(self) -> Self:
        newest = PaymentEvent.objects.exclude(published_at=None).order_by("id").last()
        self.since = newest.pk if newest is not None else 0
        for signal in SIGNALS.values():
            signal.connect(self._hear, weak=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signal in SIGNALS.values():
            signal.disconnect(self._hear)

    def _hear(self, *, event: PaymentEvent, **_rows: Any) -> None:
        if connection.in_atomic_block:
            self.in_transaction.append(event.type)
        self.heard.append(event)


@contextmanager
def receiving(signal: Signal, receiver: Callable[..., Any]) -> Iterator[None]:
    """Have a function receive a signal inside the block."""
    signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver)


def published_in_order(listener: Listener) -> None:
    """See that every event since the listening began was heard once, in its collection's order, and that none waits."""
    assert not PaymentEvent.objects.unpublished().exists()
    told = PaymentEvent.objects.filter(type__in=list(SIGNALS), id__gt=listener.since).order_by("id")
    expected: dict[str, list[int]] = defaultdict(list)
    for event in told:
        expected[event.collection_id].append(event.pk)
    heard = listener.ids()
    assert heard == expected, f"heard {dict(heard)}, expected {dict(expected)}"
