"""A collection with something of everything, so that requests that are made up find something to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payments import services
from payments.api.storefront.access import client_secret
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.simulator.faults import CARDS
from payments.testing.factories import PaymentOperationFactory, RefundReasonFactory, WebhookEventFactory
from tests.shop.models import Order


@dataclass(frozen=True, kw_only=True)
class World:
    """Hold what a request may name: by the parameter of an address, and by the field of a body."""

    collection: PaymentCollection
    parameters: Mapping[str, list[str]]
    fields: Mapping[str, list[Any]]

    @property
    def secret(self) -> str:
        """The secret that opens the collection."""
        return client_secret(self.collection.pk)


def make_world(customer: Any) -> World:
    """Make a collection of a customer's, with sessions, payments, movements, operations and events."""
    for provider in services.list_providers():
        services.enable_provider(provider)
    number = f"W-{Order.objects.count()}"
    order = Order.objects.create(number=number, total="900.00", currency_code="eur", customer=customer)
    collection = services.create_payment_collection(
        amount="900.00", currency_code="eur", payable=order, customer=customer
    )
    waiting = [_session(collection, provider) for provider in ("system", "simulator")]
    challenged = services.authorize_payment_session(
        _session(collection, "simulator"), data={"card": "card_3ds"}
    )
    held, taken = _payment(collection, "simulator"), _payment(collection, "system")
    services.refund_payment(services.capture_payment(taken, amount="60.00"), amount="10.00")
    operations = [
        PaymentOperationFactory.create(session=waiting[0], attention=True),
        PaymentOperationFactory.create(session=_session(collection, "system"), unknown=True),
    ]
    event = WebhookEventFactory.create(session=held.session)
    sessions = [*waiting, challenged, held.session, taken.session]
    reason = RefundReasonFactory.create()
    return World(
        collection=collection,
        parameters={
            "collection_id": [collection.pk],
            "session_id": [session.pk for session in sessions],
            "payment_id": [held.pk, taken.pk],
            "reason_id": [reason.pk],
            "provider_id": ["system", "simulator"],
            "operation_id": [operation.pk for operation in operations],
            "event_id": [event.pk],
        },
        fields={
            "reference": [number],
            "provider_id": ["system", "simulator"],
            "amount": ["0.01", "10.00", 5, "900.00"],
            "currency_code": ["eur", "jpy"],
            "customer_id": [str(customer.pk), None],
            "payable": [{"type": "shop.order", "id": str(order.pk)}, None],
            "refund_reason_id": [reason.pk, None],
            "data": [{}, {"code": "123456"}, *({"card": card} for card in CARDS if card != "card_timeout")],
        },
    )


def _session(collection: PaymentCollection, provider_id: str) -> PaymentSession:
    return services.create_payment_session(collection, provider_id=provider_id, amount="100.00")


def _payment(collection: PaymentCollection, provider_id: str) -> Payment:
    session = services.authorize_payment_session(_session(collection, provider_id))
    assert session.payment is not None
    return session.payment
