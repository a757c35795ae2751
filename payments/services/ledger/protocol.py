"""The protocol of every verb that calls a provider: claim → call → record.

The claim is committed before the call, and no transaction or lock is held during the call. An answer is recorded once;
an uncertain outcome stays open until the reconciler has found it out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import Error
from django.utils import timezone

from payments.exceptions import PaymentError, ProviderUnavailableError
from payments.models import PaymentOperation
from payments.providers import Failure
from payments.providers.calls import check_no_transaction
from payments.services.ledger.books import Books, Scope, keep
from payments.services.ledger.calls import call_for, provider_for, retrieve
from payments.services.ledger.claims import refusal_of_call
from payments.services.ledger.facts import keep_fact
from payments.services.ledger.history import Origin, check_access, note_claim, served_request
from payments.services.ledger.locks import LEASE, CommitInDoubtError, drop_lost_connection
from payments.services.ledger.operations import (
    Checkpoint,
    is_abandonment,
    outcome_unknown,
    partly_done,
    raise_for_outcome,
    reach,
)
from payments.services.ledger.records import record_answer, record_not_sent
from payments.services.ledger.totals import refresh_totals
from payments.states import OperationKind, OperationStatus, Outcome
from payments.stored import kept_words

logger = logging.getLogger("payments.ledger")

Claim = Callable[[Books], Sequence[PaymentOperation]]

LATE: Final = timedelta(milliseconds=50)
"""How long after its claim a call is still made without checking the books again."""

_TELLING: Final = frozenset(
    {OperationKind.UPDATE, OperationKind.CAPTURE, OperationKind.REFUND, OperationKind.CANCEL}
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation after its call, and the error that prevented the call or the record, if there was one."""

    operation: PaymentOperation
    error: PaymentError | None = None

    def raise_for_outcome(self) -> None:
        """Raise the step's error, or the one that its operation stands for, unless it succeeded or is pending."""
        if self.error is not None:
            raise self.error
        raise_for_outcome(self.operation)


@dataclass(kw_only=True)
class Performance:
    """The result of a claim: the books as last written, and a step for every operation, in order."""

    books: Books
    steps: list[Step]

    def raise_first(self, *, has_begun: bool = False) -> Books:
        """Raise the first error among the steps, or return the books. All steps have been carried out in any case.

        With `has_begun`, what the claim itself has changed stays, whatever comes of the steps.
        """
        try:
            for step in self.steps:
                step.raise_for_outcome()
        except ProviderUnavailableError as error:
            if has_begun or any(step.operation.status == OperationStatus.SUCCEEDED for step in self.steps):
                raise partly_done(error) from error
            raise
        return self.books


def perform(collection_id: str, claim: Claim, *, origin: Origin, scope: Scope | None = None) -> Performance:
    """Claim and commit; then call the provider for each claimed operation, and record its answer.

    Raises what the claim raises, with nothing changed, and OpenTransactionError.
    """
    check_no_transaction()
    books, operations = _claimed(collection_id, claim, origin, scope or Scope())
    performance = Performance(books=books, steps=[])
    for operation in operations:
        step = _carry_out(performance, operation)
        performance.steps.append(step)
        if step.error is None:
            note_claim(operation.pk, step.operation)
    return performance


def _claimed(
    collection_id: str, claim: Claim, origin: Origin, scope: Scope
) -> tuple[Books, Sequence[PaymentOperation]]:
    latest: list[PaymentOperation] = []

    def rule(books: Books) -> Sequence[PaymentOperation]:
        check_access(books.collection)
        latest[:] = claim(books)
        for operation in latest:
            provider_for(operation)
        return tuple(latest)

    try:
        claimed = keep(collection_id, rule, origin=origin, scope=scope, ending=_about_to_commit)
    except CommitInDoubtError as error:
        if not latest:
            raise
        # Nothing was sent, but if the claim was committed, the reconciler will send it.
        drop_lost_connection()
        _note(latest)
        raise outcome_unknown(latest[0].pk) from error
    _note(latest)
    return claimed


def _note(operations: Sequence[PaymentOperation]) -> None:
    for operation in operations:
        note_claim(operation.pk)


def _about_to_commit(operations: Sequence[PaymentOperation]) -> None:
    """Check that the HTTP request which claims these operations still holds its idempotency key."""
    request = served_request()
    if operations and request is not None:
        request.hold()
    for operation in operations:
        reach(Checkpoint.CLAIMING, operation)


def _carry_out(performance: Performance, operation: PaymentOperation) -> Step:
    """Call the provider for an operation and record its answer; an error is kept in the step."""
    reach(Checkpoint.CLAIMED, operation)
    try:
        refusal = _look_again(performance, operation)
        current = performance.books.operation(operation.pk)
        if refusal is None and current.status == OperationStatus.PROCESSING:
            current = call_and_record(performance, current)
        return Step(operation=current, error=refusal)
    except PaymentError as error:
        return Step(operation=operation, error=error)
    except Error as error:
        logger.exception("%s: the database failed while the operation was under way.", operation.pk)
        drop_lost_connection()
        unknown = outcome_unknown(operation.pk)
        unknown.__cause__ = error
        return Step(operation=operation, error=unknown)


def call_and_record(performance: Performance, operation: PaymentOperation) -> PaymentOperation:
    """Call the provider for an operation in the books, record the answer, and return the updated operation."""
    result = call_for(operation)
    reach(Checkpoint.CALLED, operation)
    performance.books, recorded = record_answer(performance.books, operation, result)
    reach(Checkpoint.RECORDED, recorded)
    return _learn_from_refusal(performance, recorded)


def _look_again(performance: Performance, operation: PaymentOperation) -> PaymentError | None:
    """Return the reason not to make a late call, or renew the operation's lease and return None.

    The collection may have changed since the claim, by the payer, the bank or the reconciler, which takes over
    abandoned operations. The cancelation of a session is always checked again, since its payer may just have paid.
    """
    age = timezone.now() - operation.created_at
    is_prompt = not performance.steps and timedelta(0) <= age < LATE
    if is_prompt and not is_abandonment(operation):
        return None
    books = performance.books
    is_current = age < LEASE / 2 and books.is_current()
    if is_current and refusal_of_call(books, books.operation(operation.pk)) is None:
        return None

    def rule(books: Books) -> PaymentError | None:
        current = books.operation(operation.pk)
        if current.status != OperationStatus.PROCESSING:
            return None
        if current.lease_owner:
            return outcome_unknown(current.pk)
        current.lease_expires_at = timezone.now() + LEASE
        refusal = refusal_of_call(books, current)
        if refusal is not None:
            record_not_sent(books, current, Failure(code=refusal.code, message=kept_words(refusal)))
            refresh_totals(books)
        return refusal

    performance.books, refusal = keep(operation.collection_id, rule, origin=performance.books.origin)
    return refusal


def _learn_from_refusal(performance: Performance, operation: PaymentOperation) -> PaymentOperation:
    """Ask a provider for the session's state after a refusal, and record what it reports.

    The session has often changed: the payer may have paid, or an operator may have captured in the provider's
    dashboard. If the provider can't be asked right now, only the refusal is recorded.
    """
    if operation.status != OperationStatus.DECLINED or operation.kind not in _TELLING:
        return operation
    try:
        result = retrieve(operation.session)
        if result.outcome != Outcome.SUCCEEDED or (fact := result.fact) is None:
            return operation
        performance.books, _session = keep_fact(
            operation.session, fact, origin=performance.books.origin.finding()
        )
        return performance.books.operation(operation.pk)
    except PaymentError as error:
        logger.info("%s can't be looked up after a refusal: %s", operation.session_id, error.code)
    except Error:
        logger.exception("%s can't be looked up after a refusal.", operation.session_id)
        drop_lost_connection()
    return operation
