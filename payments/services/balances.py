"""How much is left: to pay, to authorize, to capture, to refund. Read under the collection's lock."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, OperationInProgressError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.money import ZERO, display_amount
from payments.services.movements import captured_sum, sums
from payments.states import MovementKind, OperationKind, SessionStatus


def held_amount(collection: PaymentCollection) -> Decimal:
    """Return what is authorized of a collection and not released."""
    return sum((row.amount - row.canceled_amount for row in collection.payments.all()), ZERO)


def promised_amount(sessions: Iterable[PaymentSession]) -> Decimal:
    """Return what open splits are for; one that is being raised, or made, counts with its new amount."""
    amounts = {row.pk: _promise_of(row) for row in sessions if row.is_unauthorized}
    if not amounts:
        return ZERO
    updates = PaymentOperation.objects.open().filter(kind=OperationKind.UPDATE, session__in=list(amounts))
    for update in updates.filter(makes_split=True):
        amounts[update.session_id] = max(amounts[update.session_id], update.amount)
    return sum(amounts.values(), ZERO)


def remaining_amount(collection: PaymentCollection, *, besides: PaymentSession | None = None) -> Decimal:
    """Return what no payment and no open split covers yet; `besides` names a split that isn't counted."""
    sessions = [row for row in collection.sessions.all() if besides is None or row.pk != besides.pk]
    return collection.amount - held_amount(collection) - promised_amount(sessions)


def refuse_excess(amount: Decimal, left: Decimal, currency_code: str) -> None:
    """Raise AmountError where an amount is more than what is left to pay."""
    if left <= ZERO:
        raise AmountError(_("There is nothing left to pay."), code="nothing_left")
    if amount > left:
        raise _exceeds(_("%(amount)s is more than the %(left)s left to pay."), amount, left, currency_code)


def refuse_return(session: PaymentSession) -> None:
    """Raise AmountError where a failed split would come back, and others have taken its place."""
    if session.is_split and session.status == SessionStatus.ERROR:
        collection = session.collection
        refuse_excess(session.amount, remaining_amount(collection, besides=session), collection.currency_code)


def refuse_overauthorization(session: PaymentSession) -> None:
    """Raise AmountError where authorizing a session could hold more than the collection is for."""
    collection = session.collection
    in_flight = PaymentOperation.objects.open().filter(collection=collection, kind=OperationKind.AUTHORIZE)
    others = in_flight.exclude(session=session).exclude(session__status=SessionStatus.AUTHORIZED)
    left = collection.amount - held_amount(collection) - sum((row.amount for row in others), ZERO)
    if session.amount > left:
        raise _exceeds(
            _("%(amount)s is more than the %(left)s left to authorize."),
            session.amount,
            left,
            collection.currency_code,
        )


def amount_to_capture(payment: Payment, amount: Decimal | None) -> Decimal:
    """Return what a capture is for; None asks for all that is left.

    Raises AmountError, or OperationInProgressError where captures under way hold what would be needed.
    """
    captures = sums(payment, MovementKind.CAPTURE)
    return _choose(
        amount,
        total=payment.amount - payment.canceled_amount - captures.succeeded,
        pending=captures.pending,
        currency_code=payment.currency_code,
        nothing=_("There is nothing left to capture."),
        excess=_("%(amount)s is more than the %(left)s left to capture."),
    )


def amount_to_refund(payment: Payment, amount: Decimal | None) -> Decimal:
    """Return what a refund is for; None asks for all that is left. Raises as `amount_to_capture` does."""
    refunds = sums(payment, MovementKind.REFUND)
    return _choose(
        amount,
        total=captured_sum(payment) - refunds.succeeded - payment.withdrawn_amount,
        pending=refunds.pending,
        currency_code=payment.currency_code,
        nothing=_("There is nothing left to refund."),
        excess=_("%(amount)s is more than the %(left)s left to refund."),
    )


_OPEN: Final = frozenset({SessionStatus.PENDING, SessionStatus.REQUIRES_MORE})


def _promise_of(session: PaymentSession) -> Decimal:
    """Return what a session keeps from others; one that failed keeps nothing."""
    return session.amount if session.is_split and session.status in _OPEN else ZERO


def _choose(
    amount: Decimal | None,
    *,
    total: Decimal,
    pending: Decimal,
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
        raise OperationInProgressError(
            _("What is left is held by an operation in progress. Ask again in a moment.")
        )
    return min(wanted, left)


def _exceeds(message: object, amount: Decimal, left: Decimal, currency_code: str) -> AmountError:
    return AmountError(
        message,
        code="exceeds_remaining",
        params={"amount": display_amount(amount, currency_code), "left": display_amount(left, currency_code)},
    )
