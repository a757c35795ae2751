"""Rows for tests: factory-boy factories for every model, whose aggregates agree with the rows below them.

    payment = PaymentFactory.create(captured=True)
    assert payment.collection.status == "completed"
    PaymentFactory.create(collection=payment.collection, amount="40.00", captured_amount="25.00")

Totals and derived statuses are never set but computed from the rows, by the same code as in production: so
`captured_amount` and `refunded_amount` of a payment make captures and refunds, and a status that those don't stand
for is an error. Rows that are given decide: a payment of a given session has its amount, provider and collection.

Nothing here calls a provider or sends a signal, so a provider knows nothing of these sessions; tests that go on with
services use the `system` provider, which is the default, or a scripted one. `build()` makes rows without a database,
and without the rows below them.
"""

from __future__ import annotations

from payments.testing.factories.operations import (
    IdempotencyRecordFactory,
    PaymentEventFactory,
    PaymentOperationFactory,
    WebhookEventFactory,
)
from payments.testing.factories.payments import (
    AccountHolderFactory,
    CaptureFactory,
    CustomerFactory,
    PaymentCollectionFactory,
    PaymentFactory,
    PaymentProviderFactory,
    PaymentSessionFactory,
    RefundFactory,
    RefundReasonFactory,
)

__all__ = [
    "AccountHolderFactory",
    "CaptureFactory",
    "CustomerFactory",
    "IdempotencyRecordFactory",
    "PaymentCollectionFactory",
    "PaymentEventFactory",
    "PaymentFactory",
    "PaymentOperationFactory",
    "PaymentProviderFactory",
    "PaymentSessionFactory",
    "RefundFactory",
    "RefundReasonFactory",
    "WebhookEventFactory",
]
