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
from payments.services.ledger.operations import survived
from payments.services.payments import cancel_payment
from payments.services.sessions import cancel_payment_session
from payments.services.sync import sync_payment_session
from payments.states import OPEN_OPERATION_STATUSES, EventSource, OperationKind, PaymentStatus

logger = logging.getLogger("payments.expiry")

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
    """How many one sweep canceled, and how many it must leave for the next."""

    canceled: int
    left: int


def sweep_expired(*, limit: int = 100, progress: Progress | None = None) -> SweepReport:
    """Cancel up to `limit` expired sessions and as many expired authorizations.

    Whatever is in the middle of something else, or whose provider can't be reached, is left for the next sweep.
    """
    rows: list[PaymentSession | Payment] = [*_expired_sessions(limit), *_expired_payments(limit)]
    canceled = 0
    for row in rows:
        canceled += _cancel_safely(row)
        if progress is not None:
            progress(row)
    return SweepReport(canceled=canceled, left=len(rows) - canceled)


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


def _cancel_safely(row: PaymentSession | Payment) -> bool:
    """Cancel one row, so that its trouble doesn't keep the others waiting; return whether that settled it.

    What can't be canceled stands behind what wasn't tried yet in the next sweep: see `_is_stuck`.
    """
    outcome: list[bool] = []
    error = survived(lambda: outcome.append(_cancel(row)))
    if error is not None:
        logger.error("%s has expired and can't be canceled.", row.pk, exc_info=error)
        if isinstance(error, KeyboardInterrupt):
            raise error
    return any(outcome)


def _cancel(row: PaymentSession | Payment) -> bool:
    try:
        if isinstance(row, PaymentSession):
            cancel_payment_session(row, source=EventSource.SYSTEM)
        else:
            cancel_payment(row, source=EventSource.SYSTEM)
    except PaymentError as error:
        logger.info("%s has expired and can't be canceled now: %s", row.pk, error.code)
        return _look_instead(row)
    return True


def _look_instead(row: PaymentSession | Payment) -> bool:
    """Ask the provider where a row stands that it wouldn't cancel; return whether that settled it."""
    session = row if isinstance(row, PaymentSession) else row.session
    try:
        sync_payment_session(session, source=EventSource.SYSTEM)
    except PaymentError as error:
        logger.info("%s can't be looked up now: %s", session.pk, error.code)
        return False
    row.refresh_from_db()
    return not (row.is_unauthorized if isinstance(row, PaymentSession) else row.capturable_amount)
