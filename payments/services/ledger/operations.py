"""An operation's row: claiming it, linking it to what it did, and the errors that its status stands for.

Operations are the write-ahead log of every money verb.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from django.db import Error
from django.utils import formats, timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    DeclinedError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
)
from payments.ids import new_operation_id
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, Refund
from payments.money import display_amount
from payments.providers import Failure, SessionFact
from payments.services.ledger.books import Books
from payments.services.ledger.history import Origin, served_request
from payments.services.ledger.locks import LEASE, drop_lost_connection
from payments.states import EventSource, MovementStatus, OperationKind, OperationStatus

RETRY_SOON: Final = 2
LONGEST_WAIT: Final = 3600
"""The shortest and longest `Retry-After` of an operation in progress, in seconds."""

NOT_DONE: Final = Failure(code="resolved_as_not_done")
"""The failure of an operation that a person has resolved as not done."""

KEY_REFUSED: Final = "api_key_refused"
"""The failure code of a provider whose third party refuses the credentials in the settings."""


class Checkpoint(StrEnum):
    """A point in the protocol that every operation passes, in this order.

    Tests can watch a point, wait there or end the process. In production a point costs one comparison.

        claiming    the operation is inserted, but not committed
        claimed     it is committed, and nothing is sent yet
        called      the provider has answered, and nothing of the answer is recorded yet
        recording   everything is recorded, but not committed
        recorded    the record is committed
    """

    CLAIMING = "claiming"
    CLAIMED = "claimed"
    CALLED = "called"
    RECORDING = "recording"
    RECORDED = "recorded"


Watcher = Callable[[Checkpoint, PaymentOperation], None]

_watchers: list[Watcher] = []


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Have `watcher` called at every point, in every thread, until the block ends."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def reach(point: Checkpoint, operation: PaymentOperation) -> None:
    """Report to the watchers that an operation has reached a point."""
    for watcher in tuple(_watchers):
        watcher(point, operation)


def survived(step: Callable[[], object]) -> BaseException | None:
    """Run the step of one row; return what it raised, or None if it succeeded.

    Code of a shop or plug-in may raise anything, for instance a timeout that isn't an Exception, and the remaining rows
    must still be processed. The caller puts the row back, and then lets a keyboard interrupt end the run.
    """
    try:
        step()
    except BaseException as error:
        if _watchers and not isinstance(error, Exception):
            raise  # A test ends the process here.
        if isinstance(error, Error):
            drop_lost_connection()
        return error
    return None


def claim_operation(
    books: Books,
    kind: OperationKind,
    target: PaymentSession | Payment | Capture | Refund,
    *,
    session: PaymentSession,
    amount: Decimal,
    payment: Payment | None = None,
    sent: Mapping[str, Any] | None = None,
    saved_method: str | None = None,
    refuses_saved: bool = False,
    is_final: bool = False,
    makes_split: bool = False,
    reason: str | None = None,
) -> PaymentOperation:
    """Insert the operation for an intended call to a provider; the caller has checked that the target is idle.

    The operation's id is the idempotency key: a retry uses the same key, a new request gets a new one. `sent` is the
    payer's data, `saved_method` the payment method that the shop charges off-session, and `reason` that of a refund.
    `refuses_saved` means that the requester may neither use the customer's saved payment methods nor save one.
    """
    operation_id, request = new_operation_id(), served_request()
    operation = PaymentOperation(
        id=operation_id,
        kind=kind,
        target_id=target.pk,
        in_flight_key=PaymentOperation.key_in_flight(target_id=target.pk, kind=kind),
        collection=books.collection,
        session=session,
        payment=payment,
        capture=target if isinstance(target, Capture) else None,
        refund=target if isinstance(target, Refund) else None,
        provider_id=session.provider_id,
        amount=amount,
        request_key=None if request is None else request.key,
        input=dict(sent or {}),
        saved_method=saved_method,
        refuses_saved=refuses_saved,
        sent=_sent_along(books, payment or session, reason),
        is_final=is_final,
        makes_split=makes_split,
        source=books.origin.source,
        is_by_payer=books.origin.by_payer,
        actor=books.origin.actor,
        attempts=1,
        lease_expires_at=timezone.now() + LEASE,
    )
    books.add(operation)
    return operation


def _sent_along(books: Books, holder: PaymentSession | Payment, reason: str | None) -> dict[str, Any]:
    """Return a copy of the rows' values that the request uses, so that a retry sends the same request.

    `generation` and `customer` tell later whose collection it was.
    """
    session = holder if isinstance(holder, PaymentSession) else holder.session
    along = {
        "generation": books.collection.secret_generation,
        "customer": books.collection.customer_key,
        "provider_reference": holder.provider_reference,
        "data": session.data,
        "provider_data": holder.provider_data,
        "reason": reason,
    }
    return {name: value for name, value in along.items() if value}


def has_changed_hands(books: Books, operation: PaymentOperation) -> bool:
    """Return whether the collection has got another customer, or lost its own, since an operation was claimed."""
    return bool((operation.sent or {}).get("generation", 0) != books.collection.secret_generation)


def check_idle(books: Books, target_id: str, *kinds: OperationKind) -> None:
    """Raise OperationInProgressError if the target has an open operation of one of these kinds (default: any)."""
    for operation in books.open_operations(*kinds, target_id=target_id):
        raise in_progress(operation, books.origin)


def in_progress(operation: PaymentOperation, origin: Origin) -> OperationInProgressError:
    """Return the error that explains to an operator or payer what an open operation waits for, and for how long."""
    status, now = operation.status, timezone.now()
    retry_after = RETRY_SOON
    if status == OperationStatus.PROCESSING and not is_unclear(operation):
        words: Any = _("%(what)s is in progress. Ask again in a moment.")
    elif origin.by_payer or origin.source == EventSource.STOREFRONT:
        words = _("We are still finding out about your last try. You need not pay again.")
    elif status == OperationStatus.ATTENTION:
        words = _("Needs attention since %(since)s: %(what)s. Resolve this operation first.")
    elif status == OperationStatus.PENDING:
        words = _(
            "In progress since %(since)s: %(what)s. The provider has accepted it and will tell how it ends."
        )
    else:
        words = _(
            "Unclear since %(since)s: %(what)s. The next check is at %(next)s; use “Check now” to check it "
            "at once."
        )
    next_look = operation.next_attempt_at
    if status != OperationStatus.PROCESSING:
        wait = math.ceil((next_look - now).total_seconds()) if next_look is not None else LONGEST_WAIT
        retry_after = min(max(RETRY_SOON, wait), LONGEST_WAIT)
    return OperationInProgressError(
        words,
        retry_after=retry_after,
        operation_id=operation.pk,
        params={
            "what": f"{OperationKind(operation.kind).label}, "
            f"{display_amount(operation.amount, operation.currency_code)}",
            "since": _moment(operation.created_at),
            "next": _moment(next_look or now),
        },
    )


def _moment(value: datetime) -> str:
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return f"{formats.date_format(local, 'DATE_FORMAT')} {formats.time_format(local, 'TIME_FORMAT')}"


def is_abandonment(operation: PaymentOperation) -> bool:
    """Return whether an operation cancels an unauthorized session, rather than releasing a payment's hold."""
    return bool(operation.kind == OperationKind.CANCEL and operation.target_id == operation.session_id)


def is_unclear(operation: PaymentOperation) -> bool:
    """Return whether an operation's outcome is unknown, or it needs attention.

    While the answer to a call is awaited the operation isn't unclear, unless the call takes longer than it may.
    """
    if operation.status == OperationStatus.PROCESSING:
        ends = operation.lease_expires_at
        return ends is None or ends <= timezone.now()
    return operation.status in (OperationStatus.UNKNOWN, OperationStatus.ATTENTION)


def is_recorded(operation: PaymentOperation) -> bool:
    """Return whether the books hold what the operation requested, even if it needs attention for another reason."""
    row = operation.capture or operation.refund
    if row is not None:
        return bool(row.status == MovementStatus.SUCCEEDED)
    return operation.kind == OperationKind.AUTHORIZE and operation.session.is_held


def link_movement(
    operation: PaymentOperation, row: Capture | Refund, *, instead_of: str | None = None
) -> None:
    """Link an operation to the capture or refund that it did, `instead_of` the row that its claim had created."""
    operation.target_id = row.pk
    if isinstance(row, Capture):
        operation.capture = row
    else:
        operation.refund = row
    operation.own_movement_id = instead_of
    if operation.is_open:
        operation.in_flight_key = operation.key_in_flight(target_id=row.pk, kind=operation.kind)


def note_attention(
    books: Books, operation: PaymentOperation, detail: str, *, discrepancies: Sequence[dict[str, str]] = ()
) -> None:
    """Have an operation need attention, with an event for the shop."""
    before = str(operation.status)
    operation.require_attention(detail=detail)
    operation.discrepancies = list(discrepancies)
    books.note(
        "operation.needs_attention",
        operation,
        from_status=before,
        amount=operation.amount,
        operation=operation,
        data={
            "kind": operation.kind,
            "error_code": operation.error_code,
            "detail": operation.detail,
            "discrepancies": operation.discrepancies,
        },
    )


def raise_for_outcome(operation: PaymentOperation) -> None:
    """Raise the error that an operation's status stands for, unless it succeeded or is pending."""
    arguments: dict[str, Any] = {"operation_id": operation.pk}
    if operation.status == OperationStatus.DECLINED:
        message = operation.error_text or _("The payment provider declined.")
        raise DeclinedError(message, code=operation.error_code or None, **arguments)
    if operation.status == OperationStatus.NOT_SENT:
        words = refused_key(operation.error_code, operation.source)
        raise ProviderUnavailableError(
            words or _("The payment provider can't be reached right now. Nothing was changed; try again."),
            **arguments,
        )
    if operation.status not in (OperationStatus.SUCCEEDED, OperationStatus.PENDING):
        needs_person = operation.status == OperationStatus.ATTENTION
        raise outcome_unknown(operation.pk, needs_person=needs_person)


def partly_done(error: ProviderUnavailableError) -> ProviderUnavailableError:
    """Return the error for a call that wasn't sent, while others of the same verb have succeeded."""
    return ProviderUnavailableError(
        _("A part of this is done. The payment provider can't be asked for the rest right now; try again."),
        code=error.code,
        field=error.field,
        operation_id=error.operation_id,
    )


def outcome_unknown(operation_id: str, *, needs_person: bool = False) -> OutcomeUnknownError:
    """Return the error for an operation whose outcome isn't known yet."""
    told = (
        _("It isn't clear what the payment provider did (%(operation_id)s): somebody has to look at it.")
        if needs_person
        else _(
            "It isn't known yet whether the payment provider did this (%(operation_id)s). It will be found out."
        )
    )
    return OutcomeUnknownError(
        told,
        params={"operation_id": operation_id},
        operation_id=operation_id,
    )


def refused_key(code: str, source: str) -> Any:
    """Return a message if the provider refuses the shop's API key and an operator asks; None otherwise."""
    if code != KEY_REFUSED or source not in (EventSource.ADMIN, EventSource.STAFF):
        return None
    return _(
        "The payment provider refuses the shop's API key. Nothing was changed: see to its settings first."
    )


def may_be_of_an_earlier_attempt(
    books: Books, session: PaymentSession, fact: SessionFact, *ends: OperationStatus
) -> bool:
    """Return whether an unrequested report may be about an earlier authorization than the open one.

    A session may be authorized several times: after a refusal, or with the code that a bank has asked for. A late
    report about an earlier attempt must not end the open one, since then the reconciler would no longer follow that.
    `ends` are the statuses with which an attempt ends that gives such a report. A report without a time is about the
    present state if the provider has already answered “pending” to the open attempt.
    """
    attempts = [
        row for row in books.operations if row.target_id == session.pk and row.kind == OperationKind.AUTHORIZE
    ]
    current = next((row for row in reversed(attempts) if row.is_open), None)
    if current is None or not any(row.status in ends for row in attempts):
        return False
    if fact.occurred_at is not None:
        return bool(fact.occurred_at < current.created_at)
    return bool(current.status != OperationStatus.PENDING)
