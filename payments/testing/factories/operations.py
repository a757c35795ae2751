"""The factories of operations, and of what is written down beside them: events, webhook events, stored answers."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Final

import factory
from django.utils import timezone

from payments import ids
from payments.models import IdempotencyRecord, PaymentEvent, PaymentOperation, WebhookEvent
from payments.states import (
    OPEN_OPERATION_STATUSES,
    EventSource,
    MovementStatus,
    OperationKind,
    OperationStatus,
    WebhookEventStatus,
)
from payments.testing.factories.base import FoundOrNew, Given, GivenOrNew, RowFactory
from payments.testing.factories.payments import (
    CaptureFactory,
    PaymentCollectionFactory,
    PaymentProviderFactory,
    PaymentSessionFactory,
    RefundFactory,
)

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
    """An operation that succeeded: the initiation of a session.

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
    error_code = factory.LazyAttribute(lambda row: row.status if row.status in _REFUSED else "")
    detail = factory.LazyAttribute(lambda row: _DIFFERENCE if row.status == OperationStatus.ATTENTION else "")
    attempts = 1
    lease_expires_at = _in(timedelta(minutes=2), OperationStatus.PROCESSING)
    next_attempt_at = _in(timedelta(minutes=1), OperationStatus.PENDING, OperationStatus.UNKNOWN)
    finished_at = factory.LazyAttribute(
        lambda row: None if row.status in OPEN_OPERATION_STATUSES else timezone.now()
    )


class PaymentEventFactory(RowFactory[PaymentEvent]):
    """An entry of a collection's history that was published; trait `unpublished`."""

    class Meta:
        model = PaymentEvent

    class Params:
        unpublished = factory.Trait(published_at=None)

    session = None
    payment = Given(capture=lambda row: row.payment, refund=lambda row: row.payment)
    collection = factory.SubFactory(PaymentCollectionFactory)
    type = "collection.created"
    to_status = factory.LazyAttribute(lambda row: str(row.collection.status))
    amount = factory.LazyAttribute(lambda row: row.collection.amount)
    source = EventSource.SHOP
    published_at = factory.LazyFunction(timezone.now)


class WebhookEventFactory(RowFactory[WebhookEvent]):
    """A verified event of a provider that waits to be applied.

    Traits: `applied`, `deferred`, `ignored`, `failed`.
    """

    class Meta:
        model = WebhookEvent

    class Params:
        applied = factory.Trait(
            status=WebhookEventStatus.APPLIED,
            attempts=1,
            next_attempt_at=None,
            applied_at=factory.LazyFunction(timezone.now),
        )
        deferred = factory.Trait(
            status=WebhookEventStatus.DEFERRED,
            attempts=1,
            detail="unknown_session",
            next_attempt_at=factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=1)),
        )
        ignored = factory.Trait(status=WebhookEventStatus.IGNORED, next_attempt_at=None, detail="foreign")
        failed = factory.Trait(
            status=WebhookEventStatus.FAILED, attempts=6, next_attempt_at=None, detail="LookupError"
        )

    session = None
    provider = GivenOrNew("session", "provider", PaymentProviderFactory)
    event_id = factory.Sequence(lambda number: f"event-{number}")
    type = "intent.authorized"
    payload = factory.LazyAttribute(lambda row: {"id": row.event_id, "status": "authorized"})
    occurred_at = factory.LazyFunction(timezone.now)


class IdempotencyRecordFactory(RowFactory[IdempotencyRecord]):
    """The stored answer to a request; trait `in_progress` for one that isn't answered yet."""

    class Meta:
        model = IdempotencyRecord

    class Params:
        in_progress = factory.Trait(
            response_status=None,
            response_body=None,
            locked_until=factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=1)),
        )

    scope = "user:1 POST /storefront/payment-collections/"
    key = factory.Sequence(lambda number: f"key-{number}")
    fingerprint = factory.LazyAttribute(lambda row: hashlib.sha256(row.key.encode()).hexdigest())
    response_status = 201
    response_body = factory.LazyFunction(lambda: {"id": "pay_col_1"})
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=24))
