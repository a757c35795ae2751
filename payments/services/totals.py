"""Derives a collection's totals and statuses from the rows below it.

Nothing is counted up: every time, the sums are made anew from rows read under the collection's lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from django.utils import timezone

from payments.models import Capture, Payment, PaymentCollection, Refund
from payments.models.sessions import UNAUTHORIZED_STATUSES
from payments.money import ZERO
from payments.services.journals import Journal
from payments.states import CollectionStatus, MovementStatus, PaymentStatus

_COLLECTION_EVENTS: Final = {
    CollectionStatus.AUTHORIZED: "collection.authorized",
    CollectionStatus.COMPLETED: "collection.completed",
    CollectionStatus.CANCELED: "collection.canceled",
}


def settle(collection: PaymentCollection, journal: Journal, *, due_before: Decimal | None = None) -> None:
    """Bring payments and their collection in line with the captures and refunds, and write the journal.

    The collection must be locked; this is the last step of every claim and every record. `due_before` is what was to
    be paid (major units) before the collection's amount was changed.
    """
    was_covered = collection.authorized_amount >= (collection.amount if due_before is None else due_before)
    payments = list(collection.payments.select_related("session"))
    captured = _sums(Capture.objects.filter(payment__collection=collection, status=MovementStatus.SUCCEEDED))
    refunded = _sums(Refund.objects.filter(payment__collection=collection, status=MovementStatus.SUCCEEDED))
    for payment in payments:
        settle_payment(payment, captured=captured[payment.pk], refunded=refunded[payment.pk], journal=journal)
    _settle_totals(collection, payments)
    is_newly_covered = not was_covered and collection.authorized_amount >= collection.amount
    _settle_status(collection, journal, is_newly_covered=is_newly_covered)
    journal.write()


def settle_payment(payment: Payment, *, captured: Decimal, refunded: Decimal, journal: Journal) -> None:
    """Give a payment its sums and the status they stand for."""
    before = str(payment.status)
    if (payment.captured_amount, payment.refunded_amount) == (
        captured,
        refunded,
    ) and before == payment.derive_status():
        return
    payment.captured_amount = captured
    payment.refunded_amount = refunded
    if payment.move_to(payment.derive_status()):
        _note_payment(payment, before, journal)
    payment.save_fields("status", "captured_amount", "refunded_amount", "captured_at", "canceled_at")


def _note_payment(payment: Payment, before: str, journal: Journal) -> None:
    if payment.status == PaymentStatus.CANCELED:
        payment.canceled_at = timezone.now()
        journal.note("payment.canceled", payment, from_status=before, amount=payment.canceled_amount)
        return
    if payment.captured_at is None:
        payment.captured_at = timezone.now()
    journal.note("payment.status_changed", payment, from_status=before)


def _sums(movements: Iterable[Capture] | Iterable[Refund]) -> defaultdict[str, Decimal]:
    sums: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for movement in movements:
        sums[movement.payment_id] += movement.amount
    return sums


def _settle_totals(collection: PaymentCollection, payments: list[Payment]) -> None:
    collection.authorized_amount = sum((row.amount - row.canceled_amount for row in payments), ZERO)
    collection.captured_amount = sum((row.captured_amount for row in payments), ZERO)
    collection.refunded_amount = sum((row.refunded_amount for row in payments), ZERO)


def _settle_status(collection: PaymentCollection, journal: Journal, *, is_newly_covered: bool) -> None:
    has_open_sessions = collection.sessions.filter(status__in=UNAUTHORIZED_STATUSES).exists()
    before = str(collection.status)
    status = collection.derive_status(has_open_sessions=has_open_sessions)
    if is_newly_covered and status != CollectionStatus.AUTHORIZED:
        # Where a share is captured already, the status says what was captured, and nothing of the last share's hold.
        journal.note("collection.authorized", collection)
    if collection.move_to(status):
        journal.note(
            _COLLECTION_EVENTS.get(status, "collection.status_changed"), collection, from_status=before
        )
    if status == CollectionStatus.COMPLETED:
        collection.completed_at = collection.completed_at or timezone.now()
    else:
        collection.completed_at = None
    collection.save_fields(
        "status",
        "amount",
        "authorized_amount",
        "captured_amount",
        "refunded_amount",
        "completed_at",
        "canceled_at",
    )
