"""The expiry sweeper: sessions that weren't authorized, and payments that weren't captured in time, are canceled.

The event of the expiry is written in the same transaction as the cancelation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from payments.exceptions import PaymentError
from payments.models import Payment, PaymentOperation, PaymentSession
from payments.providers.circuits import Circuits, circuits
from payments.services.ledger.books import Books, Scope
from payments.services.ledger.claims import claim_abandonment, claim_release
from payments.services.ledger.history import Origin
from payments.services.ledger.operations import survived
from payments.services.ledger.protocol import perform
from payments.services.ledger.totals import refresh_totals
from payments.services.sync import sync_payment_session
from payments.states import (
    OPEN_OPERATION_STATUSES,
    EventSource,
    OperationKind,
    PaymentStatus,
    SessionStatus,
)

logger = logging.getLogger("payments.expiry")

SWEEPER: Final = Origin(source=EventSource.SYSTEM)

PATIENCE: Final = timedelta(hours=1)
"""How long a row that couldn't be canceled is sorted behind the rows that weren't tried yet."""

_HOLDING: Final = (
    PaymentStatus.AUTHORIZED,
    PaymentStatus.PARTIALLY_CAPTURED,
    PaymentStatus.PARTIALLY_REFUNDED,
)

Progress = Callable[[PaymentSession | Payment], None]


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """How many rows one sweep canceled, and how many it left for the next.

    `seen_to` counts the rows that were tried for the first time and don't come first in the next sweep.
    """

    canceled: int
    left: int
    seen_to: int


def sweep_expired(*, limit: int = 100, progress: Progress | None = None) -> SweepReport:
    """Cancel up to `limit` expired sessions and as many expired authorizations.

    A row that has an open operation, or whose provider can't be reached, is left for the next sweep, and sorted behind
    the rows that weren't tried yet.
    """
    canceled = left = seen_to = 0
    with circuits() as circuit:
        rows = [*_first(_expired_sessions(), limit, circuit), *_first(_expired_payments(), limit, circuit)]
        waiting: list[PaymentSession | Payment] = []
        for row in circuit.answering(rows, waiting):
            is_over = _cancel_safely(row)
            canceled += is_over and _is_canceled(row)
            left += not is_over
            seen_to += is_over or (not vars(row)["is_stuck"] and _is_behind(row))
            if progress is not None:
                progress(row)
    return SweepReport(canceled=canceled, left=left + len(waiting), seen_to=seen_to)


def _expired_sessions() -> QuerySet[PaymentSession]:
    rows = PaymentSession.objects.unauthorized().filter(expires_at__lte=timezone.now())
    return rows.select_related("collection")


def _expired_payments() -> QuerySet[Payment]:
    rows = Payment.objects.filter(status__in=_HOLDING, expires_at__lte=timezone.now())
    held = rows.filter(amount__gt=F("captured_amount") + F("canceled_amount"))
    return held.select_related("session__collection")


def _first(rows: QuerySet[Any], limit: int, circuit: Circuits) -> list[Any]:
    """Return up to `limit` rows, those that are stuck last, in the order of their index, so that none is sorted."""
    ordered = rows.exclude(provider__in=circuit.open()).order_by("status", "expires_at")
    stuck = _is_stuck(_name_of(rows.model))
    found = list(ordered.exclude(stuck).annotate(is_stuck=Value(False))[:limit])
    behind = ordered.filter(stuck).annotate(is_stuck=Value(True))
    return [*found, *behind[: limit - len(found)]]


def _is_stuck(name: str) -> Exists:
    """Return the condition that a row was tried recently, or can't be tried yet; it is sorted last."""
    operations = PaymentOperation.objects.filter(**{name: OuterRef("pk")})
    is_tried = Q(kind=OperationKind.CANCEL, created_at__gt=timezone.now() - PATIENCE)
    return Exists(operations.filter(is_tried | Q(status__in=OPEN_OPERATION_STATUSES)))


def _is_behind(row: PaymentSession | Payment) -> bool:
    return type(row)._default_manager.filter(_is_stuck(_name_of(type(row))), pk=row.pk).exists()


def _name_of(model: type[Any]) -> str:
    return "session" if model is PaymentSession else "payment"


def _cancel_safely(row: PaymentSession | Payment) -> bool:
    """Cancel one row and log any error; return whether nothing is left to cancel."""
    outcome: list[bool] = []
    error = survived(lambda: outcome.append(_cancel(row)))
    if error is not None:
        logger.error("%s has expired and can't be canceled.", row.pk, exc_info=error)
        if isinstance(error, KeyboardInterrupt):
            raise error
    return any(outcome)


def _cancel(row: PaymentSession | Payment) -> bool:
    def claim(books: Books) -> Sequence[PaymentOperation]:
        operations = _claim(books, row)
        refresh_totals(books)
        return operations

    is_session = isinstance(row, PaymentSession)
    scope = Scope(session_id=row.pk) if is_session else Scope(payment_id=row.pk)
    try:
        perform(row.collection_id, claim, origin=SWEEPER, scope=scope).raise_first()
    except PaymentError as error:
        logger.info("%s has expired and can't be canceled now: %s", row.pk, error.code)
        return _look_instead(row)
    return _is_done(row)


def _claim(books: Books, row: PaymentSession | Payment) -> Sequence[PaymentOperation]:
    """Claim the cancelation of a row, if it is still expired now that the collection is locked."""
    now = timezone.now()
    if isinstance(row, PaymentSession):
        session = books.session(row.pk)
        return claim_abandonment(books, session) if session.is_expired(now) else ()
    payment = books.payment(row.pk)
    is_expired = payment.expires_at is not None and payment.expires_at <= now
    return claim_release(books, payment) if is_expired else ()


def _look_instead(row: PaymentSession | Payment) -> bool:
    """Ask the provider for the state of a row that it refused to cancel; return whether nothing is left to cancel."""
    session = row if isinstance(row, PaymentSession) else row.session
    try:
        sync_payment_session(session, source=SWEEPER.source)
    except PaymentError as error:
        logger.info("%s can't be looked up now: %s", session.pk, error.code)
        return False
    return _is_done(row)


def _is_canceled(row: PaymentSession | Payment) -> bool:
    """Return whether a row was canceled, rather than paid or extended meanwhile."""
    return (
        row.status == SessionStatus.CANCELED if isinstance(row, PaymentSession) else row.canceled_amount > 0
    )


def _is_done(row: PaymentSession | Payment) -> bool:
    """Read a row again, and return whether nothing of it is left to cancel."""
    row.refresh_from_db()
    return not (row.is_unauthorized if isinstance(row, PaymentSession) else row.capturable_amount)
