"""The verbs that call a provider, each with what a test of crashes and faults has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payments import services
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.states import OperationKind, OperationStatus
from tests.reliability.books import event_count


@dataclass(frozen=True, kw_only=True)
class Payer:
    """Pay with one provider: `sent` is what the browser sends to authorize.

    `approve` is what a payer does at the provider before, given the session.
    """

    provider_id: str
    sent: Mapping[str, Any] = field(default_factory=dict)
    approve: Callable[[PaymentSession], object] = lambda session: None


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Say how a verb is called, from where it starts, and which one entry of the history tells of its success.

    `prepare` makes a collection ready for it; `run` calls it. `is_done` looks at the collection's one session.
    """

    name: str
    kind: OperationKind
    prepare: Callable[[Payer], PaymentCollection]
    run: Callable[[Payer, PaymentCollection], object]
    is_done: Callable[[PaymentSession], bool]
    event_type: str | None

    def __str__(self) -> str:
        return self.name


def session_of(collection: PaymentCollection) -> PaymentSession:
    """Return a collection's newest session, as it is in the database."""
    return collection.sessions.select_related("authorized_payment").order_by("created_at", "id").reverse()[0]


def times_done(verb: Verb, collection: PaymentCollection) -> int:
    """Count how often the history says that the verb was carried out; of an initiation only its operation tells."""
    if verb.event_type is not None:
        return event_count(collection, verb.event_type)
    return collection.operations.filter(kind=verb.kind, status=OperationStatus.SUCCEEDED).count()


def payment_of(collection: PaymentCollection) -> Payment:
    """Return a collection's only payment, as it is in the database."""
    return collection.payments.get()


def opened(payer: Payer) -> PaymentCollection:
    """Return a collection of 100.00 euros, for which nobody has been asked for anything yet."""
    return services.create_payment_collection(amount="100.00", currency_code="eur")


def initiated(payer: Payer) -> PaymentCollection:
    """Return a collection with a session over the whole amount."""
    collection = opened(payer)
    services.create_payment_session(collection, provider_id=payer.provider_id, by_payer=True)
    return collection


def approved(payer: Payer) -> PaymentCollection:
    """Return a collection whose session can be authorized."""
    collection = initiated(payer)
    payer.approve(session_of(collection))
    return collection


def authorized(payer: Payer) -> PaymentCollection:
    """Return a collection whose whole amount is held."""
    collection = approved(payer)
    services.authorize_payment_session(session_of(collection), data=payer.sent)
    return collection


def captured(payer: Payer) -> PaymentCollection:
    """Return a collection whose whole amount is captured."""
    collection = authorized(payer)
    services.capture_payment(payment_of(collection))
    return collection


VERBS = (
    Verb(
        name="initiate",
        kind=OperationKind.INITIATE,
        prepare=opened,
        run=lambda payer, collection: services.create_payment_session(
            collection, provider_id=payer.provider_id
        ),
        is_done=lambda session: session.initiated_at is not None and session.status == "pending",
        event_type=None,
    ),
    Verb(
        name="update",
        kind=OperationKind.UPDATE,
        prepare=initiated,
        run=lambda payer, collection: services.update_payment_session(session_of(collection), amount="60.00"),
        is_done=lambda session: session.amount == 60 and session.status == "pending",
        event_type="session.updated",
    ),
    Verb(
        name="authorize",
        kind=OperationKind.AUTHORIZE,
        prepare=approved,
        run=lambda payer, collection: services.authorize_payment_session(
            session_of(collection), data=payer.sent
        ),
        is_done=lambda session: session.status == "authorized" and session.payment is not None,
        event_type="session.authorized",
    ),
    Verb(
        name="capture",
        kind=OperationKind.CAPTURE,
        prepare=authorized,
        run=lambda payer, collection: services.capture_payment(payment_of(collection), amount="60.00"),
        is_done=lambda session: session.payment is not None and session.payment.captured_amount == 60,
        event_type="payment.captured",
    ),
    Verb(
        name="refund",
        kind=OperationKind.REFUND,
        prepare=captured,
        run=lambda payer, collection: services.refund_payment(payment_of(collection), amount="60.00"),
        is_done=lambda session: session.payment is not None and session.payment.refunded_amount == 60,
        event_type="payment.refunded",
    ),
    Verb(
        name="cancel_session",
        kind=OperationKind.CANCEL,
        prepare=initiated,
        run=lambda payer, collection: services.cancel_payment_session(session_of(collection)),
        is_done=lambda session: session.status == "canceled",
        event_type="session.canceled",
    ),
    Verb(
        name="cancel_payment",
        kind=OperationKind.CANCEL,
        prepare=authorized,
        run=lambda payer, collection: services.cancel_payment(payment_of(collection)),
        is_done=lambda session: session.payment is not None and session.payment.status == "canceled",
        event_type="payment.canceled",
    ),
)
