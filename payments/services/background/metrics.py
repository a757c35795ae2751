"""Figures about the background work, for an operator's monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connections
from django.db.models import Min
from django.utils import timezone

from payments.models import PaymentEvent, PaymentOperation, PaymentProvider, WebhookEvent
from payments.services.ledger.locks import database_alias
from payments.states import OperationStatus, WebhookEventStatus

_UNRESOLVED: Final = (OperationStatus.PROCESSING, OperationStatus.UNKNOWN, OperationStatus.ATTENTION)
"""The statuses in which it isn't known whether money moved; “pending” isn't one, as the provider has accepted that."""

_WAITING: Final = (WebhookEventStatus.RECEIVED, WebhookEventStatus.DEFERRED)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of one moment; ages and lags are in seconds, 0 if nothing waits.

    `oldest_unresolved_operation_seconds` is the age of the oldest operation, per provider, of which it isn't known
    whether it moved money. `inbox_lag_seconds` is how long a webhook event has been due, `outbox_lag_seconds` how long
    an event of ours has waited for its signal. `attention_count` operations need attention, and `failed_event_count`
    webhook events have no retry left.
    """

    oldest_unresolved_operation_seconds: Mapping[str, float]
    inbox_lag_seconds: float
    outbox_lag_seconds: float
    attention_count: int
    failed_event_count: int


def ask_database() -> None:
    """Run the cheapest query there is; raise the database's error if it can't be reached."""
    with connections[database_alias()].cursor() as cursor:
        cursor.execute("SELECT 1")


def current_figures() -> Figures:
    """Return the present figures, with five queries, each on an index."""
    now = timezone.now()
    waiting = WebhookEvent.objects.filter(status__in=_WAITING, next_attempt_at__lte=now)
    unpublished = PaymentEvent.objects.filter(published_at__isnull=True)
    return Figures(
        oldest_unresolved_operation_seconds=_oldest_unresolved(now),
        inbox_lag_seconds=_age(waiting.aggregate(at=Min("next_attempt_at"))["at"], now),
        outbox_lag_seconds=_age(unpublished.aggregate(at=Min("created_at"))["at"], now),
        attention_count=PaymentOperation.objects.open().filter(status=OperationStatus.ATTENTION).count(),
        failed_event_count=WebhookEvent.objects.filter(status=WebhookEventStatus.FAILED).count(),
    )


def _oldest_unresolved(now: datetime) -> dict[str, float]:
    unresolved = PaymentOperation.objects.open().filter(status__in=_UNRESOLVED).order_by()
    oldest = dict(
        unresolved.values_list("provider").annotate(at=Min("created_at")).values_list("provider", "at")
    )
    known = PaymentProvider.objects.order_by("id").values_list("pk", flat=True)
    return {provider_id: _age(oldest.get(provider_id), now) for provider_id in known}


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max((now - moment).total_seconds(), 0.0)
