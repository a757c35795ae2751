"""The verbs of a payment: capture, refund, cancel. Each refuses to run inside the caller's transaction.

Only the shop may call them: for a payer, each raises InputError (`not_for_payers`).
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
    """Capture money that a payment holds: `amount` in major units, or all that is left.

    `metadata` belongs to the shop. While the outcome is unknown, the amount stays reserved.

    Raises AmountError if less is left, and TransitionError if nothing can be captured. Unless `despite_unclear` is
    set, raises TransitionError (`possible_repetition`) while the outcome of a capture of the same amount is unclear.
    Raises OperationInProgressError, NotSupportedError, and for the provider's answer DeclinedError,
    ProviderUnavailableError or OutcomeUnknownError.
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
    """Refund captured money: `amount` in major units, or all that is left.

    `metadata` belongs to the shop. Raises as `capture_payment` does.
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
    """Release what a payment holds and has not captured; a canceled payment is returned unchanged.

    Raises TransitionError if nothing is held, OperationInProgressError, and for the provider's answer DeclinedError,
    ProviderUnavailableError or OutcomeUnknownError.
    """
    return _perform(
        payment, claims.claim_release, origin=origin_of_shop(actor=actor, source=source, by_payer=by_payer)
    )


def capturable(payment: Payment, amount: Amount = None) -> Decimal:
    """Return how much would be captured now, in major units; raise as `capture_payment` does before any call."""
    books, row = _look_into(payment)
    return claims.choose_capture(books, row, amount)


def refundable(payment: Payment, amount: Amount = None) -> Decimal:
    """Return how much would be refunded now, in major units; raise as `refund_payment` does before any call."""
    books, row = _look_into(payment)
    return claims.choose_refund(books, row, amount)


def left_to_capture(payment: Payment) -> Decimal:
    """Return what is held and not being captured, in major units, also if the provider can't capture it all."""
    return amount_to_capture(*_look_into(payment), None)


def left_to_refund(payment: Payment) -> Decimal:
    """Return what was captured and isn't being refunded, in major units, also if the provider can't refund it all."""
    return amount_to_refund(*_look_into(payment), None)


def surely_kept(payment: Payment) -> Decimal:
    """Return what was captured and certainly stays, in major units: a pending refund counts as refunded."""
    books, row = _look_into(payment)
    return max(row.refundable_amount - books.pending(row, MovementKind.REFUND), ZERO)


def check_repetition(payment: Payment, kind: OperationKind, amount: Decimal) -> None:
    """Raise TransitionError if a capture or refund of this amount (major units) may have happened already."""
    books, row = _look_into(payment)
    claims.check_repetition(books, row, kind, amount)


def check_release(payment: Payment) -> None:
    """Raise what `cancel_payment` would raise now, before any call to the provider."""
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
    """Return the current books of a payment's collection, opened without a lock, and the payment in them."""
    books = open_books(
        payment.collection_id, origin=Origin(), scope=Scope(payment_id=payment.pk), is_locked=False
    )
    return books, books.payment(payment.pk)
