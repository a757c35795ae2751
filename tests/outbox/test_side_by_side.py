"""Several publishers, each in a thread with a connection of its own: told once, and in each collection's order."""

from __future__ import annotations

import time
from typing import Any

import pytest

from payments import services, signals
from payments.models import PaymentCollection, PaymentEvent
from payments.services.ledger import outbox
from payments.services.ledger.locks import RETRIES
from payments.signals import SIGNALS
from tests.outbox.listeners import Listener, published_in_order, receiving
from tests.reliability.clocks import TestClock
from tests.threads import times, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def left_behind(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, clock: TestClock
) -> list[PaymentCollection]:
    """Return eight collections, of whose captured payments nobody was told of anything."""
    collections = []
    with monkeypatch.context() as patch, Listener():
        patch.setattr(outbox, "publish_new", lambda events: None)
        patch.setattr(outbox, "catch_up", lambda collection_id: None)
        for _each in range(8):
            collection = services.create_payment_collection(amount="100.00", currency_code="eur")
            session = services.create_payment_session(collection, provider_id="scripted")
            payment = services.authorize_payment_session(session).payment
            assert payment is not None
            services.capture_payment(payment)
            collections.append(collection)
    clock.advance(outbox.LEASE)
    return collections


@pytest.mark.shows(
    "Four publishers work off the same outbox", "each event is told once, in its collection's order"
)
def test_publishers_side_by_side_tell_everything_once(
    left_behind: list[PaymentCollection], listener: Listener
) -> None:
    told = times(4, services.publish_due)
    assert not told.raised()
    services.publish_due()
    published_in_order(listener)
    assert sum(told.values) == PaymentEvent.objects.count()


@pytest.mark.shows(
    "Many commits on one collection at once, with slow receivers", "told once, in the order of commits"
)
def test_commits_at_the_same_time_are_told_in_their_order(transactional_db: None, listener: Listener) -> None:
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="scripted")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None

    def dawdle(**_values: Any) -> None:
        time.sleep(0.01)

    with receiving(signals.payment_captured, dawdle):
        captured = times(10, lambda: services.capture_payment(payment, amount="10.00"))
    assert not captured.raised()
    published_in_order(listener)
    assert listener.types().count("payment.captured") == 10


@pytest.mark.shows("Publishers retry the same failed events at once", "each is told again once")
def test_retries_are_shared(transactional_db: None, clock: TestClock) -> None:
    def fail(**_values: Any) -> None:
        raise ValueError

    with receiving(signals.collection_created, fail):
        for _each in range(8):
            services.create_payment_collection(amount="5.00", currency_code="eur")
    clock.advance(RETRIES[0])
    with Listener() as listener:
        retried = together(*[services.publish_due] * 4)
    assert not retried.raised()
    assert sum(retried.values) == 8
    assert sorted(event.pk for event in listener.heard) == sorted(
        PaymentEvent.objects.filter(type__in=list(SIGNALS)).values_list("pk", flat=True)
    )
