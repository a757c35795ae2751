"""Writing the history, and telling the shop of it once it is committed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connections, transaction
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
from payments.services.outbox import LEASE, catch_up, is_first_in_line, publish_new
from payments.services.transactions import database_alias

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
        """Insert the events, and have them published after the commit.

        Where an earlier event of the collection still waits, they queue behind it: its publisher goes on with them.
        """
        events, self.events = self.events, []
        if not events:
            return
        alias, collection_id = database_alias(), self.collection.pk
        is_first = is_first_in_line(collection_id)
        lease = timezone.now() + LEASE if is_first else None
        for event in events:
            event.lease_expires_at = lease
        _insert(events, alias)
        # Robust: what goes wrong in telling the shop must not look as if the change itself had failed.
        transaction.on_commit(
            (lambda: publish_new(events)) if is_first else (lambda: catch_up(collection_id)),
            using=alias,
            robust=True,
        )


def _insert(events: list[PaymentEvent], alias: str) -> None:
    if connections[alias].features.can_return_rows_from_bulk_insert:
        PaymentEvent.objects.using(alias).bulk_create(events)
        return
    for event in events:  # MySQL doesn't tell the ids of rows inserted together.
        event.save(using=alias, force_insert=True)


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
