"""The verbs of a payment: capture, refund, cancel. Each refuses to run inside the caller's transaction.

Only the shop may call them: for a payer, each raises InputError (`not_for_payers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from payments.exceptions import PaymentError
from payments.models import Payment, PaymentOperation, RefundReason
from payments.money import ZERO
from payments.services.ledger import claims
from payments.services.ledger.books import Books, Scope, hand_over, read_books
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.protocol import perform
from payments.services.ledger.totals import amount_to_capture, amount_to_refund
from payments.states import EventSource, MovementKind

Amount = Decimal | int | str | None
Choice = Callable[[Books, Payment], Decimal]


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
        origin=Origin.of_shop(actor=actor, source=source, by_payer=by_payer),
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
        origin=Origin.of_shop(actor=actor, source=source, by_payer=by_payer),
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
        payment, claims.claim_release, origin=Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    )


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a verb would do to a payment now, in major units, and the error that it would raise before any call.

    `amount` is what would move. `left` is the most that could, also if the provider can't move it all. `kept` is what
    was captured and certainly stays: a pending refund counts as refunded.
    """

    amount: Decimal
    left: Decimal
    kept: Decimal
    error: PaymentError | None

    def check(self) -> Quote:
        """Raise what the verb would raise, or return the quote."""
        if self.error is not None:
            raise self.error
        return self


def quote_capture(payment: Payment, *, amount: Amount = None, despite_unclear: bool = False) -> Quote:
    """Return what `capture_payment` would do with the same arguments; no provider is called."""
    return _quoted(
        payment,
        lambda books, row: claims.choose_capture(books, row, amount, despite_unclear=despite_unclear),
        at_most=lambda books, row: amount_to_capture(books, row, None),
    )


def quote_refund(payment: Payment, *, amount: Amount = None, despite_unclear: bool = False) -> Quote:
    """Return what `refund_payment` would do with the same arguments; no provider is called."""
    return _quoted(
        payment,
        lambda books, row: claims.choose_refund(books, row, amount, despite_unclear=despite_unclear),
        at_most=lambda books, row: amount_to_refund(books, row, None),
    )


def quote_release(payment: Payment) -> Quote:
    """Return what `cancel_payment` would do; no provider is called."""
    return _quoted(payment, claims.choose_release, at_most=claims.choose_release)


def _quoted(payment: Payment, choose: Choice, *, at_most: Choice) -> Quote:
    books = read_books(payment.collection_id, scope=Scope(payment_id=payment.pk))
    row = books.payment(payment.pk)
    amount, error = _chosen(choose, books, row)
    left, _nothing_left = _chosen(at_most, books, row)
    kept = max(row.refundable_amount - books.pending(row, MovementKind.REFUND), ZERO)
    return Quote(amount=amount, left=left, kept=kept, error=error)


def _chosen(choose: Choice, books: Books, row: Payment) -> tuple[Decimal, PaymentError | None]:
    try:
        return choose(books, row), None
    except PaymentError as error:
        return ZERO, error


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
