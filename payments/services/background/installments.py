"""Due installments: an event tells the shop, and agreed ones are charged off-session, at most once a day.

An installment that a bank refused, or for which it wants the customer, is left to the customer or the shop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

from django.db.models import BooleanField, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat
from django.utils import timezone

from payments.exceptions import OperationInProgressError, OutcomeUnknownError, PaymentError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.models.sessions import PaymentSessionQuerySet
from payments.providers.circuits import circuits
from payments.services.account_holders import charge_saved_payment_method
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.history import Origin
from payments.services.ledger.operations import survived
from payments.states import EventSource, OperationKind, OperationStatus, SessionStatus

logger = logging.getLogger("payments.installments")

COLLECTOR: Final = Origin(source=EventSource.SYSTEM)

PAUSE: Final = timedelta(days=1)
"""The shortest time between two attempts, also if the first one failed or its process died."""

PATIENCE: Final = timedelta(days=30)
"""How long after its due date an installment is still charged automatically; later, a person has to decide."""

CHALLENGE: Final = timedelta(hours=1)
"""How long a payer has to answer a bank's question before the installment is charged; repeated questions don't add."""

_ATTEMPT: Final = "session.charging"
_CHALLENGED: Final = "session.requires_more"
_DUE: Final = "session.due"

Progress = Callable[[PaymentSession], None]


def notify_due_installments(*, limit: int = 100, progress: Progress | None = None) -> int:
    """Write a `session.due` event for each installment that has fallen due, once; return how many."""
    due = _sessions().unauthorized().filter(due_at__lte=timezone.now())
    sessions = due.exclude(_has_event(_DUE)).order_by("status", "due_at")[:limit]
    return sum(_safely(_notify, session, progress) for session in sessions)


def charge_due_installments(*, limit: int = 100, progress: Progress | None = None) -> int:
    """Charge up to `limit` due installments with their customers' saved payment methods; return how many were tried.

    Only installments of a plan with `is_automatic` are charged, each once. They are charged also after a failed attempt
    of the payer, or if the payer hasn't answered the bank's question. An installment that couldn't be charged, for
    instance without a saved payment method, gets a `session.not_charged` event with the reason. The installments of a
    provider that leaves calls unanswered are left for later.
    """
    with circuits() as circuit:
        rows = _due().exclude(provider__in=circuit.open())
        # In the order of their index, so that they needn't all be sorted.
        ordered = rows.order_by("status", "due_at")[:limit]
        sessions: Iterator[PaymentSession] = circuit.answering(ordered, [])
        return sum(_safely(_charge, session, progress) for session in sessions)


def _safely(
    step: Callable[[PaymentSession], bool], session: PaymentSession, progress: Progress | None
) -> bool:
    """Run one installment's step and log any error; return whether the step is done.

    The step returns whether this worker did it; it may also have been another.
    """
    done: list[bool] = []
    error = survived(lambda: done.append(step(session)))
    if error is not None:
        logger.error("The due installment %s can't be seen to now.", session.pk, exc_info=error)
        if isinstance(error, KeyboardInterrupt):
            raise error
    if any(done) and progress is not None:
        progress(session)
    return error is None


def _sessions() -> PaymentSessionQuerySet:
    return PaymentSession.objects.select_related("collection")


def _has_event(event_type: str, **conditions: Any) -> Coalesce:
    """Return the condition that a session has such an event.

    It makes PostgreSQL look at the events of each session's collection, as far as sessions are needed. With a plain
    Exists it may read all events of a rare type, or all events, for each batch, as long as its statistics mislead it.
    """
    here = PaymentEvent.objects.filter(
        collection=OuterRef("collection"), session=OuterRef("pk"), **conditions
    )
    found = here.alias(kind=Concat("type", Value(""))).filter(kind=event_type).order_by()
    return Coalesce(Subquery(found.values_list(Value(True))[:1]), False, output_field=BooleanField())


def _answers() -> QuerySet[PaymentOperation]:
    """Return the shop's attempts at a session that a bank has refused, or for which it wanted the customer."""
    asked = PaymentOperation.objects.filter(session=OuterRef("pk"), is_by_payer=False)
    return asked.filter(
        Q(status=OperationStatus.DECLINED, kind__in=[OperationKind.INITIATE, OperationKind.AUTHORIZE])
        | Q(status=OperationStatus.SUCCEEDED, kind=OperationKind.AUTHORIZE)
    )


def _due() -> QuerySet[PaymentSession]:
    now = timezone.now()
    is_challenged = _has_event(_CHALLENGED, created_at__lte=now - CHALLENGE)
    # A payer's failed attempt doesn't end the agreement to be charged; a failed charge isn't repeated.
    came_to_nothing = Q(status=SessionStatus.ERROR) | Q(is_challenged, status=SessionStatus.REQUIRES_MORE)
    is_open = Q(status=SessionStatus.PENDING) | came_to_nothing
    # A new amount reopens a session; what the bank has answered the shop still holds. A try that never got there, or
    # one of the payer's, is no answer.
    is_answered = Exists(_answers().filter(created_at__gte=OuterRef("due_at")))
    rows = (
        _sessions()
        .unauthorized()
        .filter(is_open, ~Q(is_answered), is_automatic=True, due_at__lte=now, due_at__gt=now - PATIENCE)
    )
    under_way = PaymentOperation.objects.open().filter(session=OuterRef("pk"))
    return rows.exclude(_has_event(_ATTEMPT, created_at__gt=now - PAUSE)).exclude(Exists(under_way))


def _notify(session: PaymentSession) -> bool:
    def rule(books: Books) -> bool:
        told = PaymentEvent.objects.of(session).filter(type=_DUE)
        if told.exists():
            return False
        locked = books.session(session.pk)
        books.note(_DUE, locked, amount=locked.amount, data={"due_at": str(locked.due_at)})
        return True

    return keep(session.collection_id, rule, origin=COLLECTOR, scope=Scope())[1]


def _charge(session: PaymentSession) -> bool:
    if not _claim(session):
        return False
    try:
        charge_saved_payment_method(session, source=COLLECTOR.source)
    except PaymentError as error:
        is_unclear = isinstance(error, OutcomeUnknownError) and error.operation_id is not None
        if is_unclear or isinstance(error, OperationInProgressError):
            logger.info("%s is being worked on: %s", session.pk, error.code)
        else:
            _note_failure(session, error)
    return True


def _claim(session: PaymentSession) -> bool:
    """Note an attempt and return True, unless another worker has made one meanwhile."""

    def rule(books: Books) -> bool:
        if not _due().filter(pk=session.pk).exists():
            return False
        locked = books.session(session.pk)
        books.note(_ATTEMPT, locked, amount=locked.amount)
        return True

    return keep(session.collection_id, rule, origin=COLLECTOR, scope=Scope())[1]


def _note_failure(session: PaymentSession, error: PaymentError) -> None:
    def rule(books: Books) -> None:
        locked = books.session(session.pk)
        books.note("session.not_charged", locked, amount=locked.amount, data={"code": error.code})

    keep(session.collection_id, rule, origin=COLLECTOR, scope=Scope())
