"""Sums and statuses, always computed anew from the rows in the books, and the transitions of a session.

A caller of a session's transition refreshes the totals afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, OperationInProgressError
from payments.models import Payment, PaymentSession
from payments.money import ZERO, display_amount
from payments.providers import Failure
from payments.services.ledger.books import Books
from payments.services.ledger.operations import in_progress
from payments.states import (
    CollectionStatus,
    MovementKind,
    OperationKind,
    PaymentStatus,
    SessionStatus,
)

_COLLECTION_EVENTS: Final = {
    CollectionStatus.AUTHORIZED: "collection.authorized",
    CollectionStatus.COMPLETED: "collection.completed",
    CollectionStatus.CANCELED: "collection.canceled",
}
_WAITING: Final = frozenset({SessionStatus.PENDING, SessionStatus.REQUIRES_MORE})


def refresh_totals(books: Books, *, due_before: Decimal | None = None) -> None:
    """Recompute the sums and statuses of a collection and its payments: the last step of a rule.

    `due_before` is the collection's amount (major units) before the rule changed it.
    """
    collection, kept_before = books.collection, books.collection.kept_amount
    due_before = collection.amount if due_before is None else due_before
    was_covered, was_asked_for_more = kept_before >= due_before, collection.authorized_amount < due_before
    for payment in books.payments:
        if books.knows(payment):
            _refresh_payment(books, payment)
    collection.authorized_amount = held_amount(books)
    collection.captured_amount = sum((row.captured_amount for row in books.payments), ZERO)
    collection.refunded_amount = sum((row.refunded_amount for row in books.payments), ZERO)
    collection.charged_back_amount = sum((row.net_charged_back_amount for row in books.payments), ZERO)
    # The amount is all that was ever to be paid: after a refund, what is kept can't reach it, but the rest can be paid.
    is_news = was_asked_for_more or collection.kept_amount > kept_before
    covering = collection.authorized_amount if is_news else collection.kept_amount
    _refresh_status(books, is_newly_covered=not was_covered and covering >= collection.amount)
    # Not only if it was covered before: the order may now cost less than the collection was opened for.
    if collection.kept_amount < min(kept_before, collection.amount):
        books.note("collection.unauthorized", collection, amount=collection.kept_amount)


def held_amount(books: Books) -> Decimal:
    """Return how much of a collection is authorized and not released, in major units."""
    return sum((row.amount - row.canceled_amount for row in books.payments), ZERO)


def promised_amount(books: Books, *, besides: PaymentSession | None = None) -> Decimal:
    """Return the sum of what the open splits reserve, in major units; the session `besides` isn't counted."""
    return sum((promise_of(books, row) for row in books.unauthorized_sessions() if row is not besides), ZERO)


def promise_of(books: Books, session: PaymentSession) -> Decimal:
    """Return how much an unauthorized session reserves, in major units; only splits reserve anything."""
    # A failed split reserves nothing, but a failed installment stays due: only a session of the shop takes its place.
    is_kept = session.status in _WAITING or session.installment is not None
    promised = session.amount if session.is_split and is_kept else ZERO
    # An authorization under way may hold its amount at any moment, and an update may have set its new one.
    for operation in books.open_operations(OperationKind.AUTHORIZE, OperationKind.UPDATE):
        is_counted = operation.makes_split or (session.is_split and operation.kind == OperationKind.AUTHORIZE)
        if operation.session_id == session.pk and is_counted:
            promised = max(promised, operation.amount)
    return promised


def remaining_amount(books: Books, *, besides: PaymentSession | None = None) -> Decimal:
    """Return what neither a payment nor an open split covers, in major units; the session `besides` isn't counted."""
    return books.collection.amount - held_amount(books) - promised_amount(books, besides=besides)


def check_excess(amount: Decimal, left: Decimal, currency_code: str) -> None:
    """Raise AmountError if an amount (major units) is more than what is left to pay."""
    if left <= ZERO:
        raise AmountError(_("There is nothing left to pay."), code="nothing_left")
    if amount > left:
        raise _exceeds(_("%(amount)s is more than the %(left)s left to pay."), amount, left, currency_code)


def check_return(books: Books, session: PaymentSession) -> None:
    """Raise AmountError if a failed split no longer fits, because other sessions have taken its place."""
    if session.is_split and not promise_of(books, session):
        check_excess(session.amount, remaining_amount(books, besides=session), books.collection.currency_code)


def authorizable_amount(books: Books, session: PaymentSession) -> Decimal:
    """Return how much of a collection a session may authorize, in major units.

    What is held, and what other authorizations under way may hold soon, isn't available.
    """
    others = [
        row
        for row in books.open_operations(OperationKind.AUTHORIZE)
        if row.session_id != session.pk and row.session.status != SessionStatus.AUTHORIZED
    ]
    return books.collection.amount - held_amount(books) - sum((row.amount for row in others), ZERO)


def check_overauthorization(books: Books, session: PaymentSession) -> None:
    """Raise AmountError if authorizing a session could hold more than the collection's amount."""
    left = authorizable_amount(books, session)
    if session.amount > left:
        raise _exceeds(
            _("%(amount)s is more than the %(left)s left to authorize."),
            session.amount,
            left,
            books.collection.currency_code,
        )


def amount_to_capture(books: Books, payment: Payment, amount: Decimal | None) -> Decimal:
    """Return the amount of a capture, in major units; None asks for all that is left.

    Raises AmountError, or OperationInProgressError if pending captures reserve what would be needed.
    """
    captured = books.succeeded(payment, MovementKind.CAPTURE)
    return _choose(
        amount,
        total=payment.amount - payment.canceled_amount - captured,
        pending=books.pending(payment, MovementKind.CAPTURE),
        held_by=lambda: holder_of(books, payment, OperationKind.CAPTURE),
        currency_code=payment.currency_code,
        nothing=_("There is nothing left to capture."),
        excess=_("%(amount)s is more than the %(left)s left to capture."),
    )


def amount_to_refund(books: Books, payment: Payment, amount: Decimal | None) -> Decimal:
    """Return the amount of a refund, in major units; None asks for all that is left.

    Raises as `amount_to_capture` does.
    """
    captured = books.succeeded(payment, MovementKind.CAPTURE)
    return _choose(
        amount,
        total=captured - books.succeeded(payment, MovementKind.REFUND) - payment.net_charged_back_amount,
        pending=books.pending(payment, MovementKind.REFUND),
        held_by=lambda: holder_of(books, payment, OperationKind.REFUND),
        currency_code=payment.currency_code,
        nothing=_("There is nothing left to refund."),
        excess=_("%(amount)s is more than the %(left)s left to refund."),
    )


def holder_of(books: Books, payment: Payment, kind: OperationKind) -> OperationInProgressError:
    """Return the error for what is left being reserved, by an operation or by a report without one."""
    for operation in books.open_operations(kind):
        if operation.payment_id == payment.pk:
            return in_progress(operation, books.origin)
    return OperationInProgressError(
        _("The rest is reserved until the provider reports the outcome of a pending capture or refund.")
    )


def fail_session(books: Books, session: PaymentSession, failure: Failure) -> None:
    """Record that a session's authorization was refused, for a reason that its payer may read."""
    before = str(session.status)
    session.fail(code=failure.code[:64], message=failure.message)
    books.note(
        "session.failed", session, from_status=before, amount=session.amount, data={"code": failure.code}
    )


def cancel_session(books: Books, session: PaymentSession) -> None:
    """Record that a session was abandoned or its authorization released."""
    before = str(session.status)
    if session.is_unauthorized:
        note_expiry(books, session)
    session.cancel()
    session.canceled_at = timezone.now()
    books.note("session.canceled", session, from_status=before, amount=session.amount)


def note_expiry(books: Books, row: PaymentSession | Payment) -> None:
    """Note that a session or payment which is being canceled had expired, whatever cancels it."""
    if row.expires_at is None or row.expires_at > timezone.now():
        return
    event_type = "session.expired" if isinstance(row, PaymentSession) else "payment.expired"
    books.note(event_type, row, amount=row.amount, data={"expires_at": str(row.expires_at)})


def change_amount(
    books: Books, session: PaymentSession, amount: Decimal, *, makes_split: bool = False
) -> None:
    """Record an unauthorized session's new amount; the session waits for authorization again."""
    before = str(session.status)
    old = session.amount
    session.amount = amount
    session.is_split = session.is_split or makes_split
    if session.status != SessionStatus.PENDING:
        session.reopen()
    books.note("session.updated", session, from_status=before, amount=amount, data={"old_amount": str(old)})


def _refresh_payment(books: Books, payment: Payment) -> None:
    """Set a payment's sums, and the status that follows from them."""
    payment.captured_amount = books.succeeded(payment, MovementKind.CAPTURE)
    payment.refunded_amount = books.succeeded(payment, MovementKind.REFUND)
    before = str(payment.status)
    if not payment.captured_amount:
        payment.captured_at = None
    if not payment.move_to(payment.derive_status()):
        return
    if payment.status == PaymentStatus.CANCELED:
        payment.canceled_at = timezone.now()
        books.note("payment.canceled", payment, from_status=before, amount=payment.canceled_amount)
    elif payment.captured_at is None and payment.captured_amount:
        payment.captured_at = timezone.now()


def _refresh_status(books: Books, *, is_newly_covered: bool) -> None:
    collection = books.collection
    before = str(collection.status)
    status = collection.derive_status(has_open_sessions=bool(books.unauthorized_sessions()))
    if is_newly_covered and status != CollectionStatus.AUTHORIZED:
        # If a part is captured already, the status describes the captures and hides that the last hold was just added.
        books.note("collection.authorized", collection)
    if collection.move_to(status) and status in _COLLECTION_EVENTS:
        books.note(_COLLECTION_EVENTS[status], collection, from_status=before)
    if status == CollectionStatus.COMPLETED:
        collection.completed_at = collection.completed_at or timezone.now()
    else:
        collection.completed_at = None


def _choose(
    amount: Decimal | None,
    *,
    total: Decimal,
    pending: Decimal,
    held_by: Callable[[], OperationInProgressError],
    currency_code: str,
    nothing: object,
    excess: object,
) -> Decimal:
    if total <= ZERO:
        raise AmountError(nothing, code="nothing_left")
    wanted = total if amount is None else amount
    if wanted > total:
        raise _exceeds(excess, wanted, total, currency_code)
    left = total - pending
    if left <= ZERO or (wanted > left and amount is not None):
        raise held_by()
    return min(wanted, left)


def _exceeds(message: object, amount: Decimal, left: Decimal, currency_code: str) -> AmountError:
    return AmountError(
        message,
        code="exceeds_remaining",
        params={"amount": display_amount(amount, currency_code), "left": display_amount(left, currency_code)},
    )
