"""The factory of operations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import factory
from django.utils import timezone

from payments import ids
from payments.models import PaymentOperation
from payments.states import OPEN_OPERATION_STATUSES, MovementStatus, OperationKind, OperationStatus
from payments.testing.factories.base import FoundOrNew, RowFactory
from payments.testing.factories.movements import CaptureFactory, RefundFactory
from payments.testing.factories.sessions import PaymentSessionFactory

_REFUSED: Final = (OperationStatus.DECLINED, OperationStatus.NOT_SENT)

_DIFFERENCE: Final = "capture_amount_mismatch: expected 100.00, reported 99.99"


def _movement_status(movement: Any) -> MovementStatus:
    """Return the status of a movement whose operation has its status: an open one reserves the amount."""
    status = movement.factory_parent.status
    if status == OperationStatus.SUCCEEDED:
        return MovementStatus.SUCCEEDED
    return MovementStatus.FAILED if status in _REFUSED else MovementStatus.PENDING


def _target(row: Any) -> Any:
    return row.capture or row.refund or row.payment or row.session


def _in(delay: timedelta, *statuses: OperationStatus) -> factory.LazyAttribute:
    return factory.LazyAttribute(lambda row: timezone.now() + delay if row.status in statuses else None)


class PaymentOperationFactory(RowFactory[PaymentOperation]):
    """Make an operation that succeeded: the initiation of a session.

    What it is about: `kind`, with `session` or `payment` · traits `capturing` and `refunding`, which make a capture or
    refund whose status fits, or take a given `capture` or `refund`.
    What became of it, as traits: `processing`, `pending`, `unknown`, `attention`, `declined`, `not_sent`.
    """

    class Meta:
        model = PaymentOperation

    class Params:
        processing = factory.Trait(status=OperationStatus.PROCESSING)
        pending = factory.Trait(status=OperationStatus.PENDING)
        unknown = factory.Trait(
            status=OperationStatus.UNKNOWN, error_code="outcome_unknown", detail="TimeoutError"
        )
        attention = factory.Trait(status=OperationStatus.ATTENTION)
        declined = factory.Trait(status=OperationStatus.DECLINED, error_message="The bank declined.")
        not_sent = factory.Trait(status=OperationStatus.NOT_SENT)
        capturing = factory.Trait(
            capture=factory.SubFactory(CaptureFactory, status=factory.LazyAttribute(_movement_status))
        )
        refunding = factory.Trait(
            refund=factory.SubFactory(RefundFactory, status=factory.LazyAttribute(_movement_status))
        )

    id = factory.LazyFunction(ids.new_operation_id)
    status = OperationStatus.SUCCEEDED
    capture = None
    refund = None
    kind = factory.LazyAttribute(
        lambda row: (
            OperationKind.CAPTURE
            if row.capture
            else OperationKind.REFUND
            if row.refund
            else OperationKind.INITIATE
        )
    )
    payment = factory.LazyAttribute(
        lambda row: (row.capture or row.refund).payment if row.capture or row.refund else None
    )
    session = FoundOrNew(lambda row: row.payment and row.payment.session, PaymentSessionFactory)
    collection = factory.SelfAttribute("session.collection")
    provider = factory.SelfAttribute("session.provider")
    target_id = factory.LazyAttribute(lambda row: _target(row).pk)
    amount = factory.LazyAttribute(lambda row: _target(row).amount)
    idempotency_key = factory.SelfAttribute("id")
    error_code = factory.LazyAttribute(lambda row: row.status if row.status in _REFUSED else "")
    detail = factory.LazyAttribute(lambda row: _DIFFERENCE if row.status == OperationStatus.ATTENTION else "")
    attempts = 1
    lease_expires_at = _in(timedelta(minutes=2), OperationStatus.PROCESSING)
    next_attempt_at = _in(timedelta(minutes=1), OperationStatus.PENDING, OperationStatus.UNKNOWN)
    finished_at = factory.LazyAttribute(
        lambda row: None if row.status in OPEN_OPERATION_STATUSES else timezone.now()
    )
