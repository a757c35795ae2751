"""The verbs of a payment: capture, refund, cancel. Each refuses to run inside the caller's transaction.

They are the shop's alone: for a payer, each raises InputError (`not_for_payers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from payments.models import Payment, PaymentOperation, RefundReason
from payments.money import ZERO
from payments.services.ledger import claims
from payments.services.ledger.books import Books, Scope, hand_over, open_books
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.payers import origin_of_shop
from payments.services.ledger.protocol import perform
from payments.services.ledger.totals import amount_to_capture, amount_to_refund
from payments.states import EventSource, MovementKind, OperationKind

Amount = Decimal | int | str | None


def capture_payment(
    payment: Payment,
    *,
    amount: Amount = None,
    metadata: Mapping[str, Any] | None = None,
    despite_unclear: bool = False,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> Payment:
    """Take money that a payment holds: `amount` in major units, or all that is left; `metadata` is the shop's own.

    Raises AmountError where less is left, TransitionError where nothing can be captured any more, and where it is
    unclear whether the same amount has been captured already (`possible_repetition`), unless `despite_unclear` says
    that this is another one. Raises OperationInProgressError, NotSupportedError, and for the provider's answer
    DeclinedError, ProviderUnavailableError or OutcomeUnknownError. While the outcome is unknown, the amount stays
    reserved.
    """
    return _perform(
        payment,
        lambda books, row: claims.claim_capture(
            books, row, amount, metadata=metadata, despite_unclear=despite_unclear
        ),
        origin=origin_of_shop(actor=actor, source=source, by_payer=by_payer),
    )


def refund_payment(
    payment: Payment,
    *,
    amount: Amount = None,
    reason: RefundReason | None = None,
    note: str = "",
    metadata: Mapping[str, Any] | None = None,
    despite_unclear: bool = False,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> Payment:
    """Give back captured money: `amount` in major units, or all that is left; `metadata` is the shop's own.

    Raises as `capture_payment` does.
    """
    return _perform(
        payment,
        lambda books, row: claims.claim_refund(
            books, row, amount, reason=reason, note=note, metadata=metadata, despite_unclear=despite_unclear
        ),
        origin=origin_of_shop(actor=actor, source=source, by_payer=by_payer),
    )


def cancel_payment(
    payment: Payment,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> Payment:
    """Release what a payment holds and has not captured; a payment that is canceled already is returned as it is.

    Raises TransitionError where nothing is held any more, OperationInProgressError, and for the provider's answer
    DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    return _perform(
        payment, claims.claim_release, origin=origin_of_shop(actor=actor, source=source, by_payer=by_payer)
    )


def capturable(payment: Payment, amount: Amount = None) -> Decimal:
    """Return how much a capture would take now, in major units; raise as `capture_payment` does before any call."""
    books, row = _look_into(payment)
    return claims.choose_capture(books, row, amount)


def refundable(payment: Payment, amount: Amount = None) -> Decimal:
    """Return how much a refund would give back now, in major units; raise as `refund_payment` does before any call."""
    books, row = _look_into(payment)
    return claims.choose_refund(books, row, amount)


def left_to_capture(payment: Payment) -> Decimal:
    """Return what is held and not being captured, in major units, whatever parts of it the provider would take."""
    return amount_to_capture(*_look_into(payment), None)


def left_to_refund(payment: Payment) -> Decimal:
    """Return what was taken and isn't going back, in major units, whatever parts of it the provider would give back."""
    return amount_to_refund(*_look_into(payment), None)


def surely_kept(payment: Payment) -> Decimal:
    """Return what was taken and certainly stays, in major units: a refund that is under way counts as gone."""
    books, row = _look_into(payment)
    return max(row.refundable_amount - books.pending(row, MovementKind.REFUND), ZERO)


def check_repetition(payment: Payment, kind: OperationKind, amount: Decimal) -> None:
    """Raise TransitionError where a capture or refund of this amount (major units) may have happened already."""
    books, row = _look_into(payment)
    claims.check_repetition(books, row, kind, amount)


def check_release(payment: Payment) -> None:
    """Raise what `cancel_payment` raises before any call, where a payment can't let go of anything now."""
    claims.check_release(*_look_into(payment))


def _perform(
    payment: Payment,
    claim: Callable[[Books, Payment], Sequence[PaymentOperation]],
    *,
    origin: Origin,
) -> Payment:
    performance = perform(
        payment.collection_id,
        lambda books: claim(books, books.payment(payment.pk)),
        origin=origin,
        scope=Scope(payment_id=payment.pk),
    )
    books = performance.raise_first()
    return hand_over(books, payment, books.payment(payment.pk))


def _look_into(payment: Payment) -> tuple[Books, Payment]:
    """Return the books as they are right now, without a lock, and the payment in them."""
    books = open_books(
        payment.collection_id, origin=Origin(), scope=Scope(payment_id=payment.pk), is_locked=False
    )
    return books, books.payment(payment.pk)
