"""Rows to try the database's promises on: one whole collection, down to a capture and a refund."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.utils import timezone

from payments import models


@dataclass(frozen=True, kw_only=True)
class Books:
    """Hold one row of each kind."""

    provider: models.PaymentProvider
    collection: models.PaymentCollection
    session: models.PaymentSession
    payment: models.Payment
    capture: models.Capture
    refund: models.Refund
    operation: models.PaymentOperation
    event: models.PaymentEvent
    webhook: models.WebhookEvent
    holder: models.AccountHolder


def new_operation(session: models.PaymentSession, **values: object) -> models.PaymentOperation:
    """Return an unsaved operation that captures 10.00 of a session's payment."""
    return models.PaymentOperation(
        **{
            "kind": "capture",
            "target_id": session.pk,
            "collection": session.collection,
            "session": session,
            "provider": session.provider,
            "amount": Decimal(10),
            **values,
        }
    )


@pytest.fixture
def books(db: None) -> Books:
    """Return a payment of 100.00, of which 60.00 were captured, 20.00 refunded and 30.00 released."""
    provider = models.PaymentProvider.objects.create(pk="card")
    collection = models.PaymentCollection(
        amount=Decimal(100),
        currency_code="eur",
        authorized_amount=Decimal(70),
        captured_amount=Decimal(60),
        refunded_amount=Decimal(20),
    )
    collection.capture_partially()
    collection.save()
    session = models.PaymentSession(
        collection=collection,
        provider=provider,
        amount=Decimal(100),
        provider_reference="int_1",
        installment=1,
        authorized_at=timezone.now(),
    )
    session.authorize()
    session.save()
    payment = models.Payment(
        collection=collection,
        session=session,
        provider=provider,
        amount=Decimal(100),
        captured_amount=Decimal(60),
        refunded_amount=Decimal(20),
        canceled_amount=Decimal(30),
        provider_reference="int_1",
    )
    payment.refund_partially()
    payment.save()
    capture = models.Capture.objects.create(payment=payment, amount=Decimal(60), provider_reference="cap_1")
    refund = models.Refund.objects.create(payment=payment, amount=Decimal(20), provider_reference="ref_1")
    operation = new_operation(session)
    operation.save()
    return Books(
        provider=provider,
        collection=collection,
        session=session,
        payment=payment,
        capture=capture,
        refund=refund,
        operation=operation,
        event=models.PaymentEvent.objects.create(
            type="collection.created", collection=collection, source="shop"
        ),
        webhook=models.WebhookEvent.objects.create(provider=provider, event_id="evt_1", type="captured"),
        holder=models.AccountHolder.objects.create(provider=provider, provider_reference="cus_1"),
    )
