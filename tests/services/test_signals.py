"""Signals: sent once a change is committed, with rows as they are then; a receiver that raises holds up nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.dispatch import Signal

from payments import services, signals
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentSession
from payments.testing import Script
from tests.services.facts import AUTHORIZED, tell
from tests.services.results import authorized

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def listening(signal: Signal, receiver: Any) -> Iterator[None]:
    signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver)


def test_every_documented_event_has_its_signal(collection: PaymentCollection, card: Script) -> None:
    heard: list[str] = []

    def receiver(*, event: PaymentEvent, **rows: Any) -> None:
        heard.append(event.type)

    for signal in signals.SIGNALS.values():
        signal.connect(receiver, weak=False)
    try:
        session = services.create_payment_session(collection, provider_id="card")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        services.capture_payment(payment)
        services.refund_payment(payment)
    finally:
        for signal in signals.SIGNALS.values():
            signal.disconnect(receiver)
    assert heard == [
        "session.created",
        "session.authorized",
        "payment.authorized",
        "collection.authorized",
        "payment.captured",
        "collection.completed",
        "payment.refunded",
        "collection.canceled",
        "collection.unauthorized",
    ]


def _authorizations() -> list[str]:
    return list(PaymentEvent.objects.filter(type="collection.authorized").values_list("to_status", flat=True))


def test_an_order_is_told_to_be_authorized_though_a_share_was_captured_before(
    collection: PaymentCollection,
) -> None:
    card = services.create_payment_session(collection, provider_id="card", amount=60)
    wallet = services.create_payment_session(collection, provider_id="wallet", amount=40)
    heard: list[str] = []

    def receiver(*, collection: PaymentCollection, **rows: Any) -> None:
        heard.append(f"{collection.status}: {collection.authorized_amount:.2f}")

    with listening(signals.collection_authorized, receiver):
        payment = services.authorize_payment_session(card).payment
        assert payment is not None
        services.capture_payment(payment)
        assert heard == []
        services.authorize_payment_session(wallet)
        services.capture_payment(payment.collection.payments.get(session=wallet))
    assert heard == ["partially_captured: 100.00"]


def test_an_order_is_told_to_be_authorized_where_its_provider_captures_at_once(
    session: PaymentSession, card: Script
) -> None:
    card.next("authorize", authorized("100", captured="100"))
    services.authorize_payment_session(session)
    types = list(PaymentEvent.objects.filter(type__startswith="collection.").values_list("type", flat=True))
    assert types[-2:] == ["collection.authorized", "collection.completed"]


def test_an_order_is_authorized_when_its_amount_falls_to_what_is_held(
    collection: PaymentCollection,
) -> None:
    card = services.create_payment_session(collection, provider_id="card", amount=60)
    payment = services.authorize_payment_session(card).payment
    assert payment is not None
    services.capture_payment(payment, amount=10)
    assert _authorizations() == []
    services.update_payment_collection(collection, amount=60)
    assert len(_authorizations()) == 1
    services.update_payment_collection(collection, amount=70)
    services.update_payment_collection(collection, amount=60)
    assert len(_authorizations()) == 2


def test_signal_comes_after_the_commit_with_rows_as_they_are_then(payment: Payment) -> None:
    seen: list[Any] = []

    def receiver(*, event: PaymentEvent, collection: Any, payment: Any, capture: Any, **rows: Any) -> None:
        assert not connection.in_atomic_block
        seen.append(
            (
                capture.status,
                payment.status,
                payment.captured_amount,
                capture.payment.captured_amount,
                collection.status,
                collection.captured_amount,
            )
        )

    with listening(signals.payment_captured, receiver):
        services.capture_payment(payment, amount="25.00")
    assert seen == [
        ("succeeded", "partially_captured", Decimal(25), Decimal(25), "partially_captured", Decimal(25))
    ]


def test_session_of_a_signal_knows_its_payment(session: PaymentSession) -> None:
    seen: list[Any] = []

    def receiver(*, session: Any, **rows: Any) -> None:
        seen.append((session.status, session.payment and session.payment.amount))

    with listening(signals.session_authorized, receiver):
        services.authorize_payment_session(session)
    assert seen == [("authorized", Decimal(100))]


def test_no_signal_is_sent_for_what_was_rolled_back(rows: None) -> None:
    heard: list[str] = []

    def receiver(*, event: PaymentEvent, **more: Any) -> None:
        heard.append(event.type)

    with listening(signals.collection_created, receiver):
        with transaction.atomic():
            services.create_payment_collection(amount=10, currency_code="eur")
            transaction.set_rollback(True)
        assert heard == []
        with transaction.atomic():
            services.create_payment_collection(amount=10, currency_code="eur")
            assert heard == []
        assert heard == ["collection.created"]


def test_receiver_that_raises_holds_up_nobody(payment: Payment, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def breaks(**rows: Any) -> None:
        raise RuntimeError("no mail server")

    def works(*, event: PaymentEvent, **rows: Any) -> None:
        heard.append(event.type)

    with listening(signals.payment_captured, breaks), listening(signals.payment_captured, works):
        assert services.capture_payment(payment).status == "captured"
    assert heard == ["payment.captured"]
    assert "payment.captured" in caplog.text


def test_receiver_may_go_on_with_the_next_verb(session: PaymentSession) -> None:
    """A shop that takes the money as soon as it is held."""

    def take(*, payment: Any, **rows: Any) -> None:
        services.capture_payment(payment)

    with listening(signals.payment_authorized, take):
        services.authorize_payment_session(session)
    payment = Payment.objects.get()
    assert (payment.status, session.collection.events.filter(published_at=None).count()) == ("captured", 0)


def test_failed_session_and_attention_are_signalled(session: PaymentSession) -> None:
    heard: list[str] = []

    def receiver(*, event: PaymentEvent, **rows: Any) -> None:
        heard.append(event.type)

    services.cancel_payment_session(session)
    with listening(signals.operation_needs_attention, receiver):
        tell(session, AUTHORIZED)
    assert heard == ["operation.needs_attention"]
