"""Charging due installments by themselves, while their customers are away.

Only where the plan says that the customer has agreed to it. One attempt a day for each installment: what a bank has
refused, and where it wants the customer, is for the customer or the shop to go on with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from payments.exceptions import OperationInProgressError, OutcomeUnknownError, PaymentError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.services.account_holders import charge_saved_payment_method
from payments.services.claims import lock_session
from payments.services.journals import Journal
from payments.services.origins import Origin
from payments.services.transactions import committed
from payments.states import EventSource, SessionStatus

logger = logging.getLogger("payments.dues")

COLLECTOR: Final = Origin(source=EventSource.SYSTEM)

PAUSE: Final = timedelta(days=1)
"""How long an attempt that came to nothing, or whose process died, keeps the next from being made."""

PATIENCE: Final = timedelta(days=30)
"""How long after its day an installment is still charged by itself; later a person has to look."""

_ATTEMPT: Final = "session.charging"

Progress = Callable[[PaymentSession], None]


def charge_due_installments(*, limit: int = 100, progress: Progress | None = None) -> int:
    """Charge up to `limit` due installments with what their customers have saved; return how many were tried.

    Only those of a plan that was made with `is_automatic`, which nobody has tried to authorize yet. One that couldn't
    be charged, for want of a saved payment method, say, gets a `session.not_charged` event with the reason.
    """
    return sum(_charge(session, progress) for session in _due().order_by("due_at", "id")[:limit])


def _due() -> QuerySet[PaymentSession]:
    now = timezone.now()
    rows = PaymentSession.objects.filter(
        is_automatic=True, status=SessionStatus.PENDING, due_at__lte=now, due_at__gt=now - PATIENCE
    )
    attempts = PaymentEvent.objects.filter(session=OuterRef("pk"), type=_ATTEMPT, created_at__gt=now - PAUSE)
    under_way = PaymentOperation.objects.open().filter(session=OuterRef("pk"))
    return rows.exclude(Exists(attempts)).exclude(Exists(under_way)).select_related("collection")


def _charge(session: PaymentSession, progress: Progress | None) -> bool:
    if not _claim(session):
        return False
    try:
        charge_saved_payment_method(session, source=COLLECTOR.source)
    except (OperationInProgressError, OutcomeUnknownError) as error:
        logger.info("%s is being worked on: %s", session.pk, error.code)
    except PaymentError as error:
        _note_failure(session, error)
    if progress is not None:
        progress(session)
    return True


def _claim(session: PaymentSession) -> bool:
    """Note an attempt, unless another worker has made one meanwhile."""
    with committed():
        locked = lock_session(session)
        if not _due().filter(pk=session.pk).exists():
            return False
        journal = Journal(collection=locked.collection, origin=COLLECTOR)
        journal.note(_ATTEMPT, locked, amount=locked.amount)
        journal.write()
    return True


def _note_failure(session: PaymentSession, error: PaymentError) -> None:
    with committed():
        locked = lock_session(session)
        journal = Journal(collection=locked.collection, origin=COLLECTOR)
        journal.note("session.not_charged", locked, amount=locked.amount, data={"code": error.code})
        journal.write()
