"""The expiry sweeper: what was not authorized or captured in time is canceled.

The history says that it had expired, in the same transaction as the cancelation, whoever finds out about that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from payments.exceptions import PaymentError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.services.journals import Journal
from payments.services.origins import Origin
from payments.services.payments import cancel_payment
from payments.services.sessions import cancel_payment_session
from payments.services.synchronization import sync_payment_session
from payments.services.transactions import committed, lock_collection
from payments.states import OPEN_OPERATION_STATUSES, EventSource, OperationKind, PaymentStatus

logger = logging.getLogger("payments.expiry")

SWEEPER: Final = Origin(source=EventSource.SYSTEM)

PATIENCE: Final = timedelta(hours=1)
"""How long what couldn't be canceled stands behind what wasn't tried yet."""

_HOLDING: Final = (
    PaymentStatus.AUTHORIZED,
    PaymentStatus.PARTIALLY_CAPTURED,
    PaymentStatus.PARTIALLY_REFUNDED,
)

Progress = Callable[[PaymentSession | Payment], None]


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """Count what one sweep canceled, and what it must leave for the next."""

    canceled: int
    left: int


def sweep_expired(*, limit: int = 100, progress: Progress | None = None) -> SweepReport:
    """Cancel up to `limit` expired sessions and as many expired authorizations.

    Whatever is in the middle of something else, or whose provider can't be reached, is left for the next sweep.
    """
    rows: list[PaymentSession | Payment] = [*_expired_sessions(limit), *_expired_payments(limit)]
    canceled = 0
    for row in rows:
        canceled += _cancel(row)
        if progress is not None:
            progress(row)
    return SweepReport(canceled=canceled, left=len(rows) - canceled)


def notify_due_installments(
    *, limit: int = 100, progress: Callable[[PaymentSession], None] | None = None
) -> int:
    """Write a `session.due` event for each installment that has fallen due, once; return how many."""
    due = PaymentSession.objects.unauthorized().filter(due_at__lte=timezone.now())
    sessions = due.exclude(events__type="session.due").select_related("collection").order_by("due_at")[:limit]
    return sum(_notify(session, progress) for session in sessions)


def _expired_sessions(limit: int) -> list[PaymentSession]:
    rows = PaymentSession.objects.unauthorized().filter(expires_at__lte=timezone.now())
    return list(rows.select_related("collection").order_by(_is_stuck("session"), "expires_at")[:limit])


def _expired_payments(limit: int) -> list[Payment]:
    rows = Payment.objects.filter(status__in=_HOLDING, expires_at__lte=timezone.now())
    held = rows.filter(amount__gt=F("captured_amount") + F("canceled_amount"))
    related = held.select_related("session__collection")
    return list(related.order_by(_is_stuck("payment"), "expires_at")[:limit])


def _is_stuck(name: str) -> Exists:
    """Tell what a sweep has tried of late, or can't try yet: it comes last, so that it doesn't keep others waiting."""
    operations = PaymentOperation.objects.filter(**{name: OuterRef("pk")})
    is_tried = Q(kind=OperationKind.CANCEL, created_at__gt=timezone.now() - PATIENCE)
    return Exists(operations.filter(is_tried | Q(status__in=OPEN_OPERATION_STATUSES)))


def _cancel(row: PaymentSession | Payment) -> bool:
    try:
        if isinstance(row, PaymentSession):
            cancel_payment_session(row, source=SWEEPER.source)
        else:
            cancel_payment(row, source=SWEEPER.source)
    except PaymentError as error:
        logger.info("%s has expired and can't be canceled now: %s", row.pk, error.code)
        return _look_instead(row)
    return True


def _look_instead(row: PaymentSession | Payment) -> bool:
    """Ask the provider where a row stands that it wouldn't cancel; return whether that settled it."""
    session = row if isinstance(row, PaymentSession) else row.session
    try:
        sync_payment_session(session, source=SWEEPER.source)
    except PaymentError as error:
        logger.info("%s can't be looked up now: %s", session.pk, error.code)
        return False
    row.refresh_from_db()
    return not (row.is_unauthorized if isinstance(row, PaymentSession) else row.capturable_amount)


def _notify(session: PaymentSession, progress: Callable[[PaymentSession], None] | None) -> bool:
    with committed():
        journal = Journal(collection=lock_collection(session.collection_id), origin=SWEEPER)
        if session.events.filter(type="session.due").exists():
            return False
        journal.note("session.due", session, amount=session.amount, data={"due_at": str(session.due_at)})
        journal.write()
    if progress is not None:
        progress(session)
    return True
