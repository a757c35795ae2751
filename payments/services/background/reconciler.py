"""The reconciler: recovers unknown outcomes of operations; it doesn't compare the books with a provider's statements.

It asks the provider first and sends again, under the same idempotency key, only what the provider doesn't know. A
timeout never fails an operation, and what stays unclear needs attention.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import OperationInProgressError, PaymentError, ProviderUnavailableError
from payments.models import PaymentOperation
from payments.providers import BaseProvider, ProviderResult, RetrieveResult
from payments.providers.circuits import circuits
from payments.services.collections import fit_outgrown
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.calls import call_for, is_protected_by_key, provider_for, retrieve
from payments.services.ledger.claims import refusal_of_call
from payments.services.ledger.facts import record_fact
from payments.services.ledger.history import Origin
from payments.services.ledger.locks import (
    LEASE,
    RETRIES,
    LeaseLostError,
    lease_rows,
    new_owner,
    reconnecting,
    release_rows,
)
from payments.services.ledger.operations import (
    Checkpoint,
    is_abandonment,
    note_attention,
    reach,
    survived,
)
from payments.services.ledger.records import mark_unknown, record_answer
from payments.services.ledger.totals import refresh_totals
from payments.states import (
    AttentionReason,
    EventSource,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
)

logger = logging.getLogger("payments.reconciler")

PATIENCE: Final = timedelta(days=30)
"""How long an operation may stay pending at its provider before it needs attention; banks may take days."""

RECONCILER: Final = Origin(source=EventSource.RECONCILER)

_WAITING: Final = (OperationStatus.UNKNOWN, OperationStatus.PENDING)
_UNRECORDED: Final = (OperationStatus.PROCESSING, *_WAITING)

Progress = Callable[[PaymentOperation], None]


def reconcile_due(*, limit: int = 100, owner: str | None = None, progress: Progress | None = None) -> int:
    """Do the next step for up to `limit` due operations; return how many there were.

    Several workers may run at the same time: each leases other rows. The operations of a provider that leaves calls
    unanswered are left for later.
    """
    owner = owner or new_owner()
    with circuits() as circuit:
        operations: list[PaymentOperation] = []
        for due in _due():
            rest = limit - len(operations)
            operations += lease_rows(due.exclude(provider__in=circuit.open()), owner=owner, limit=rest)
        left: list[PaymentOperation] = []
        for operation in circuit.answering(operations, left):
            if _reconcile_safely(operation) and progress is not None:
                reconnecting(operation.refresh_from_db)
                progress(operation)
        release_rows(left)
    return len(operations) - len(left)


def reconcile_operation(operation: PaymentOperation, *, owner: str = "") -> PaymentOperation:
    """Do the next step for one operation, and return the updated operation.

    `owner` is the worker that has leased it. Raises LeaseLostError if the lease has passed to another worker.
    """
    return _take_step(_Turn(operation, owner))


def reconcile_now(operation: PaymentOperation, *, origin: Origin) -> PaymentOperation:
    """Do the next step for an open operation at once, on request; return the updated operation.

    The scheduled retries aren't used up. Raises OperationInProgressError if a worker is processing the operation.
    """
    turn = _Turn(operation, "", origin=origin, is_extra=True)
    turn.take(new_owner())
    try:
        return _take_step(turn)
    except LeaseLostError:
        return reconnecting(lambda: PaymentOperation.objects.get(pk=operation.pk))
    except Exception:
        survived(turn.release)
        raise


def _take_step(turn: _Turn) -> PaymentOperation:
    operation = _next_step(turn)
    if operation.kind == OperationKind.AUTHORIZE:
        fit_outgrown(operation.collection_id)
    return operation


def _next_step(turn: _Turn) -> PaymentOperation:
    current = turn.begin()
    if current.status not in _WAITING:
        return current
    try:
        provider = provider_for(current)
    except ProviderUnavailableError:
        return turn.require_attention(AttentionReason.PROVIDER_NOT_CONFIGURED)
    # An answer that isn't a success proves nothing: a retry under the same key is safe only once the provider has
    # answered that it doesn't know the operation.
    answer = turn.ask() if provider.supports_retrieve else None
    if answer is not None and answer.outcome != Outcome.SUCCEEDED:
        return turn.reschedule()
    if not turn.decide(provider):
        return turn.operation
    return turn.send(is_found=answer is None or answer.fact is not None)


class _Turn:
    """One worker's step for one operation: `operation` is the row as it was last written, in `books`.

    An extra turn (`is_extra`) was requested, in addition to those of the backoff. Each write checks under the lock that
    the worker still has the lease.
    """

    def __init__(
        self,
        operation: PaymentOperation,
        owner: str,
        *,
        origin: Origin = RECONCILER,
        is_extra: bool = False,
    ) -> None:
        self.operation = operation
        self.owner = owner
        self.origin = origin
        self.is_extra = is_extra

    def keep(self, rule: Callable[[Books, PaymentOperation], Any]) -> Any:
        """Apply a rule to the operation in its collection's books; raise LeaseLostError if another worker has it."""

        def with_operation(books: Books) -> tuple[PaymentOperation, Any]:
            current = books.operation(self.operation.pk)
            if current.is_open and current.lease_owner != self.owner and self.owner:
                raise LeaseLostError(current.pk)
            return current, rule(books, current)

        scope = Scope(payment_id=self.operation.payment_id, operation_id=self.operation.pk)
        self.books, (self.operation, result) = keep(
            self.operation.collection_id, with_operation, origin=self.origin, scope=scope
        )
        return result

    def take(self, owner: str) -> None:
        """Lease the operation; raise OperationInProgressError if a worker has a lease on it."""

        def rule(_books: Books, current: PaymentOperation) -> None:
            if current.status not in _UNRECORDED:
                return
            if current.lease_expires_at is not None and current.lease_expires_at > timezone.now():
                raise OperationInProgressError(
                    _("The provider is being asked about this right now. Look again in a minute."),
                    operation_id=current.pk,
                )
            current.lease_owner, current.lease_expires_at = owner, timezone.now() + LEASE

        self.keep(rule)
        self.owner = owner

    def release(self) -> None:
        """End the lease, and leave the operation due at the time that was scheduled."""
        self.keep(_release)

    def begin(self) -> PaymentOperation:
        """Renew the lease, and record the outcome of a call as unknown if its caller has died."""

        def rule(books: Books, current: PaymentOperation) -> None:
            if self.owner != current.lease_owner and self.owner:
                raise LeaseLostError(current.pk)
            if current.status == OperationStatus.PROCESSING:
                mark_unknown(books, current)
                refresh_totals(books)
            if current.is_open and self.owner:
                current.lease_owner, current.lease_expires_at = self.owner, timezone.now() + LEASE

        self.keep(rule)
        return self.operation

    def ask(self) -> RetrieveResult:
        """Ask the provider about the operation's session, record its fact, and return the answer."""
        asked_at = timezone.now()
        answer = retrieve(self.operation.session)
        if answer.outcome == Outcome.SUCCEEDED and answer.fact is not None:
            record_fact(self.operation.session, answer.fact, origin=self.origin, asked_at=asked_at)
        return answer

    def decide(self, provider: BaseProvider[Any]) -> bool:
        """Return whether to send the operation again, after its provider was asked; otherwise schedule what is next."""
        is_protected = is_protected_by_key(provider, self.operation)

        def rule(books: Books, current: PaymentOperation) -> bool:
            if current.status == OperationStatus.PENDING:
                self._pause(books, current, _wait if provider.supports_retrieve else _look_later)
            if current.status != OperationStatus.UNKNOWN:
                return False
            # Without the key's protection, sending it again could move the money twice.
            if not is_protected:
                _attend(books, current, AttentionReason.NOT_FOUND_AFTER_KEY_WINDOW)
                return False
            if _is_overtaken(books, current):
                is_paid = is_abandonment(current) or current.kind == OperationKind.UPDATE
                _attend(
                    books,
                    current,
                    AttentionReason.LATE_AUTHORIZATION if is_paid else AttentionReason.OVERTAKEN,
                )
                return False
            current.attempts += 1
            return True

        return bool(self.keep(rule))

    def send(self, *, is_found: bool) -> PaymentOperation:
        """Send an operation that the provider doesn't know again, under the same idempotency key.

        `is_found` means that the provider knows the operation's session, or can't be asked about it.
        """
        reach(Checkpoint.CLAIMED, self.operation)
        if not self._is_still_ours():
            return self.operation
        operation = self.operation
        result = call_for(operation)
        reach(Checkpoint.CALLED, operation)
        is_elsewhere = not is_found and operation.kind != OperationKind.INITIATE
        if result.outcome == Outcome.NOT_SENT or (is_elsewhere and result.outcome == Outcome.DECLINED):
            # An attempt that wasn't sent doesn't show that the first one wasn't. Nor does a refusal by a provider that
            # doesn't know its own session: it was probably called with the credentials of another account.
            result = replace(result, outcome=Outcome.UNKNOWN)
        if result.outcome == Outcome.SUCCEEDED and self._may_be_overtaken():
            return self._look_whether_it_lasts(result)
        return self._record(result)

    def reschedule(self) -> PaymentOperation:
        """Schedule the next retry according to the backoff; after the last one the operation needs attention."""
        self.keep(lambda books, current: self._pause(books, current, _look_later))
        return self.operation

    def require_attention(self, reason: AttentionReason) -> PaymentOperation:
        """Have the operation need attention, unless it has ended meanwhile."""

        def rule(books: Books, current: PaymentOperation) -> None:
            if current.status in _UNRECORDED:
                _attend(books, current, reason)

        self.keep(rule)
        return self.operation

    def _pause(
        self, books: Books, current: PaymentOperation, pause: Callable[[Books, PaymentOperation], None]
    ) -> None:
        """Put the operation back with a pause; after an extra turn, with its schedule unchanged."""
        if self.is_extra:
            _release(books, current)
        else:
            pause(books, current)

    def _is_still_ours(self) -> bool:
        """Return whether the operation may still be sent: not ended, taken over or overtaken since the decision."""

        def rule(books: Books, current: PaymentOperation) -> bool:
            return bool(current.status == OperationStatus.UNKNOWN and not _is_overtaken(books, current))

        return self.books.is_current() or bool(self.keep(rule))

    def _record(self, result: ProviderResult) -> PaymentOperation:
        if result.outcome != Outcome.UNKNOWN:
            self.books, self.operation = record_answer(self.books, self.operation, result)
            return self.operation

        def rule(books: Books, current: PaymentOperation) -> None:
            if current.status == OperationStatus.UNKNOWN:
                mark_unknown(books, current, result)
                self._pause(books, current, _look_later)

        self.keep(rule)
        return self.operation

    def _may_be_overtaken(self) -> bool:
        """Return whether a session may be held although its cancelation succeeded, at a provider that can be asked.

        Under the same key a provider repeats its first answer, which may be older than an authorization.
        """
        operation = self.operation
        may_repeat = is_abandonment(operation) and operation.attempts > 1
        return may_repeat and provider_for(operation).supports_retrieve

    def _look_whether_it_lasts(self, result: ProviderResult) -> PaymentOperation:
        """Ask the provider for the session's state after a cancelation; require attention if it is held anyway."""
        answer = self.ask()
        if answer.outcome != Outcome.SUCCEEDED:
            return self.reschedule()
        self.keep(lambda _books, _current: None)
        if self.operation.session.payment is None or self.operation.session.status == SessionStatus.CANCELED:
            return self._record(result)
        return self.require_attention(AttentionReason.LATE_AUTHORIZATION)


def _due() -> tuple[QuerySet[PaymentOperation], QuerySet[PaymentOperation]]:
    """Return the abandoned and the waiting operations in the order of their index, so that a batch reads only its rows.

    Together, in one query, they would all have to be sorted.
    """
    now, rows = timezone.now(), PaymentOperation.objects.order_by("status", "next_attempt_at")
    abandoned = rows.filter(status=OperationStatus.PROCESSING, lease_expires_at__lte=now)
    return abandoned, rows.filter(status__in=_WAITING, next_attempt_at__lte=now)


def _reconcile_safely(operation: PaymentOperation) -> bool:
    """Reconcile one operation, log any error, and return whether this worker still had the lease."""
    owner = operation.lease_owner
    error = survived(lambda: reconcile_operation(operation, owner=owner))
    if error is None or isinstance(error, LeaseLostError):
        return error is None
    if isinstance(error, PaymentError):
        logger.warning("Operation %s can't be reconciled now: %s", operation.pk, error.code)
    else:
        logger.error("Operation %s can't be reconciled now.", operation.pk, exc_info=error)
    later = survived(lambda: _put_back(operation, owner))
    if later is not None and not isinstance(later, LeaseLostError):
        logger.error("Operation %s keeps its lease until that expires.", operation.pk, exc_info=later)
    if isinstance(error, KeyboardInterrupt):
        raise error
    return True


def _put_back(operation: PaymentOperation, owner: str) -> None:
    """Schedule the retry of an operation whose step raised."""
    turn = _Turn(operation, owner)
    turn.begin()
    if turn.operation.status in _WAITING:
        turn.reschedule()


def _is_overtaken(books: Books, operation: PaymentOperation) -> bool:
    """Return whether an operation must not be sent again because of what has happened since its claim."""
    # A capture may be sent even if less is held now: a provider never captures more than it holds, and its refusal is
    # certain. An initiation moves no money.
    if operation.kind == OperationKind.CAPTURE:
        return not books.has_reserved(operation)
    return operation.kind != OperationKind.INITIATE and refusal_of_call(books, operation) is not None


def _look_later(books: Books, operation: PaymentOperation) -> None:
    if operation.status not in _WAITING:
        return
    if operation.checks + 1 >= len(RETRIES):
        _attend(books, operation, AttentionReason.UNRESOLVED)
    else:
        _pause(operation)


def _wait(books: Books, operation: PaymentOperation) -> None:
    """Schedule the next look at an operation that the provider reports as pending."""
    if timezone.now() - operation.created_at > PATIENCE:
        _attend(books, operation, AttentionReason.STILL_PENDING)
    else:
        _pause(operation)


def _pause(operation: PaymentOperation) -> None:
    pause = RETRIES[min(operation.checks + 1, len(RETRIES) - 1)]
    operation.checks += 1
    operation.next_attempt_at = timezone.now() + pause
    operation.end_lease()


def _release(_books: Books, operation: PaymentOperation) -> None:
    if operation.is_open:
        operation.end_lease()


def _attend(books: Books, operation: PaymentOperation, reason: AttentionReason) -> None:
    note_attention(books, operation, reason)
    refresh_totals(books)
