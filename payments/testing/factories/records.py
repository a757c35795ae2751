"""The factories of what is written down about payments: events, webhook events, stored answers."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import factory
from django.utils import timezone

from payments.models import IdempotencyRecord, PaymentEvent, WebhookEvent
from payments.states import EventSource, WebhookEventStatus
from payments.testing.factories.base import Given, GivenOrNew, RowFactory
from payments.testing.factories.collections import PaymentCollectionFactory
from payments.testing.factories.providers import PaymentProviderFactory


class PaymentEventFactory(RowFactory[PaymentEvent]):
    """Make an entry of a collection's history that was published; trait `unpublished`."""

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
    source = EventSource.API
    published_at = factory.LazyFunction(timezone.now)


class WebhookEventFactory(RowFactory[WebhookEvent]):
    """Make a verified event of a provider that waits to be applied.

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
    """Make the stored answer to a request; trait `in_progress` for one that isn't answered yet."""

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
