"""What is committed is told, in order and at least once, whatever dies in between; what isn't committed never is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from payments import services, signals
from payments.models import Payment, PaymentCollection, PaymentEvent, PaymentSession
from payments.services.ledger import outbox
from payments.services.ledger.books import open_books
from payments.services.ledger.history import Origin
from payments.services.ledger.locks import committed
from payments.signals import SIGNALS
from payments.states import EventSource
from payments.testing import Script
from tests.outbox.listeners import Listener, published_in_order, receiving
from tests.reliability.clocks import TestClock

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(KeyboardInterrupt):
    """Stand for the end of a process."""


def open_collection(**values: Any) -> PaymentCollection:
    """Create a collection of 100.00 euros."""
    return services.create_payment_collection(amount="100.00", currency_code="eur", **values)


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch) -> PaymentSession:
    """Return an authorized session whose process died before it had told anybody of anything."""
    with monkeypatch.context() as patch, Listener():
        patch.setattr(outbox, "publish_new", lambda events: None)
        patch.setattr(outbox, "catch_up", lambda collection_id: None)
        session = services.create_payment_session(open_collection(), provider_id="scripted")
        services.authorize_payment_session(session)
    return session


def test_every_event_is_told_once_and_in_order(listener: Listener, payment: Payment) -> None:
    services.capture_payment(payment, amount="40.00")
    services.capture_payment(payment)
    services.refund_payment(payment, amount="10.00")
    assert listener.types() == [
        "collection.created",
        "session.created",
        "session.authorized",
        "payment.authorized",
        "collection.authorized",
        "payment.captured",
        "payment.captured",
        "collection.completed",
        "payment.refunded",
        "collection.unauthorized",
    ]
    published_in_order(listener)


def test_a_receiver_gets_the_rows_and_no_open_transaction(payment: Payment, listener: Listener) -> None:
    given: list[dict[str, Any]] = []
    with receiving(signals.payment_captured, lambda **values: given.append(values)):
        services.capture_payment(payment)
    (values,) = given
    assert values["sender"] is Payment
    assert values["event"].type == "payment.captured"
    assert (values["collection"], values["session"], values["payment"]) == (
        payment.collection,
        payment.session,
        payment,
    )
    assert values["capture"] == payment.captures.get()
    assert values["refund"] is None
    assert listener.in_transaction == []


@pytest.mark.shows("The shop's transaction is rolled back", "its events are never told")
def test_what_is_rolled_back_is_never_told(
    transactional_db: None, listener: Listener, clock: TestClock
) -> None:
    with transaction.atomic():
        open_collection()
        transaction.set_rollback(True)
    clock.advance(timedelta(days=1))
    assert services.publish_due() == 0
    assert listener.heard == []


@pytest.mark.shows("A savepoint of the shop's transaction is rolled back", "only what stays is told")
def test_what_a_savepoint_takes_back_is_never_told(transactional_db: None, listener: Listener) -> None:
    with transaction.atomic():
        kept = open_collection()
        with transaction.atomic():
            open_collection()
            transaction.set_rollback(True)
        assert listener.heard == [], "nothing is told before the commit"
    assert [event.collection for event in listener.heard] == [kept]


@pytest.mark.shows(
    "The process dies between the commit and the telling", "told after the lease, once, in order"
)
def test_what_a_dead_process_never_told_is_told_by_the_worker(
    unpublished: PaymentSession, listener: Listener, clock: TestClock
) -> None:
    assert services.publish_due() == 0, "its process may still be at it"
    clock.advance(outbox.LEASE)
    assert services.publish_due() == PaymentEvent.objects.count()
    published_in_order(listener)
    assert services.publish_due() == 0


@pytest.mark.shows(
    "The process dies while it tells the third of five events", "that one and the rest are told again"
)
def test_a_process_that_dies_while_telling_is_replaced(
    unpublished: PaymentSession, listener: Listener, clock: TestClock
) -> None:
    def die(**_values: Any) -> None:
        raise Killed

    clock.advance(outbox.LEASE)
    with receiving(signals.session_authorized, die), pytest.raises(Killed):
        services.publish_due()
    clock.advance(outbox.LEASE)
    services.publish_due()
    assert listener.types() == [
        "collection.created",
        "session.created",
        "session.authorized",
        "session.authorized",
        "payment.authorized",
        "collection.authorized",
    ]
    assert not PaymentEvent.objects.unpublished().exists()


@pytest.mark.shows("The process is killed so hard that it can't note what it told", "all is told again")
def test_what_could_not_be_noted_is_told_again(
    unpublished: PaymentSession, listener: Listener, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.advance(outbox.LEASE)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_keeps_lease", _die_at_the_third())
        patch.setattr("payments.models.events.PaymentEventQuerySet.update", _never)
        with pytest.raises(Killed):
            outbox.publish(list(PaymentEvent.objects.unpublished()))
    first = listener.types()
    services.publish_due()
    assert listener.types() == first + [
        event.type for event in PaymentEvent.objects.order_by("id") if event.type in SIGNALS
    ]


@pytest.mark.shows("A receiver of session_authorized that captures", "captured once; all is told in order")
def test_a_receiver_may_call_a_verb_that_calls_the_provider(
    session: PaymentSession, listener: Listener, script: Script
) -> None:
    def capture(*, session: PaymentSession, **_values: Any) -> None:
        assert session.payment is not None
        services.capture_payment(session.payment)

    with receiving(signals.session_authorized, capture), Listener() as later:
        services.authorize_payment_session(session)
    assert len(script.requests("capture")) == 1
    assert Payment.objects.get().status == "captured"
    published_in_order(listener)
    assert later.types() == [
        "session.authorized",
        "payment.authorized",
        "collection.authorized",
        "payment.captured",
        "collection.completed",
    ]
    assert listener.in_transaction == []


@pytest.mark.shows(
    "A receiver that captures, whose capturing is heard by one that refunds", "in order, at any depth"
)
def test_receivers_may_follow_each_other_to_any_depth(session: PaymentSession, listener: Listener) -> None:
    def capture(*, payment: Payment, **_values: Any) -> None:
        services.capture_payment(payment)

    def refund(*, payment: Payment, **_values: Any) -> None:
        services.refund_payment(payment, amount="10.00")

    with receiving(signals.payment_authorized, capture), receiving(signals.payment_captured, refund):
        services.authorize_payment_session(session)
    assert Payment.objects.get().refunded_amount == 10
    published_in_order(listener)


@pytest.mark.shows(
    "A receiver that opens a collection of its own", "its events are told too, each in its order"
)
def test_a_receiver_may_work_on_another_collection(session: PaymentSession, listener: Listener) -> None:
    def reorder(**_values: Any) -> None:
        services.create_payment_session(open_collection(), provider_id="scripted")

    with receiving(signals.session_authorized, reorder):
        services.authorize_payment_session(session)
    assert PaymentCollection.objects.count() == 2
    published_in_order(listener)


@pytest.mark.shows(
    "A commit behind a publisher that has just looked for more", "the one who commits tells it; nothing waits"
)
def test_a_commit_just_behind_a_publisher_is_told_at_once(
    collection: PaymentCollection, listener: Listener
) -> None:
    lease = {"published_at": None, "lease_expires_at": timezone.now() + outbox.LEASE}
    PaymentEvent.objects.update(**lease)
    with committed():
        books = open_books(collection.pk, origin=Origin(source=EventSource.SHOP))
        books.note("collection.updated", books.collection)
        books.close()
        # Meanwhile the other publisher has finished, and found nothing more, for this isn't committed.
        PaymentEvent.objects.filter(type="collection.created").update(published_at=timezone.now())
    assert listener.types() == ["collection.updated"]
    assert not PaymentEvent.objects.unpublished().exists()


def test_a_commit_behind_a_publisher_at_work_is_left_to_it(
    collection: PaymentCollection, listener: Listener
) -> None:
    PaymentEvent.objects.update(published_at=None, lease_expires_at=timezone.now() + outbox.LEASE)
    services.create_payment_session(collection, provider_id="scripted")
    assert listener.types() == []
    assert PaymentEvent.objects.unpublished().count() == PaymentEvent.objects.count()


@pytest.mark.shows("Receivers so slow that a lease isn't enough", "renewed; nobody else tells meanwhile")
def test_a_slow_publisher_keeps_its_lease(
    unpublished: PaymentSession, listener: Listener, clock: TestClock
) -> None:
    taken_by_others: list[int] = []

    def dawdle(**_values: Any) -> None:
        clock.advance(outbox.LEASE * 0.6)
        taken_by_others.append(outbox.publish_collection(unpublished.collection_id))

    clock.advance(outbox.LEASE)
    with receiving(signals.session_authorized, dawdle), receiving(signals.payment_authorized, dawdle):
        services.publish_due()
    assert taken_by_others == [0, 0]
    published_in_order(listener)


@pytest.mark.shows(
    "Somebody keeps a collection locked that has something to tell",
    "the worker goes on, and comes back to it",
)
def test_a_collection_that_somebody_keeps_locked_is_left_for_the_next_run(
    unpublished: PaymentSession, listener: Listener, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.advance(outbox.LEASE)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "lock_free", lambda *_rows: [])
        assert services.publish_due() == 0
    assert services.publish_due() > 0
    assert not PaymentEvent.objects.unpublished().exists()


@pytest.mark.shows(
    "A receiver that hangs for longer than the lease", "another goes on; the first stops behind it"
)
def test_a_publisher_that_lost_its_lease_stops(
    unpublished: PaymentSession, listener: Listener, clock: TestClock
) -> None:
    def hang(**_values: Any) -> None:
        signals.session_created.disconnect(hang)
        clock.advance(outbox.LEASE * 2)
        assert outbox.publish_collection(unpublished.collection_id) > 0

    clock.advance(outbox.LEASE)
    signals.session_created.connect(hang, weak=False)
    services.publish_due()
    told = ["session.created", "session.authorized", "payment.authorized", "collection.authorized"]
    assert listener.types() == ["collection.created", "session.created", "collection.created", *told]
    assert not PaymentEvent.objects.unpublished().exists()


@pytest.mark.shows(
    "Collections that others are publishing, before one that waits", "they don't keep it waiting"
)
def test_what_others_are_at_does_not_use_up_the_limit(
    unpublished: PaymentSession, listener: Listener, clock: TestClock
) -> None:
    clock.advance(outbox.LEASE)
    PaymentEvent.objects.update(lease_expires_at=clock.now() + outbox.LEASE)
    waiting = open_collection()
    PaymentEvent.objects.filter(collection=waiting).update(published_at=None)
    assert services.publish_due(limit=1) == 1
    assert listener.types(waiting) == ["collection.created", "collection.created"]


@pytest.mark.shows("One collection whose events can't be read", "those of the others are told")
def test_trouble_with_one_collection_holds_up_no_other(
    unpublished: PaymentSession, listener: Listener, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_collection()
    PaymentEvent.objects.filter(collection=other).update(published_at=None)
    clock.advance(outbox.LEASE)
    monkeypatch.setattr(
        outbox,
        "_keeps_lease",
        lambda events: 1 / 0 if events[0].collection_id == unpublished.collection_id else True,
    )
    assert services.publish_due() == 1
    assert listener.types(unpublished.collection) == []
    assert not PaymentEvent.objects.unpublished().filter(collection=other).exists()


def test_events_without_a_signal_are_history_only(payment: Payment, listener: Listener) -> None:
    services.cancel_payment(payment)
    silent = PaymentEvent.objects.exclude(type__in=list(SIGNALS))
    assert "payment.released" in silent.values_list("type", flat=True)
    assert not silent.filter(published_at=None).exists()
    assert not set(listener.types()) - set(SIGNALS)


def test_events_that_nobody_listens_to_are_born_published(payment: Payment) -> None:
    events = PaymentEvent.objects.filter(type__in=list(SIGNALS))
    assert events.filter(collection=payment.collection_id).count() == 5
    assert not events.filter(published_at=None).exists()
    with Listener() as later:
        assert services.publish_due() == 0
    assert later.heard == []


def test_the_telling_is_reported_line_by_line(
    unpublished: PaymentSession, clock: TestClock, listener: Listener
) -> None:
    clock.advance(outbox.LEASE)
    told: list[str] = []
    count = services.publish_due(progress=lambda event: told.append(event.type))
    assert count == len(told) == PaymentEvent.objects.count()


def _die_at_the_third() -> Any:
    calls: list[None] = []

    def keeps_lease(_events: list[PaymentEvent]) -> bool:
        calls.append(None)
        if len(calls) == 3:
            raise Killed
        return True

    return keeps_lease


def _never(*_args: Any, **_values: Any) -> int:
    return 0
