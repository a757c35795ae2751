"""Our books held against the simulator's ledger, and what must hold of them at every moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db.models import Model

from payments import models
from payments.money import ZERO, to_minor_units
from payments.simulator import SimulatorService
from payments.states import MovementStatus, OperationStatus

SUCCEEDED = MovementStatus.SUCCEEDED
KEPT: Final[tuple[type[Model], ...]] = (
    models.PaymentCollection,
    models.PaymentSession,
    models.Payment,
    models.Capture,
    models.Refund,
    models.PaymentOperation,
    models.PaymentEvent,
)


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


def their_books(service: SimulatorService, session: models.PaymentSession) -> Books:
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


def assert_books_agree(service: SimulatorService, collection: models.PaymentCollection) -> None:
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


def assert_invariants(collection: models.PaymentCollection) -> None:
    """Make sure of all that must hold of a collection at any moment, whatever is under way."""
    collection.refresh_from_db()
    payments = list(collection.payments.all())
    for payment in payments:
        _assert_payment(payment)
    assert collection.authorized_amount == sum((row.amount - row.canceled_amount for row in payments), ZERO)
    assert collection.captured_amount == sum((row.captured_amount for row in payments), ZERO)
    assert collection.refunded_amount == sum((row.refunded_amount for row in payments), ZERO)
    _assert_operations(collection)
    _assert_history(collection)


def _assert_payment(payment: models.Payment) -> None:
    captured, refunded = _moved(models.Capture, payment), _moved(models.Refund, payment)
    assert payment.captured_amount == captured
    assert payment.refunded_amount == refunded
    assert captured <= payment.amount - payment.canceled_amount
    assert refunded <= captured
    assert ZERO <= payment.charged_back_amount <= captured
    assert payment.canceled_amount >= ZERO
    # What is done at the provider itself may overtake a reservation of ours, so only our own are held against the sums.
    assert _claimed(models.Capture, payment) <= payment.amount
    assert _claimed(models.Refund, payment) <= captured
    assert payment.status == payment.derive_status()


def _moved(model: type[Any], payment: models.Payment) -> Decimal:
    rows = model.objects.filter(payment=payment, status=SUCCEEDED)
    return sum((row.amount for row in rows), ZERO)


def _claimed(model: type[Any], payment: models.Payment) -> Decimal:
    """Return what our own operations have moved or may still move."""
    rows = model.objects.filter(payment=payment, operations__isnull=False)
    return sum((row.amount for row in rows.exclude(status=MovementStatus.FAILED).distinct()), ZERO)


def _assert_operations(collection: models.PaymentCollection) -> None:
    for operation in models.PaymentOperation.objects.filter(collection=collection):
        assert operation.is_open == (operation.in_flight_key is not None), operation.pk
        row = operation.capture or operation.refund
        if row is None:
            continue
        # A refund may fail at the payer's bank long after it had succeeded.
        may_have_failed = isinstance(row, models.Refund) and row.succeeded_at is not None
        if operation.status == OperationStatus.SUCCEEDED:
            assert row.status == SUCCEEDED or may_have_failed, operation.pk
        elif not operation.is_open:
            assert row.status == MovementStatus.FAILED, operation.pk
    for model in (models.Capture, models.Refund):
        pending = model.objects.filter(payment__collection=collection, status=MovementStatus.PENDING)
        for movement in pending.exclude(operations=None):
            assert any(operation.is_open for operation in movement.operations.all()), movement.pk


def _assert_history(collection: models.PaymentCollection) -> None:
    for event_type, model in (("payment.captured", models.Capture), ("payment.refunded", models.Refund)):
        link = "capture_id" if model is models.Capture else "refund_id"
        events = models.PaymentEvent.objects.filter(collection=collection, type=event_type)
        # What a person has corrected is told of twice: that it was booked, and that it wasn't so.
        corrected = models.PaymentEvent.objects.filter(
            collection=collection, type=f"{model.__name__.lower()}.failed", data__code="corrected"
        )
        told = Counter(events.values_list(link, flat=True))
        told.subtract(corrected.values_list(link, flat=True))
        told = +told
        succeeded = model.objects.filter(payment__collection=collection, succeeded_at__isnull=False)
        assert told == Counter(succeeded.values_list("pk", flat=True)), event_type


def row_counts(collection: models.PaymentCollection) -> dict[str, int]:
    """Count the rows of a collection, none of which may ever go."""
    return {
        model.__name__: model._default_manager.filter(**{path_to_collection(model): collection.pk}).count()
        for model in KEPT
    }


def path_to_collection(model: type[Any]) -> str:
    """Return the name of the lookup that leads from a row to its collection's id."""
    if model is models.PaymentCollection:
        return "pk"
    return "payment__collection" if model in (models.Capture, models.Refund) else "collection"


def event_count(collection: models.PaymentCollection, event_type: str) -> int:
    """Count the entries of one type in a collection's history."""
    return models.PaymentEvent.objects.filter(collection=collection, type=event_type).count()
