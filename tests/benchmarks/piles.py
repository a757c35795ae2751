"""Piles of work for the background jobs: unpaid orders that `seed` has made, with something due, changed by SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

from django.db.models import F, QuerySet
from django.utils import timezone

from payments.models import AccountHolder, PaymentEvent, PaymentOperation, PaymentSession, WebhookEvent
from payments.providers import SessionFact, encode_fact
from payments.services.providers import provider_row
from payments.states import OperationKind, OperationStatus, SessionStatus

BATCH: Final = 1_000
CARD: Final = "card"


class Piles:
    """Makes work out of rows that nobody has used yet."""

    @cached_property
    def _sessions(self) -> list[str]:
        unpaid = PaymentSession.objects.filter(status=SessionStatus.PENDING)
        return list(unpaid.order_by("-id").values_list("pk", flat=True))

    @cached_property
    def _created(self) -> list[int]:
        events = PaymentEvent.objects.filter(type="collection.created")
        return list(events.order_by("-id").values_list("pk", flat=True))

    def add(self, job: str, rows: int) -> None:
        """Have so many more rows of a job fall due."""
        unused: list[Any] = self._created if job == "outbox" else self._sessions
        assert len(unused) >= rows, f"Only {len(unused)} rows are left to make work of."
        for first in range(0, rows, BATCH):
            FILL[job]([unused.pop() for _ in range(min(BATCH, rows - first))])


def _receive(sessions: Sequence[str]) -> None:
    """Have an event about each session in the inbox, which tells of its authorization."""
    rows = PaymentSession.objects.filter(pk__in=sessions)
    WebhookEvent.objects.bulk_create(
        WebhookEvent(
            provider_id=session.provider_id,
            event_id=f"evt_{session.pk}",
            type="authorized",
            session=session,
            fact=encode_fact(
                SessionFact(
                    currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=session.amount
                )
            ),
            next_attempt_at=timezone.now(),
        )
        for session in rows
    )


def _lose(sessions: Sequence[str]) -> None:
    """Have an authorization of each session of which nobody knows what became."""
    rows: QuerySet[PaymentOperation] = QuerySet(PaymentOperation)  # the model's own refuses other statuses
    rows.bulk_create(
        PaymentOperation(
            kind=OperationKind.AUTHORIZE,
            status=OperationStatus.UNKNOWN,
            target_id=session.pk,
            in_flight_key=PaymentOperation.key_in_flight(target_id=session.pk, kind=OperationKind.AUTHORIZE),
            collection_id=session.collection_id,
            session=session,
            provider_id=session.provider_id,
            amount=session.amount,
            attempts=1,
            next_attempt_at=timezone.now(),
        )
        for session in PaymentSession.objects.filter(pk__in=sessions)
    )


def _leave_untold(events: Sequence[int]) -> None:
    """Have nobody been told of these events."""
    PaymentEvent.objects.filter(pk__in=events).update(published_at=None)


def _expire(sessions: Sequence[str]) -> None:
    """Have the sessions be expired."""
    PaymentSession.objects.filter(pk__in=sessions).update(expires_at=F("created_at"))


def _fall_due(sessions: Sequence[str]) -> None:
    """Have the sessions be installments that are due today, whose customers have saved a card."""
    provider_row(CARD)
    rows = PaymentSession.objects.filter(pk__in=sessions)
    customers = set(rows.values_list("collection__customer_id", flat=True))
    AccountHolder.objects.bulk_create(
        [
            AccountHolder(provider_id=CARD, customer_id=customer, provider_reference=f"account_{customer}")
            for customer in customers
        ],
        ignore_conflicts=True,
    )
    rows.update(provider=CARD, is_automatic=True, due_at=timezone.now())


FILL: Final[dict[str, Callable[[Sequence[Any]], None]]] = {
    "inbox": _receive,
    "reconciler": _lose,
    "outbox": _leave_untold,
    "expiry": _expire,
    "charges": _fall_due,
}
