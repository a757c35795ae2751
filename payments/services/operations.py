"""Resolving by hand what nobody could find out: a person decides, with a reason, and the history keeps both."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import InputError, TransitionError
from payments.models import PaymentOperation
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
from payments.services.ledger.discrepancies import Discrepancy
from payments.services.ledger.history import Actor
from payments.services.ledger.operations import is_recorded, raise_for_outcome
from payments.services.ledger.payers import origin_of_shop
from payments.services.ledger.records import Resolution, record_result
from payments.states import EventSource, OperationKind, OperationStatus, Outcome

__all__ = [
    "Discrepancy",
    "check_resolution",
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


def resolve_operation(
    operation: PaymentOperation,
    *,
    has_happened: bool,
    reason: str,
    evidence: str = "",
    provider_reference: str | None = None,
    actor: Actor = None,
    source: str = EventSource.API,
    by_payer: bool = False,
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
    origin = origin_of_shop(actor=actor, source=source, by_payer=by_payer)
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
