"""What happens after a crash: time passes, and the background work finds what is left."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Min, Q
from django.db.models.functions import Coalesce, Greatest

from payments.models import PaymentEvent, PaymentOperation, WebhookEvent
from payments.services import process_due_events, publish_due, reconcile_due
from payments.states import OperationStatus, WebhookEventStatus
from tests.reliability.clocks import TestClock

WAITING = (OperationStatus.UNKNOWN, OperationStatus.PENDING)
UNPROCESSED = (WebhookEventStatus.RECEIVED, WebhookEventStatus.DEFERRED)
HORIZON = timedelta(days=4)


def let_time_pass(clock: TestClock, *, horizon: timedelta = HORIZON) -> int:
    """Run the background work whenever something is due, until nothing is; return how often that was.

    What waits for the provider for ever is waited for until the horizon.
    """
    end = clock.now() + horizon
    rounds = 0
    while (moment := _next_moment()) is not None and moment <= end:
        clock.advance_to(moment)
        run_due_work()
        rounds += 1
        assert rounds < 300, "something is due again and again"
    return rounds


def run_due_work() -> int:
    """Run the reconciler, the inbox and the outbox until none finds anything due; return how much there was."""
    total = 0
    while count := reconcile_due() + process_due_events() + publish_due():
        total += count
        assert total < 10_000, "something is due again and again"
    return total


def _next_moment() -> datetime | None:
    abandoned, waiting = Q(status=OperationStatus.PROCESSING), Q(status__in=WAITING)
    lease = Coalesce("lease_expires_at", "next_attempt_at")
    moments: Iterable[datetime | None] = (
        *PaymentOperation.objects.aggregate(
            abandoned=Min("lease_expires_at", filter=abandoned),
            waiting=Min(Greatest("next_attempt_at", lease), filter=waiting),
        ).values(),
        *PaymentEvent.objects.aggregate(
            unpublished=Min("lease_expires_at", filter=Q(published_at=None)), again=Min("next_attempt_at")
        ).values(),
        WebhookEvent.objects.filter(status__in=UNPROCESSED).aggregate(first=Min("next_attempt_at"))["first"],
    )
    return min((moment for moment in moments if moment is not None), default=None)
