"""Our books held against the simulator's ledger, and what must hold of them at every moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final, Protocol

from django.db import connection
from django.db.models import Model

from payments import models
from payments.money import ZERO, to_minor_units
from payments.services.background import summaries
from payments.simulator import SimulatorService, Totals
from payments.states import MovementStatus, OperationStatus

SUCCEEDED = MovementStatus.SUCCEEDED
Movement = models.Capture | models.Refund
KEPT: Final[tuple[type[Model], ...]] = (
    models.PaymentCollection,
    models.PaymentSession,
    models.Payment,
    models.Capture,
    models.Refund,
    models.PaymentOperation,
    models.PaymentEvent,
)
_OF_A_PAYMENT: Final = (
    f"payment_id IN (SELECT id FROM {models.Payment._meta.db_table} WHERE collection_id = %s)"  # noqa: S608
)
_IN_COLLECTION: Final[dict[type[Model], str]] = {
    models.PaymentCollection: "id = %s",
    models.Capture: _OF_A_PAYMENT,
    models.Refund: _OF_A_PAYMENT,
}


class Ledger(Protocol):
    """What a simulator, wherever it runs, has written down."""

    def totals(self, reference: str) -> Totals:
        """Return what it holds for a session."""


@dataclass(frozen=True, kw_only=True)
class Books:
    """Say what of one session is held and has moved, in minor units, and in how many movements.

    What was authorized and released again before we heard of it leaves no trace in what is held.
    """

    held: int
    captured: int
    refunded: int
    charged_back: int
    captures: int
    refunds: int


def our_books(session: models.PaymentSession) -> Books:
    """Return what our rows say."""
    payment = models.Payment.objects.filter(session=session).first()
    captures = list(models.Capture.objects.filter(payment__session=session, status=SUCCEEDED))
    refunds = list(models.Refund.objects.filter(payment__session=session, status=SUCCEEDED))

    def minor(amount: Decimal) -> int:
        return to_minor_units(amount, session.currency_code) if amount else 0

    return Books(
        held=0 if payment is None else minor(payment.amount - payment.canceled_amount),
        captured=sum(minor(row.amount) for row in captures),
        refunded=sum(minor(row.amount) for row in refunds),
        charged_back=0 if payment is None else minor(payment.charged_back_amount),
        captures=len(captures),
        refunds=len(refunds),
    )


def their_books(service: Ledger, session: models.PaymentSession) -> Books:
    """Return what the simulator's ledger says, having made sure that nothing was authorized or made twice."""
    totals = service.totals(session.pk)
    assert totals.intents <= 1, "the provider has the session twice"
    assert totals.authorizations <= 1, "the provider holds the money twice"
    return Books(
        held=totals.authorized - totals.canceled,
        captured=totals.captured,
        refunded=totals.refunded,
        charged_back=totals.charged_back,
        captures=totals.captures,
        refunds=totals.refunds,
    )


def assert_books_agree(service: Ledger, collection: models.PaymentCollection) -> None:
    """Hold every session of a collection against the simulator's ledger, but what was paid outside of any provider."""
    for session in collection.sessions.exclude(provider="system"):
        assert our_books(session) == their_books(service, session), session.pk


def assert_references_moved_once(service: SimulatorService, session: models.PaymentSession) -> None:
    """Make sure that the simulator took and gave back money once for each operation that asked."""
    moved = Counter(
        movement.reference
        for intent in service.intents(reference=session.pk)
        for movement in intent.movements
        if movement.reference is not None
    )
    assert all(count == 1 for count in moved.values()), moved


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A collection's rows, read once."""

    payments: Sequence[models.Payment]
    captures: Sequence[models.Capture]
    refunds: Sequence[models.Refund]
    operations: Sequence[models.PaymentOperation]

    @classmethod
    def of(cls, collection: models.PaymentCollection) -> Rows:
        """Read the rows."""
        return cls(
            payments=list(collection.payments.all()),
            captures=list(models.Capture.objects.filter(payment__collection=collection)),
            refunds=list(models.Refund.objects.filter(payment__collection=collection)),
            operations=list(models.PaymentOperation.objects.filter(collection=collection)),
        )

    def of_movement(self, movement: Movement) -> list[models.PaymentOperation]:
        """Return the operations of a capture or refund."""
        return [row for row in self.operations if movement.pk in (row.capture_id, row.refund_id)]


def assert_invariants(collection: models.PaymentCollection) -> None:
    """Make sure of all that must hold of a collection at any moment, whatever is under way."""
    collection.refresh_from_db()
    rows = Rows.of(collection)
    for payment in rows.payments:
        _assert_payment(payment, rows)
    held = sum((row.amount - row.canceled_amount for row in rows.payments), ZERO)
    assert collection.authorized_amount == held
    assert collection.captured_amount == sum((row.captured_amount for row in rows.payments), ZERO)
    assert collection.refunded_amount == sum((row.refunded_amount for row in rows.payments), ZERO)
    _assert_operations(rows)
    _assert_history(collection, rows)
    assert_kept_sums_are_right()


def assert_kept_sums_are_right() -> None:
    """Make sure that whatever is kept of past days is what adding up those days gives now."""
    for kept in models.DaySummary.objects.filter(sums__isnull=False):
        assert summaries.days_between(kept.day, kept.day) == summaries.add_up([kept.day])


def _assert_payment(payment: models.Payment, rows: Rows) -> None:
    captures = [row for row in rows.captures if row.payment_id == payment.pk]
    refunds = [row for row in rows.refunds if row.payment_id == payment.pk]
    captured, refunded = _moved(captures), _moved(refunds)
    assert payment.captured_amount == captured
    assert payment.refunded_amount == refunded
    assert captured <= payment.amount - payment.canceled_amount
    assert refunded <= captured
    assert ZERO <= payment.charged_back_amount <= captured
    assert payment.canceled_amount >= ZERO
    # What is done at the provider itself may overtake a reservation of ours, so only our own are held against the sums.
    assert _claimed(captures, rows) <= payment.amount
    assert _claimed(refunds, rows) <= captured
    assert payment.status == payment.derive_status()


def _moved(movements: Sequence[Movement]) -> Decimal:
    return sum((row.amount for row in movements if row.status == SUCCEEDED), ZERO)


def _claimed(movements: Sequence[Movement], rows: Rows) -> Decimal:
    """Return what our own operations have moved or may still move."""
    ours = (row for row in movements if row.status != MovementStatus.FAILED and rows.of_movement(row))
    return sum((row.amount for row in ours), ZERO)


def _assert_operations(rows: Rows) -> None:
    movements: list[Movement] = [*rows.captures, *rows.refunds]
    by_id = {row.pk: row for row in movements}
    for operation in rows.operations:
        assert operation.is_open == (operation.in_flight_key is not None), operation.pk
        movement_id = operation.capture_id or operation.refund_id
        if movement_id is None:
            continue
        row = by_id[movement_id]
        # A refund may fail at the payer's bank long after it had succeeded.
        may_have_failed = isinstance(row, models.Refund) and row.succeeded_at is not None
        if operation.status == OperationStatus.SUCCEEDED:
            assert row.status == SUCCEEDED or may_have_failed, operation.pk
        elif not operation.is_open:
            assert row.status == MovementStatus.FAILED, operation.pk
    for row in movements:
        operations = rows.of_movement(row)
        if row.status == MovementStatus.PENDING and operations:
            assert any(operation.is_open for operation in operations), row.pk


def _assert_history(collection: models.PaymentCollection, rows: Rows) -> None:
    types = ("payment.captured", "payment.refunded", "capture.failed", "refund.failed")
    events = models.PaymentEvent.objects.filter(collection=collection, type__in=types)
    said = [(event.type, event.capture_id or event.refund_id, event.data.get("code")) for event in events]
    kinds: tuple[tuple[str, str, Sequence[Movement]], ...] = (
        ("payment.captured", "capture.failed", rows.captures),
        ("payment.refunded", "refund.failed", rows.refunds),
    )
    for done, failed, movements in kinds:
        told = Counter(movement_id for event_type, movement_id, _code in said if event_type == done)
        # What a person has corrected is told of twice: that it was booked, and that it wasn't so.
        told.subtract(
            movement_id
            for event_type, movement_id, code in said
            if (event_type, code) == (failed, "corrected")
        )
        assert +told == Counter(row.pk for row in movements if row.succeeded_at is not None), done


def row_counts(collection: models.PaymentCollection) -> dict[str, int]:
    """Count the rows of a collection, none of which may ever go."""
    with connection.cursor() as cursor:
        cursor.execute(_counting(), [collection.pk] * len(KEPT))
        counts = cursor.fetchone()
    return dict(zip((model.__name__ for model in KEPT), counts, strict=True))


@cache
def _counting() -> str:
    """Return one statement that counts the rows of each model; composing seven takes longer than running them."""
    counts = (
        f"(SELECT COUNT(*) FROM {model._meta.db_table} WHERE {_IN_COLLECTION.get(model, 'collection_id = %s')})"  # noqa: S608
        for model in KEPT
    )
    return f"SELECT {', '.join(counts)}"


def path_to_collection(model: type[Any]) -> str:
    """Return the name of the lookup that leads from a row to its collection's id."""
    if model is models.PaymentCollection:
        return "pk"
    return "payment__collection" if model in (models.Capture, models.Refund) else "collection"


def event_count(collection: models.PaymentCollection, event_type: str) -> int:
    """Count the entries of one type in a collection's history."""
    return models.PaymentEvent.objects.filter(collection=collection, type=event_type).count()
