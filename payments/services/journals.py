"""Writing the history, and telling the shop of it once it is committed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import transaction
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
from payments.services.origins import Origin
from payments.services.transactions import database_alias
from payments.signals import SIGNALS

logger = logging.getLogger("payments.events")

Row = PaymentCollection | PaymentSession | Payment | Capture | Refund | PaymentOperation


@dataclass(kw_only=True)
class Journal:
    """Collect the events of one transaction on one collection.

    `write` inserts them in the order in which they were noted, in that same transaction; signals follow on commit.
    """

    collection: PaymentCollection
    origin: Origin
    events: list[PaymentEvent] = field(default_factory=list)

    def note(
        self,
        event_type: str,
        row: Row,
        *,
        from_status: str = "",
        to_status: str = "",
        amount: Decimal | None = None,
        operation: PaymentOperation | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Note that something happened to a row."""
        event = PaymentEvent(
            type=event_type,
            collection=self.collection,
            from_status=from_status,
            to_status=to_status or ("" if from_status == "" else str(row.status)),
            amount=amount,
            operation=operation,
            source=self.origin.source,
            actor=self.origin.actor,
            actor_label=self.origin.actor_label,
            data=data or {},
        )
        _point_at(event, row)
        self.events.append(event)

    def write(self) -> None:
        """Insert the events, and have their signals sent after the commit."""
        events, self.events = self.events, []
        if not events:
            return
        alias = database_alias()
        for event in events:
            event.save(using=alias, force_insert=True)
        # Robust: what goes wrong in telling the shop must not look as if the change itself had failed.
        transaction.on_commit(lambda: publish(events), using=alias, robust=True)


def publish(events: list[PaymentEvent]) -> None:
    """Send the signals of committed events in their order, and mark them as published.

    A receiver that raises is logged and holds up nobody.
    """
    for event in events:
        _send(event)
    PaymentEvent.objects.filter(pk__in=[event.pk for event in events]).update(published_at=timezone.now())


def _send(event: PaymentEvent) -> None:
    signal = SIGNALS.get(event.type)
    if signal is None:
        return
    answers = signal.send_robust(
        sender=PaymentEvent,
        event=event,
        collection=event.collection,
        session=event.session,
        payment=event.payment,
        capture=event.capture,
        refund=event.refund,
    )
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            logger.error(
                "A receiver of %s raised.", event.type, exc_info=answer, extra={"receiver": receiver}
            )


def _point_at(event: PaymentEvent, row: Row) -> None:
    """Set the event's links to the row and to the rows above it."""
    if isinstance(row, Capture):
        event.capture, event.payment, event.session = row, row.payment, row.payment.session
    elif isinstance(row, Refund):
        event.refund, event.payment, event.session = row, row.payment, row.payment.session
    elif isinstance(row, Payment):
        event.payment, event.session = row, row.session
    elif isinstance(row, PaymentSession):
        event.session = row
    elif isinstance(row, PaymentOperation):
        event.operation, event.session, event.payment = row, row.session, row.payment
        event.capture, event.refund = row.capture, row.refund
