"""The record: writes a provider's answer into the books, once.

A webhook or worker may have recorded the operation meanwhile; then nothing is recorded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from payments.models import PaymentOperation, PaymentSession
from payments.providers import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    Failure,
    MovementFact,
    MovementResult,
    ProviderResult,
    RefundResult,
    SessionFact,
    SessionResult,
    UpdateResult,
)
from payments.services.ledger.books import WHOLE, Books, amend, keep
from payments.services.ledger.discrepancies import Discrepancy, report_discrepancies
from payments.services.ledger.facts import apply_fact, check_word, other_reference
from payments.services.ledger.history import Origin
from payments.services.ledger.locks import RETRIES
from payments.services.ledger.movements import fail_movement
from payments.services.ledger.operations import (
    KEY_REFUSED,
    Checkpoint,
    has_changed_hands,
    is_abandonment,
    is_recorded,
    reach,
)
from payments.services.ledger.payers import renew_context
from payments.services.ledger.statements import DatabaseNow
from payments.services.ledger.totals import change_amount, fail_session, refresh_totals
from payments.states import (
    AttentionReason,
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
)

_LASTING: Final = (
    OperationKind.INITIATE,
    OperationKind.AUTHORIZE,
    OperationKind.CAPTURE,
    OperationKind.REFUND,
)
"""Operations whose effect is permanent. An update or a cancelation may have been superseded by a later one."""

DECLINED: Final = Failure(code="declined")
NOT_SENT: Final = Failure(code="not_sent")
UNANSWERED: Final = Failure(code="outcome_unknown")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """A person's decision about an operation, and how they know.

    The history keeps `told`. A correction (`is_correction`) replaces an earlier decision.
    """

    actor: Any
    reason: str
    evidence: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    is_correction: bool = False


def record_answer(
    books: Books, operation: PaymentOperation, result: ProviderResult
) -> tuple[Books, PaymentOperation]:
    """Record a provider's answer to an operation in the books in which it was claimed, or in new ones.

    Return the books and the updated operation in them. Raises as `check_word` does.
    """

    as_sent = (operation.status, operation.attempts, operation.lease_owner)

    def rule(current: Books) -> PaymentOperation:
        found = current.operation(operation.pk)
        return _recorded(current, found, result) if _counts(found, as_sent, result) else found

    fact = getattr(result, "fact", None)
    if fact is not None:
        check_word(operation.session, fact)
        # A fact may report captures and refunds that aren't in these books.
        return keep(books.collection.pk, rule, origin=books.origin, ending=_recording)
    return amend(books, rule, scope=WHOLE, ending=_recording)


def record_result(
    operation: PaymentOperation,
    result: ProviderResult,
    *,
    origin: Origin | None = None,
) -> PaymentOperation:
    """Record an operation's outcome, and return the updated operation; `origin` defaults to the operation's own."""

    def rule(books: Books) -> PaymentOperation:
        return _recorded(books, books.operation(operation.pk), result)

    told_by = origin or Origin.of_operation(operation)
    _books, recorded = keep(operation.collection_id, rule, origin=told_by, ending=_recording)
    return recorded


def record_word(
    books: Books,
    operation: PaymentOperation,
    result: ProviderResult,
    resolution: Resolution,
    accepted: Collection[AttentionReason] = (),
) -> None:
    """Record a person's statement as the provider's answer; the `accepted` reasons need no attention."""
    if not _is_news(operation, result):
        return
    note_resolution(books, operation, resolution)
    if result.outcome == Outcome.SUCCEEDED:
        _record_success(books, operation, result, accepted)
    else:
        _record_decline(books, operation, result)
    refresh_totals(books)


def note_resolution(books: Books, operation: PaymentOperation, resolution: Resolution) -> None:
    """Record who has decided about an operation, and why."""
    operation.resolved_by = resolution.actor
    operation.resolution_reason = resolution.reason
    operation.resolution_evidence = resolution.evidence
    books.note(
        "operation.corrected" if resolution.is_correction else "operation.resolved",
        operation,
        operation=operation,
        data={"reason": resolution.reason, "evidence": resolution.evidence, **resolution.told},
    )


def mark_unknown(
    books: Books,
    operation: PaymentOperation,
    result: ProviderResult | None = None,
) -> None:
    """Record that an operation's outcome is unknown; the caller refreshes the totals."""
    _record_unknown(books, operation, result or ProviderResult(outcome=Outcome.UNKNOWN))


def _counts(operation: PaymentOperation, as_sent: tuple[str, int, str], result: ProviderResult) -> bool:
    """Return whether an answer still counts for an operation that another process may have taken over meanwhile."""
    if result.outcome == Outcome.SUCCEEDED:  # Money that has moved has moved.
        return True
    # A refusal of one attempt doesn't rule out that a later one succeeded.
    if result.outcome == Outcome.DECLINED:
        return bool(operation.attempts == as_sent[1])
    # An uncertain answer must not overwrite what the other process has found out.
    return (operation.status, operation.attempts, operation.lease_owner) == as_sent


def _recording(operation: PaymentOperation) -> None:
    reach(Checkpoint.RECORDING, operation)


def _recorded(books: Books, operation: PaymentOperation, result: ProviderResult) -> PaymentOperation:
    if not _is_news(operation, result):
        return operation
    if result.provider_log:
        operation.provider_log = dict(result.provider_log)
    _RECORDS[Outcome(result.outcome)](books, operation, result)
    refresh_totals(books)
    return operation


def _is_news(operation: PaymentOperation, result: ProviderResult) -> bool:
    """Return whether an answer adds to what is known of an operation."""
    # A report may have ended the operation before the answer came. A success still counts: it may contain what the
    # report didn't.
    if not operation.is_open:
        return result.outcome == Outcome.SUCCEEDED and operation.kind in _LASTING
    # Only a certain answer changes an operation that needs attention, and a refusal doesn't undo money that has moved.
    if operation.status == OperationStatus.ATTENTION:
        is_refusal = result.outcome == Outcome.DECLINED and not is_recorded(operation)
        return is_refusal or result.outcome == Outcome.SUCCEEDED
    return True


def _record_success(
    books: Books,
    operation: PaymentOperation,
    result: ProviderResult,
    accepted: Collection[AttentionReason] = (),
) -> None:
    if _lacks_amount(operation, result):
        if operation.is_open:
            _record_unknown(books, operation, replace(result, failure=UNANSWERED))
        return
    if isinstance(result, UpdateResult) and not _record_update(books, operation, result):
        return
    if operation.kind == OperationKind.INITIATE and operation.session.initiated_at is None:
        operation.session.initiated_at = timezone.now()
    if operation.kind == OperationKind.SYNC:
        operation.succeed()
        return
    if _is_older_than_an_authorization(operation, result):
        late = Discrepancy.between(
            AttentionReason.LATE_AUTHORIZATION,
            expected=SessionStatus.CANCELED,
            reported=SessionStatus.AUTHORIZED,
        )
        report_discrepancies(books, operation.session, [late], operation=operation)
        return
    fact = _fact_of(books, operation, result)
    needs_attention = apply_fact(books, operation.session, fact, operation=operation, accepted=accepted)
    if operation.status != OperationStatus.SUCCEEDED and not needs_attention:
        operation.succeed()


def _is_older_than_an_authorization(operation: PaymentOperation, result: ProviderResult) -> bool:
    """Return whether a cancelation's answer is older than a report that the session is authorized.

    An answer that includes the authorization is newer than the report, and describes the present state.
    """
    fact = result.fact if isinstance(result, CancelResult) else None
    knows_of_it = fact is not None and bool(fact.authorized_amount)
    return is_abandonment(operation) and operation.session.is_held and not knows_of_it


def _record_pending(books: Books, operation: PaymentOperation, result: ProviderResult) -> None:
    _look_soon(operation)
    if operation.status in (OperationStatus.PROCESSING, OperationStatus.UNKNOWN):
        operation.await_provider()
    _wait_again(books, operation)
    if isinstance(result, SessionResult):
        fact = _session_fact(operation, result, status=None)
        apply_fact(books, operation.session, fact, operation=operation)
    elif isinstance(result, MovementResult) and not _lacks_amount(operation, result):
        fact = _movement_fact(books, operation, result, MovementStatus.PENDING)
        apply_fact(books, operation.session, fact, operation=operation)


def _record_unknown(books: Books, operation: PaymentOperation, result: ProviderResult) -> None:
    _look_soon(operation)
    operation.error_code = UNANSWERED.code
    operation.detail = (result.failure or UNANSWERED).detail
    if operation.status in (OperationStatus.PROCESSING, OperationStatus.PENDING):
        operation.mark_unknown()
        operation.unclear_since = DatabaseNow()
    _wait_again(books, operation)


def _look_soon(operation: PaymentOperation) -> None:
    operation.next_attempt_at = timezone.now() + RETRIES[0]
    operation.lease_owner, operation.lease_expires_at = "", None


def _wait_again(books: Books, operation: PaymentOperation) -> None:
    """Set a session back to waiting while an attempt is under way, whatever the previous attempt has left."""
    is_attempt = operation.kind == OperationKind.AUTHORIZE
    if is_attempt and operation.session.status in (SessionStatus.ERROR, SessionStatus.REQUIRES_MORE):
        change_amount(books, operation.session, operation.session.amount)


def _record_decline(books: Books, operation: PaymentOperation, result: ProviderResult) -> None:
    failure = result.failure or DECLINED
    operation.detail = failure.detail
    operation.decline(code=failure.code[:64], message=failure.message)
    if operation.kind in (OperationKind.AUTHORIZE, OperationKind.INITIATE):
        _fail_session(books, operation, failure)
    _release(books, operation, failure)
    if isinstance(result, AuthorizeResult) and result.is_missing:
        _forget_initiation(operation.session)
    if isinstance(result, RefundResult) and result.fact is not None:
        apply_fact(books, operation.session, result.fact)


def _record_not_sent(books: Books, operation: PaymentOperation, result: ProviderResult) -> None:
    if operation.status != OperationStatus.PROCESSING:
        return  # An earlier attempt may have been sent, though this one wasn't.
    record_not_sent(books, operation, result.failure or NOT_SENT)


def record_not_sent(books: Books, operation: PaymentOperation, failure: Failure) -> None:
    """Record that a claimed operation certainly wasn't sent, and release what it had reserved."""
    operation.detail = failure.detail
    code = KEY_REFUSED if failure.code == KEY_REFUSED else NOT_SENT.code
    operation.mark_not_sent(code=code, message=failure.message)
    if operation.kind == OperationKind.INITIATE:
        _fail_session(books, operation, NOT_SENT)
    _release(books, operation, NOT_SENT)


_RECORDS: Final[dict[Outcome, Callable[[Books, PaymentOperation, ProviderResult], None]]] = {
    Outcome.SUCCEEDED: _record_success,
    Outcome.PENDING: _record_pending,
    Outcome.UNKNOWN: _record_unknown,
    Outcome.DECLINED: _record_decline,
    Outcome.NOT_SENT: _record_not_sent,
}


def _fail_session(books: Books, operation: PaymentOperation, failure: Failure) -> None:
    session = operation.session
    if session.is_unauthorized:
        fail_session(books, session, failure)
    if session.initiated_at is None and has_changed_hands(books, operation):
        renew_context(books, session)


def _forget_initiation(session: PaymentSession) -> None:
    """Have a session that its provider no longer has begin anew with the next try; an installment can't be replaced."""
    if session.is_unauthorized:
        session.initiated_at = session.provider_reference = session.next_action = None
        session.data, session.provider_data = {}, {}


def _release(books: Books, operation: PaymentOperation, failure: Failure) -> None:
    """Release what an operation had reserved."""
    row = operation.capture or operation.refund
    if row is not None and row.status == MovementStatus.PENDING:
        fail_movement(books, row, failure)


def _record_update(books: Books, operation: PaymentOperation, result: UpdateResult) -> bool:
    """Record a session's new amount; return whether the provider reports what was requested."""
    session = operation.session
    if (known := other_reference(session, result.provider_reference)) is not None:
        code = AttentionReason.REFERENCE_MISMATCH
        difference = Discrepancy.between(code, expected=known, reported=result.provider_reference)
        report_discrepancies(books, session, [difference], operation=operation)
        return False
    reported = (result.amount, result.currency_code)
    if reported != (operation.amount, session.currency_code):
        difference = Discrepancy.between(
            AttentionReason.UPDATE_MISMATCH,
            expected=f"{operation.amount} {session.currency_code}",
            reported=f"{result.amount} {result.currency_code}",
        )
        report_discrepancies(books, session, [difference], operation=operation)
        return False
    if session.is_unauthorized:
        change_amount(books, session, operation.amount, makes_split=operation.makes_split)
    return True


def _lacks_amount(operation: PaymentOperation, result: ProviderResult) -> bool:
    """Return whether a success lacks its amount or currency: such an answer isn't trusted."""
    if isinstance(result, AuthorizeResult):
        return result.next_action is None and (result.amount is None or result.currency_code is None)
    if isinstance(result, MovementResult | UpdateResult):
        return result.amount is None or result.currency_code is None
    return False


def _fact_of(books: Books, operation: PaymentOperation, result: ProviderResult) -> SessionFact:
    """Translate an answer into the fact that it reports."""
    if isinstance(result, AuthorizeResult):
        return _authorization_fact(operation, result)
    if isinstance(result, SessionResult):
        status = SessionStatus.REQUIRES_MORE if result.next_action else None
        return _session_fact(operation, result, status=status)
    if isinstance(result, MovementResult):
        return _movement_fact(books, operation, result, MovementStatus.SUCCEEDED)
    if isinstance(result, CancelResult) and result.fact is not None:
        return result.fact
    return SessionFact(currency_code=operation.currency_code, status=SessionStatus.CANCELED)


def _authorization_fact(operation: PaymentOperation, result: AuthorizeResult) -> SessionFact:
    if result.next_action is not None:
        return _session_fact(operation, result, status=SessionStatus.REQUIRES_MORE)
    fact = _session_fact(operation, result, status=SessionStatus.AUTHORIZED)
    return replace(
        fact,
        currency_code=str(result.currency_code),
        authorized_amount=result.amount,
        captured_amount=result.captured_amount,
    )


def _session_fact(
    operation: PaymentOperation, result: SessionResult, *, status: SessionStatus | None
) -> SessionFact:
    return SessionFact(
        currency_code=operation.currency_code,
        status=status,
        provider_reference=result.provider_reference,
        next_action=result.next_action,
        data=result.data,
        provider_data=result.provider_data,
        expires_at=result.expires_at,
    )


def _movement_fact(
    books: Books, operation: PaymentOperation, result: MovementResult, status: MovementStatus
) -> SessionFact:
    amount = Decimal(0) if result.amount is None else result.amount
    movement = MovementFact(
        kind=MovementKind(operation.kind),
        status=status,
        amount=amount,
        currency_code=str(result.currency_code),
        operation_id=operation.pk,
        provider_reference=result.provider_reference,
    )
    return SessionFact(
        currency_code=operation.currency_code,
        movements=(movement,),
        canceled_amount=_released(books, operation, result, amount),
        provider_data=result.provider_data,
    )


def _released(
    books: Books, operation: PaymentOperation, result: MovementResult, amount: Decimal
) -> Decimal | None:
    """Return how much a payment no longer holds after a capture that releases the remainder, else None.

    Other pending captures don't count as released: they may still succeed. A report may have recorded this capture
    already, so that it is counted once.
    """
    payment, capture = operation.payment, operation.capture
    if not (isinstance(result, CaptureResult) and result.releases_remainder) or payment is None:
        return None
    taken = books.succeeded(payment, MovementKind.CAPTURE) + books.pending(payment, MovementKind.CAPTURE)
    is_counted = capture is not None and capture.status in (MovementStatus.PENDING, MovementStatus.SUCCEEDED)
    return Decimal(payment.amount - taken - (0 if is_counted else amount))
