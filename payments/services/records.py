"""The record: writes down what a provider answered, in one transaction, under the collection's lock.

If somebody else has recorded the operation meanwhile, as a webhook may, nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from payments.models import PaymentCollection, PaymentOperation
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
from payments.services.calls import call_for
from payments.services.checkpoints import Checkpoint, reach
from payments.services.discrepancies import Discrepancy, report_discrepancies
from payments.services.facts import apply_fact
from payments.services.journals import Journal
from payments.services.movements import captured_sum, fail_movement
from payments.services.operations import FIRST_RETRY, KEY_REFUSED, end_operation
from payments.services.origins import Origin
from payments.services.synchronization import learn_from_refusal
from payments.services.totals import settle
from payments.services.transactions import committed, lock_collection
from payments.services.transitions import change_amount, fail_session
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
"""What these did stays done. An update or a cancelation may have been overtaken by a later one."""

DECLINED: Final = Failure(code="declined")
NOT_SENT: Final = Failure(code="not_sent")
UNANSWERED: Final = Failure(code="outcome_unknown")


def run_operation(operation: PaymentOperation) -> PaymentOperation:
    """Call the provider for a claimed operation, record what it answers, and return the operation as it is then."""
    reach(Checkpoint.CLAIMED, operation)
    result = call_for(operation)
    reach(Checkpoint.CALLED, operation)
    recorded = record_result(operation, result)
    reach(Checkpoint.RECORDED, recorded)
    learn_from_refusal(recorded)
    return recorded


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Say who decided what became of an operation, and how they know."""

    actor: Any
    reason: str
    evidence: str = ""


def record_result(
    operation: PaymentOperation,
    result: ProviderResult,
    *,
    origin: Origin | None = None,
    resolution: Resolution | None = None,
) -> PaymentOperation:
    """Record a provider's answer to an operation, once, and return the operation as it is afterwards.

    With a `resolution`, the answer is not the provider's but a person's.
    """
    with committed():
        collection = lock_collection(operation.collection_id)
        current = _load(operation.pk, collection)
        if not _is_news(current, result):
            return current
        journal = Journal(collection=collection, origin=origin or Origin.of_operation(current))
        if resolution is None:
            _note_exchange(current, result)
        else:
            _note_resolution(current, resolution, journal)
        _RECORDS[Outcome(result.outcome)](current, result, journal)
        settle(collection, journal)
        reach(Checkpoint.RECORDING, current)
    return current


def _note_exchange(operation: PaymentOperation, result: ProviderResult) -> None:
    if result.exchange:
        operation.exchange = dict(result.exchange)
        operation.save_fields("exchange")


def _note_resolution(operation: PaymentOperation, resolution: Resolution, journal: Journal) -> None:
    operation.resolved_by = resolution.actor
    operation.resolution_reason = resolution.reason
    operation.resolution_evidence = resolution.evidence
    operation.save_fields("resolved_by", "resolution_reason", "resolution_evidence")
    journal.note(
        "operation.resolved",
        operation,
        operation=operation,
        data={"reason": resolution.reason, "evidence": resolution.evidence},
    )


def _load(operation_id: str, collection: PaymentCollection) -> PaymentOperation:
    """Read an operation and the rows it concerns, all sharing the locked collection."""
    rows = PaymentOperation.objects.select_related(
        "session__authorized_payment", "capture", "refund", "actor"
    )
    operation = rows.get(pk=operation_id)
    operation.collection = operation.session.collection = collection
    payment = operation.session.payment
    if payment is not None:
        payment.collection, payment.session = collection, operation.session
        operation.payment = payment if operation.payment_id else None
    for movement in (operation.capture, operation.refund):
        if movement is not None and payment is not None:
            movement.payment = payment
    return operation


def _is_news(operation: PaymentOperation, result: ProviderResult) -> bool:
    """Return whether an answer can tell something that isn't known.

    An operation that needs a person only heeds a certain answer. One that has ended, because a report was faster than
    the answer, still learns from a success: the money has moved, or the answer holds what the report didn't.
    """
    if not operation.is_open:
        return result.outcome == Outcome.SUCCEEDED and operation.kind in _LASTING
    if operation.status == OperationStatus.ATTENTION:
        return result.outcome in (Outcome.SUCCEEDED, Outcome.DECLINED)
    return True


def _record_success(operation: PaymentOperation, result: ProviderResult, journal: Journal) -> None:
    if _lacks_amount(operation, result):
        if operation.is_open:
            _record_unknown(operation, replace(result, failure=UNANSWERED), journal)
        return
    if isinstance(result, UpdateResult) and not _record_update(operation, result, journal):
        return
    if operation.kind == OperationKind.INITIATE and operation.session.initiated_at is None:
        operation.session.initiated_at = timezone.now()
        operation.session.save_fields("initiated_at")
        journal.note("session.initiated", operation.session, amount=operation.amount)
    if operation.kind == OperationKind.SYNC:
        end_operation(operation, operation.succeed, journal)
        return
    needs_attention = apply_fact(
        operation.session, _fact_of(operation, result), journal=journal, operation=operation
    )
    if operation.status != OperationStatus.SUCCEEDED and not needs_attention:
        end_operation(operation, operation.succeed, journal)


def _record_pending(operation: PaymentOperation, result: ProviderResult, journal: Journal) -> None:
    operation.next_attempt_at = timezone.now() + FIRST_RETRY
    operation.lease_expires_at = None
    if operation.status in (OperationStatus.PROCESSING, OperationStatus.UNKNOWN):
        end_operation(operation, operation.await_provider, journal)
    _wait_again(operation, journal)
    if isinstance(result, SessionResult):
        fact = _session_fact(operation, result, status=None)
        apply_fact(operation.session, fact, journal=journal, operation=operation)
    elif isinstance(result, MovementResult) and not _lacks_amount(operation, result):
        fact = _movement_fact(operation, result, MovementStatus.PENDING)
        apply_fact(operation.session, fact, journal=journal, operation=operation)


def _record_unknown(operation: PaymentOperation, result: ProviderResult, journal: Journal) -> None:
    operation.next_attempt_at = timezone.now() + FIRST_RETRY
    operation.lease_expires_at = None
    operation.error_code = UNANSWERED.code
    operation.detail = (result.failure or UNANSWERED).detail
    if operation.status in (OperationStatus.PROCESSING, OperationStatus.PENDING):
        end_operation(operation, operation.lose_track, journal)
    _wait_again(operation, journal)


def _wait_again(operation: PaymentOperation, journal: Journal) -> None:
    """Have a session say that it waits while an attempt is under way, and not what came of the one before."""
    is_attempt = operation.kind == OperationKind.AUTHORIZE
    if is_attempt and operation.session.status in (SessionStatus.ERROR, SessionStatus.REQUIRES_MORE):
        change_amount(operation.session, operation.session.amount, journal)


def _record_decline(operation: PaymentOperation, result: ProviderResult, journal: Journal) -> None:
    failure = result.failure or DECLINED
    operation.detail = failure.detail
    end_operation(
        operation, lambda: operation.decline(code=failure.code[:64], message=failure.message), journal
    )
    if operation.kind in (OperationKind.AUTHORIZE, OperationKind.INITIATE):
        _refuse_session(operation, failure, journal)
    _release(operation, failure, journal)
    if isinstance(result, RefundResult) and result.fact is not None:
        apply_fact(operation.session, result.fact, journal=journal)


def _record_not_sent(operation: PaymentOperation, result: ProviderResult, journal: Journal) -> None:
    if operation.status != OperationStatus.PROCESSING:
        return  # That this attempt went nowhere says nothing of an earlier one.
    failure = result.failure or NOT_SENT
    operation.detail = failure.detail
    code = KEY_REFUSED if failure.code == KEY_REFUSED else NOT_SENT.code
    end_operation(operation, lambda: operation.withdraw(code=code, message=failure.message), journal)
    if operation.kind == OperationKind.INITIATE:
        _refuse_session(operation, NOT_SENT, journal)
    _release(operation, NOT_SENT, journal)


_RECORDS: Final[dict[Outcome, Callable[[PaymentOperation, ProviderResult, Journal], None]]] = {
    Outcome.SUCCEEDED: _record_success,
    Outcome.PENDING: _record_pending,
    Outcome.UNKNOWN: _record_unknown,
    Outcome.DECLINED: _record_decline,
    Outcome.NOT_SENT: _record_not_sent,
}


def _refuse_session(operation: PaymentOperation, failure: Failure, journal: Journal) -> None:
    if operation.session.is_unauthorized:
        fail_session(operation.session, failure, journal)


def _release(operation: PaymentOperation, failure: Failure, journal: Journal) -> None:
    """Free what the operation had reserved."""
    row = operation.capture or operation.refund
    if row is not None and row.status == MovementStatus.PENDING:
        fail_movement(row, failure, journal)


def _record_update(operation: PaymentOperation, result: UpdateResult, journal: Journal) -> bool:
    """Record the new amount; return whether the provider has it as it was asked to."""
    session = operation.session
    reported = (result.amount, result.currency_code)
    if reported != (operation.amount, session.currency_code):
        difference = Discrepancy.between(
            AttentionReason.UPDATE_MISMATCH,
            expected=f"{operation.amount} {session.currency_code}",
            reported=f"{result.amount} {result.currency_code}",
        )
        report_discrepancies(session, [difference], journal=journal, operation=operation)
        return False
    if session.is_unauthorized:
        change_amount(session, operation.amount, journal, makes_split=operation.makes_split)
    return True


def _lacks_amount(operation: PaymentOperation, result: ProviderResult) -> bool:
    """Return whether a success doesn't say of how much, which can't be believed."""
    if isinstance(result, AuthorizeResult):
        return result.next_action is None and (result.amount is None or result.currency_code is None)
    if isinstance(result, MovementResult | UpdateResult):
        return result.amount is None or result.currency_code is None
    return False


def _fact_of(operation: PaymentOperation, result: ProviderResult) -> SessionFact:
    """Translate an answer into the fact that it states."""
    if isinstance(result, AuthorizeResult):
        return _authorization_fact(operation, result)
    if isinstance(result, SessionResult):
        status = SessionStatus.REQUIRES_MORE if result.next_action else None
        return _session_fact(operation, result, status=status)
    if isinstance(result, MovementResult):
        return _movement_fact(operation, result, MovementStatus.SUCCEEDED)
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
    operation: PaymentOperation, result: MovementResult, status: MovementStatus
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
        canceled_amount=_released(operation, result, amount),
        provider_data=result.provider_data,
    )


def _released(operation: PaymentOperation, result: MovementResult, amount: Decimal) -> Decimal | None:
    if not (isinstance(result, CaptureResult) and result.releases_remainder) or operation.payment is None:
        return None
    return operation.payment.amount - captured_sum(operation.payment) - amount
