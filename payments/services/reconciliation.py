"""The reconciler: finds out what became of operations whose outcome nobody recorded.

It asks the provider first. Only what the provider doesn't know of is sent again, under the same key and only as long as
that key protects; whatever stays unclear goes to a person. Nothing is ever failed by a timeout, or because a provider
doesn't know a session that it has made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from payments.exceptions import PaymentError, ProviderUnavailableError
from payments.models import PaymentOperation, PaymentSession
from payments.providers import BaseProvider, ProviderResult, RetrieveResult
from payments.services.calls import call_for
from payments.services.checkpoints import Checkpoint, reach
from payments.services.facts import record_fact
from payments.services.journals import Journal
from payments.services.leases import held_rows, lease_rows, new_owner
from payments.services.operations import FIRST_RETRY, end_operation
from payments.services.origins import Origin
from payments.services.providers import plugin_for
from payments.services.records import record_result
from payments.services.synchronization import retrieve
from payments.services.totals import settle
from payments.services.transactions import committed, lock_collection
from payments.states import (
    AttentionReason,
    EventSource,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
)

logger = logging.getLogger("payments.reconciler")

BACKOFF: Final = (
    FIRST_RETRY,
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""The pauses before each look at an operation. After the last look a person has to see to it."""

PATIENCE: Final = timedelta(days=30)
"""How long a provider may say “pending”: a bank takes days, but not for ever."""

MARGIN: Final = timedelta(minutes=10)
"""Our clock and the provider's may differ, so a key isn't trusted up to its last minute."""

RECONCILER: Final = Origin(source=EventSource.RECONCILER)

_WAITING: Final = (OperationStatus.UNKNOWN, OperationStatus.PENDING)
_UNRECORDED: Final = (OperationStatus.PROCESSING, *_WAITING)

Progress = Callable[[PaymentOperation], None]


def reconcile_due(*, limit: int = 100, owner: str | None = None, progress: Progress | None = None) -> int:
    """Look after up to `limit` operations that are due; return how many there were.

    Several workers may run side by side: each takes rows that no other has.
    """
    owner = owner or new_owner()
    operations = lease_rows(_due(), owner=owner, limit=limit)
    for operation in held_rows(operations, owner=owner):
        _reconcile_safely(operation)
        if progress is not None:
            progress(operation)
    return len(operations)


def reconcile_operation(operation: PaymentOperation) -> PaymentOperation:
    """Find out what became of one operation, and return it as it is then."""
    if operation.status == OperationStatus.PROCESSING:
        operation = _lose_track(operation)
    if operation.status not in _WAITING:
        return operation
    try:
        plugin = plugin_for(operation.session)
    except ProviderUnavailableError:
        return _require_attention(operation, AttentionReason.PROVIDER_NOT_CONFIGURED)
    answer = _ask(operation) if plugin.supports_retrieve else None
    if answer is not None and answer.outcome != Outcome.SUCCEEDED:
        return _reschedule(operation)
    operation.refresh_from_db()
    return _go_on(operation, plugin, is_found=answer is None or answer.fact is not None)


def _go_on(operation: PaymentOperation, plugin: BaseProvider[Any], *, is_found: bool) -> PaymentOperation:
    """Do what is left to be done about an operation after its provider was asked.

    `is_found` tells that the provider knows the operation's session, or can't be asked whether it does.
    """
    if operation.status == OperationStatus.PENDING:
        return _wait(operation) if plugin.supports_retrieve else _reschedule(operation)
    if operation.status != OperationStatus.UNKNOWN:
        return operation
    if not _is_protected(operation, plugin.key_window(OperationKind(operation.kind))):
        return _require_attention(operation, AttentionReason.NOT_FOUND_AFTER_KEY_WINDOW)
    return _send_again(operation, is_found=is_found)


def _due() -> QuerySet[PaymentOperation]:
    now = timezone.now()
    abandoned = Q(status=OperationStatus.PROCESSING, lease_expires_at__lte=now)
    waiting = Q(status__in=_WAITING, next_attempt_at__lte=now)
    return PaymentOperation.objects.filter(abandoned | waiting).order_by("created_at", "id")


def _reconcile_safely(operation: PaymentOperation) -> None:
    """Reconcile one operation, so that its trouble doesn't keep the others waiting."""
    try:
        reconcile_operation(operation)
    except PaymentError as error:
        logger.warning("Operation %s can't be reconciled now: %s", operation.pk, error.code)
        _postpone(operation)
    except Exception:
        logger.exception("Operation %s can't be reconciled now.", operation.pk)
        _postpone(operation)


def _postpone(operation: PaymentOperation) -> None:
    """Look again later at an operation that can't even be looked after."""
    try:
        operation.refresh_from_db()
        if operation.status in _WAITING:
            _reschedule(operation)
    except Exception:
        logger.exception("Operation %s keeps its lease until that expires.", operation.pk)


def _lose_track(operation: PaymentOperation) -> PaymentOperation:
    return record_result(operation, ProviderResult(outcome=Outcome.UNKNOWN), origin=RECONCILER)


def _ask(operation: PaymentOperation) -> RetrieveResult:
    """Record what the provider knows of the operation's session, and return its answer."""
    answer = retrieve(operation.session)
    if answer.outcome == Outcome.SUCCEEDED and answer.fact is not None:
        record_fact(operation.session, answer.fact, origin=RECONCILER)
    return answer


def _send_again(operation: PaymentOperation, *, is_found: bool) -> PaymentOperation:
    """Send an operation that the provider doesn't know of once more, under its own key."""
    rows = PaymentOperation.objects.filter(pk=operation.pk, status=OperationStatus.UNKNOWN)
    if not rows.update(attempts=operation.attempts + 1):
        operation.refresh_from_db()
        return operation
    reach(Checkpoint.CLAIMED, operation)
    result = call_for(operation)
    reach(Checkpoint.CALLED, operation)
    is_elsewhere = not is_found and operation.kind != OperationKind.INITIATE
    if result.outcome == Outcome.NOT_SENT or (is_elsewhere and result.outcome == Outcome.DECLINED):
        # That this attempt went nowhere says nothing of the first one. Neither does the refusal of a provider that
        # doesn't know what it has made itself, as one doesn't that is shown the credentials of another account.
        result = replace(result, outcome=Outcome.UNKNOWN)
    if result.outcome == Outcome.SUCCEEDED and _may_be_overtaken(operation):
        return _look_whether_it_lasts(operation, result)
    current = record_result(operation, result, origin=RECONCILER)
    return _reschedule(current) if current.status in _WAITING else current


def _may_be_overtaken(operation: PaymentOperation) -> bool:
    """Return whether a payer authorized what an operation was to abandon, at a provider that can be asked.

    What it is told then may be its first answer, repeated under the same key, and older than the authorization.
    """
    is_abandonment = operation.kind == OperationKind.CANCEL and operation.target_id == operation.session_id
    session = PaymentSession.objects.select_related("authorized_payment").get(pk=operation.session_id)
    return is_abandonment and session.payment is not None and plugin_for(session).supports_retrieve


def _look_whether_it_lasts(operation: PaymentOperation, result: ProviderResult) -> PaymentOperation:
    """Have the provider say how things stand after a cancelation; a person sees to what is held all the same."""
    if _ask(operation).outcome != Outcome.SUCCEEDED:
        return _reschedule(operation)
    operation.session.refresh_from_db()
    if operation.session.status == SessionStatus.CANCELED:
        return record_result(operation, result, origin=RECONCILER)
    return _require_attention(operation, AttentionReason.LATE_AUTHORIZATION)


def _is_protected(operation: PaymentOperation, window: timedelta | None) -> bool:
    """Return whether the operation's key still keeps it from being done twice."""
    return window is None or timezone.now() - operation.created_at < window - MARGIN


def _reschedule(operation: PaymentOperation) -> PaymentOperation:
    """Look again later, each time after a longer pause; after the last look a person has to."""
    if operation.checks + 1 >= len(BACKOFF):
        return _require_attention(operation, AttentionReason.UNRESOLVED)
    return _look_again(operation)


def _wait(operation: PaymentOperation) -> PaymentOperation:
    """Look again later at what the provider itself says is pending."""
    if timezone.now() - operation.created_at > PATIENCE:
        return _require_attention(operation, AttentionReason.STILL_PENDING)
    return _look_again(operation)


def _look_again(operation: PaymentOperation) -> PaymentOperation:
    pause = BACKOFF[min(operation.checks + 1, len(BACKOFF) - 1)]
    PaymentOperation.objects.filter(pk=operation.pk, status__in=_WAITING).update(
        checks=operation.checks + 1,
        next_attempt_at=timezone.now() + pause,
        lease_owner="",
        lease_expires_at=None,
    )
    operation.refresh_from_db()
    return operation


def _require_attention(operation: PaymentOperation, reason: AttentionReason) -> PaymentOperation:
    with committed():
        collection = lock_collection(operation.collection_id)
        current = PaymentOperation.objects.select_related("session", "payment", "capture", "refund").get(
            pk=operation.pk
        )
        if current.status not in _UNRECORDED:
            return current
        journal = Journal(collection=collection, origin=RECONCILER)
        end_operation(current, lambda: current.require_attention(detail=reason), journal)
        settle(collection, journal)
    return current
