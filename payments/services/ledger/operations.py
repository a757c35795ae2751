"""The operation's own row: claiming it, ending it, and what its status means to whoever asked.

Operations are the write-ahead log of every money verb. Each passes these points, where a test can look on, wait, or let
the process die; nobody watches in production, so passing one costs a comparison:

    claiming    the operation is inserted, and not committed yet
    claimed     it is committed, and nothing is sent yet
    called      the provider has answered, and nothing of that is recorded yet
    recording   all is recorded, and not committed yet
    recorded    it is committed
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
"""After how many seconds somebody may ask again what becomes of an operation: at least, and at most."""

NOT_DONE: Final = Failure(code="resolved_as_not_done")
"""Why an operation was refused: a person has said so."""

KEY_REFUSED: Final = "api_key_refused"
"""The code with which a provider says that its third party refuses the credentials in the settings."""


class Checkpoint(StrEnum):
    """A point in the protocol that every operation passes, in this order."""

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
    """Say that an operation has come to a point."""
    for watcher in tuple(_watchers):
        watcher(point, operation)


def survived(step: Callable[[], object]) -> BaseException | None:
    """Run the step of one row; return what it ended with, or None where it succeeded.

    Foreign code may end it in any way, such as by a timeout that isn't an Exception, and the rows behind it have to get
    their turn all the same. The caller puts the row back, and then lets an interrupt from the keyboard end the run.
    """
    try:
        step()
    except BaseException as error:
        if _watchers and not isinstance(error, Exception):
            raise  # A test has the process die here.
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
    """Write down that a provider is about to be called; the caller has looked that the target is idle.

    Its id is the idempotency key: sending the operation again uses the same key, asking again makes a new one. `sent`
    is what a payer sends, `saved_method` what the shop itself charges, and `reason` what a refund is for;
    `refuses_saved` says that who asks may neither pay with what the customer has saved nor save anything.
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
        idempotency_key=operation_id,
        request_key=None if request is None else request.key,
        input=dict(sent or {}),
        saved_method=saved_method,
        refuses_saved=refuses_saved,
        sent=_sent_along(session, payment or session, reason),
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


def _sent_along(
    session: PaymentSession, holder: PaymentSession | Payment, reason: str | None
) -> dict[str, Any]:
    """Return what the rows say now, so that sending the operation again sends the same."""
    along = {
        "provider_reference": holder.provider_reference,
        "data": session.data,
        "provider_data": holder.provider_data,
        "reason": reason,
    }
    return {name: value for name, value in along.items() if value}


def check_idle(books: Books, target_id: str, *kinds: OperationKind) -> None:
    """Raise OperationInProgressError where the target has an open operation of one of these kinds, or of any."""
    for operation in books.open_operations(*kinds, target_id=target_id):
        raise in_progress(operation, books.origin)


def in_progress(operation: PaymentOperation, origin: Origin) -> OperationInProgressError:
    """Return the error that says of an open operation what it waits for, to an operator or to a payer, and how long."""
    status, now = operation.status, timezone.now()
    retry_after = RETRY_SOON
    if status == OperationStatus.PROCESSING and not is_unclear(operation):
        words: Any = _("%(what)s is in progress. Ask again in a moment.")
    elif origin.by_payer or origin.source == EventSource.STOREFRONT:
        words = _("We are still finding out about your last try. You need not pay again.")
    elif status == OperationStatus.ATTENTION:
        words = _("This needs a person since %(since)s: %(what)s. Say first what became of it.")
    elif status == OperationStatus.PENDING:
        words = _(
            "In progress since %(since)s: %(what)s. The provider has accepted it and will tell how it ends."
        )
    else:
        words = _(
            "Unclear since %(since)s: %(what)s. Next look at %(next)s; whoever can't wait may check now."
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
    """Return whether an operation is to cancel a session, and not to release what a payment holds."""
    return bool(operation.kind == OperationKind.CANCEL and operation.target_id == operation.session_id)


def is_unclear(operation: PaymentOperation) -> bool:
    """Return whether nobody knows what became of an operation, or a report that nobody has looked at is open.

    One whose answer is still waited for isn't unclear, until that takes longer than a call may.
    """
    if operation.status == OperationStatus.PROCESSING:
        ends = operation.lease_expires_at
        return ends is None or ends <= timezone.now()
    return operation.status in (OperationStatus.UNKNOWN, OperationStatus.ATTENTION)


def is_recorded(operation: PaymentOperation) -> bool:
    """Return whether the books hold what the operation asked for, whatever else is wrong with it."""
    row = operation.capture or operation.refund
    if row is not None:
        return bool(row.status == MovementStatus.SUCCEEDED)
    return operation.kind == OperationKind.AUTHORIZE and is_held(operation.session)


def link_movement(
    operation: PaymentOperation, row: Capture | Refund, *, instead_of: str | None = None
) -> None:
    """Have a capture or refund be what an operation did, `instead_of` the one that it had made, where it isn't that."""
    operation.target_id = row.pk
    if isinstance(row, Capture):
        operation.capture = row
    else:
        operation.refund = row
    operation.own_movement_id = instead_of
    if operation.is_open:
        operation.in_flight_key = operation.key_in_flight(target_id=row.pk, kind=operation.kind)


def is_held(session: PaymentSession) -> bool:
    """Return whether a session has become a payment, which no person has taken back since."""
    return session.payment is not None and not session.payment.is_taken_back


def note_attention(
    books: Books, operation: PaymentOperation, detail: str, *, discrepancies: Sequence[dict[str, str]] = ()
) -> None:
    """Have an operation need a person, and tell the shop of it."""
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
    """Raise the error that an operation's status stands for; return where it succeeded or is pending."""
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


def outcome_unknown(operation_id: str, *, needs_person: bool = False) -> OutcomeUnknownError:
    """Return the error that says of an operation that nobody knows yet what became of it."""
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
    """Return words for an operator whose provider refuses the shop's key; None for anything else, and anybody else."""
    if code != KEY_REFUSED or source not in (EventSource.ADMIN, EventSource.STAFF):
        return None
    return _(
        "The payment provider refuses the shop's API key. Nothing was changed: see to its settings first."
    )


def may_be_of_an_earlier_attempt(
    books: Books, session: PaymentSession, fact: SessionFact, *ends: OperationStatus
) -> bool:
    """Return whether a report, which answers no operation, may be of an authorization before the open one.

    A session may be authorized several times: after a refusal, or with the code that a bank has asked for. What is
    reported late of the attempt before must not end the one that is open: then nobody would look after that any more.
    `ends` are how an attempt ends of which a provider reports so. A report without a time tells how things stand, at a
    provider that has begun what it calls pending.
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
