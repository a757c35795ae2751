"""Finding out what became of an operation: by asking the provider at once, or by a person's decision, with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import InputError, TransitionError
from payments.models import PaymentEvent, PaymentOperation
from payments.providers import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    Failure,
    InitiateResult,
    ProviderResult,
    RefundResult,
    UpdateResult,
)
from payments.providers.handler import check_no_transaction
from payments.services.background.reconciler import reconcile_now
from payments.services.ledger.discrepancies import Discrepancy
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import reconnecting
from payments.services.ledger.operations import is_recorded, raise_for_outcome
from payments.services.ledger.records import Resolution, record_result
from payments.services.sync import events_since, last_event_of, synchronize
from payments.states import EventSource, OperationKind, OperationStatus, Outcome

__all__ = [
    "Discrepancy",
    "Finding",
    "check_operation",
    "check_resolution",
    "is_unclear",
    "look_into",
    "raise_for_outcome",
    "resolve_operation",
    "resolved_amount",
]

NOT_DONE: Final = Failure(code="resolved_as_not_done")

_RESULTS: Final[dict[OperationKind, Callable[..., ProviderResult]]] = {
    OperationKind.INITIATE: InitiateResult,
    OperationKind.UPDATE: UpdateResult,
    OperationKind.AUTHORIZE: AuthorizeResult,
    OperationKind.CAPTURE: CaptureResult,
    OperationKind.REFUND: RefundResult,
    OperationKind.CANCEL: CancelResult,
    OperationKind.SYNC: ProviderResult,
}
_WITH_AMOUNT: Final = frozenset(
    {OperationKind.UPDATE, OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND}
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An operation as it is after it was looked into, and what has happened to its session meanwhile."""

    operation: PaymentOperation
    news: Sequence[PaymentEvent] = ()


def check_operation(
    operation: PaymentOperation, *, actor: Actor = None, source: str = EventSource.API
) -> PaymentOperation:
    """Do for an open operation at once what the reconciler would do next, and return it as it is then.

    The provider is asked what it knows. What it doesn't know of is sent again under the same key, as long as that
    protects; what needs a person is only asked about. One that is over is returned as it is.

    Raises OperationInProgressError where it is being worked on. For one that needs a person it raises
    as `sync_payment_session` does.
    """
    return look_into(operation, origin=Origin.of(actor=actor, source=source)).operation


def look_into(operation: PaymentOperation, *, origin: Origin) -> Finding:
    """Do what `check_operation` does, and say what was news; raise as it does."""
    check_no_transaction()
    operation.refresh_from_db()
    last = last_event_of(operation.session)
    if operation.status == OperationStatus.ATTENTION:
        synchronize(operation.session, origin=origin)
    elif operation.is_open:
        reconcile_now(operation, origin=origin)
    reconnecting(operation.refresh_from_db)
    return Finding(operation=operation, news=events_since(operation.session, last))


def is_unclear(operation: PaymentOperation) -> bool:
    """Return whether nobody knows what became of an operation, or a report that nobody has looked at is open.

    One whose answer is still waited for isn't unclear, until that takes longer than a call may.
    """
    if operation.status == OperationStatus.PROCESSING:
        ends = operation.lease_expires_at
        return ends is None or ends <= timezone.now()
    return operation.status in (OperationStatus.UNKNOWN, OperationStatus.ATTENTION)


def resolve_operation(
    operation: PaymentOperation,
    *,
    has_happened: bool,
    reason: str,
    evidence: str = "",
    provider_reference: str | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
) -> PaymentOperation:
    """Record that an operation in `attention` did or did not happen, as a person found out.

    What follows is what would have followed from the provider's own answer; a mere report is only acknowledged.
    `reason` says how they know, `evidence` may name a document. `provider_reference` is what the provider calls what
    has happened: without it, a session whose initiation got lost may be of no use, and a report that names a movement
    in no other way counts as another one.

    Raises InputError without a reason, and TransitionError for an operation that needs no attention, and for one that
    the books already know to have happened: only a refund or a cancelation undoes that.
    """
    if not reason.strip():
        raise InputError(_("Say how you know."), code="reason_required", field="reason")
    operation.refresh_from_db()
    check_resolution(operation, has_happened=has_happened)
    origin = Origin.of(actor=actor, source=source)
    return record_result(
        operation,
        _answer_for(operation, has_happened=has_happened, reference=provider_reference),
        origin=origin,
        resolution=Resolution(actor=origin.actor, reason=reason, evidence=evidence),
        check=lambda current: check_resolution(current, has_happened=has_happened),
    )


def check_resolution(operation: PaymentOperation, *, has_happened: bool) -> None:
    """Raise TransitionError where an operation can't be resolved in this way, as `resolve_operation` does."""
    if operation.status != OperationStatus.ATTENTION:
        raise TransitionError(
            _("Only an operation that needs attention can be resolved."), code="not_in_attention"
        )
    if not has_happened and is_recorded(operation):
        raise TransitionError(
            _("This has happened: refund or cancel it instead of resolving it as not done."),
            code="already_recorded",
            field="has_happened",
        )


def resolved_amount(operation: PaymentOperation) -> Decimal:
    """Return of how much, in major units, the books will say that it has happened if a person says so."""
    payment = operation.session.payment if operation.kind == OperationKind.AUTHORIZE else None
    return operation.amount if payment is None else payment.amount


def _answer_for(operation: PaymentOperation, *, has_happened: bool, reference: str | None) -> ProviderResult:
    """Return what the provider would have answered."""
    kind = OperationKind(operation.kind)
    build = _RESULTS[kind]
    if not has_happened:
        return build(outcome=Outcome.DECLINED, failure=NOT_DONE)
    stated: dict[str, Any] = {}
    if kind in _WITH_AMOUNT:
        stated = {"amount": resolved_amount(operation), "currency_code": operation.currency_code}
    return build(outcome=Outcome.SUCCEEDED, provider_reference=reference or None, **stated)
