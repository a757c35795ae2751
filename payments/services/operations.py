"""Claiming and ending operations: the write-ahead log of every money verb.

claim (`claim_operation`, committed by the verb) → call (`payments.services.calls`) → record
(`payments.services.records`). Here is only what concerns the operation's own row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    DeclinedError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
)
from payments.ids import new_operation_id
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, Refund
from payments.services.accounts import is_asked_by_another
from payments.services.calls import REFUSES_SAVED
from payments.services.checkpoints import Checkpoint, reach
from payments.services.journals import Journal
from payments.services.origins import Origin
from payments.services.providers import plugin_for
from payments.services.requests import current_request_key, note_claim
from payments.states import EventSource, OperationKind, OperationStatus

LEASE: Final = timedelta(minutes=2)
"""How long a call may be under way before its operation counts as abandoned."""

FIRST_RETRY: Final = timedelta(minutes=1)

_FROM_PAYERS: Final = frozenset({OperationKind.INITIATE, OperationKind.UPDATE, OperationKind.AUTHORIZE})

KEY_REFUSED: Final = "api_key_refused"
"""The code with which a provider says that its third party refuses the credentials in the settings."""

_RESULT_FIELDS: Final = (
    "status",
    "in_flight_key",
    "error_code",
    "error_message",
    "detail",
    "exchange",
    "lease_owner",
    "lease_expires_at",
    "next_attempt_at",
    "finished_at",
)


def claim_operation(
    *,
    kind: OperationKind,
    target: PaymentSession | Payment | Capture | Refund,
    session: PaymentSession,
    amount: Decimal,
    origin: Origin,
    payment: Payment | None = None,
    sent: Mapping[str, Any] | None = None,
    is_final: bool = False,
    makes_split: bool = False,
) -> PaymentOperation:
    """Write down that a provider is about to be called; the collection must be locked.

    Its id is the idempotency key: sending the operation again uses the same key, asking again makes a new one.
    The caller has refused a target that is busy; should another operation of this kind be in flight all the same, the
    database refuses a second. Raises OperationInProgressError then, and ProviderUnavailableError where the provider
    isn't configured any more.
    """
    plugin_for(session)
    operation_id = new_operation_id()
    operation = PaymentOperation(
        id=operation_id,
        kind=kind,
        target_id=target.pk,
        collection=session.collection,
        session=session,
        payment=payment,
        capture=target if isinstance(target, Capture) else None,
        refund=target if isinstance(target, Refund) else None,
        provider=session.provider,
        amount=amount,
        idempotency_key=operation_id,
        request_key=current_request_key(),
        input=_input(kind, session, sent, origin),
        is_final=is_final,
        makes_split=makes_split,
        source=origin.source,
        actor=origin.actor,
        attempts=1,
        lease_expires_at=timezone.now() + LEASE,
    )
    try:
        operation.save(force_insert=True)
    except IntegrityError as error:
        raise _in_progress(None) from error
    note_claim(operation_id)
    reach(Checkpoint.CLAIMING, operation)
    return operation


def refuse_if_busy(target_id: str, *kinds: OperationKind) -> None:
    """Raise OperationInProgressError where the target has an open operation of one of these kinds, or of any."""
    busy = PaymentOperation.objects.open().filter(target_id=target_id)
    if kinds:
        busy = busy.filter(kind__in=kinds)
    operation = busy.first()
    if operation is not None:
        raise _in_progress(operation.pk)


def end_operation(operation: PaymentOperation, transition: Callable[[], None], journal: Journal) -> bool:
    """Move an operation on and save it, if nobody else has in the meantime; return whether it was moved."""
    before = str(operation.status)
    transition()
    if not _swap(operation, before):
        operation.refresh_from_db()
        return False
    event_type = (
        "operation.attention" if operation.status == OperationStatus.ATTENTION else "operation.recorded"
    )
    journal.note(
        event_type,
        operation,
        from_status=before,
        amount=operation.amount,
        operation=operation,
        data={"kind": operation.kind, "error_code": operation.error_code, "detail": operation.detail},
    )
    return True


def raise_for_outcome(operation: PaymentOperation) -> None:
    """Raise the error that an operation's status stands for; return where it succeeded or is pending."""
    arguments: dict[str, Any] = {"operation_id": operation.pk}
    if operation.status == OperationStatus.DECLINED:
        message = operation.error_message or _("The payment provider declined.")
        raise DeclinedError(message, code=operation.error_code or None, **arguments)
    if operation.status == OperationStatus.NOT_SENT:
        words = refused_key(operation.error_code, operation.source)
        raise ProviderUnavailableError(
            words or _("The payment provider can't be reached right now. Nothing was changed; try again."),
            **arguments,
        )
    if operation.status not in (OperationStatus.SUCCEEDED, OperationStatus.PENDING):
        raise OutcomeUnknownError(
            _(
                "It isn't known yet whether the payment provider did this (%(operation_id)s). It will be found out."
            ),
            params=arguments,
            **arguments,
        )


def _input(
    kind: OperationKind, session: PaymentSession, sent: Mapping[str, Any] | None, origin: Origin
) -> dict[str, Any]:
    """Return what a payer sent, and with it that they may not pay with what the customer has saved, if so."""
    is_limited = kind in _FROM_PAYERS and is_asked_by_another(session, origin)
    return {**(sent or {}), **({REFUSES_SAVED: True} if is_limited else {})}


def refused_key(code: str, source: str) -> Any:
    """Return words for an operator whose provider refuses the shop's key; None for anything else, and anybody else."""
    if code != KEY_REFUSED or source not in (EventSource.ADMIN, EventSource.STAFF):
        return None
    return _(
        "The payment provider refuses the shop's API key. Nothing was changed: see to its settings first."
    )


def _swap(operation: PaymentOperation, expected_status: str) -> bool:
    """Save an operation's new state only if its stored status is still the expected one."""
    values = {name: getattr(operation, name) for name in _RESULT_FIELDS}
    rows = PaymentOperation.objects.filter(pk=operation.pk, status=expected_status)
    return rows.update(**values, updated_at=timezone.now()) == 1


def _in_progress(operation_id: str | None) -> OperationInProgressError:
    return OperationInProgressError(
        _("Another operation on this payment is in progress. Ask again in a moment."),
        operation_id=operation_id,
    )
