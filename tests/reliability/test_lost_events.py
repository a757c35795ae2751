"""Who has lost a lease on an event leaves it to whoever has it now, be it a provider's event or one of ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.utils import timezone

from payments import signals
from payments.models import (
    PaymentEvent,
    PaymentProvider,
    PaymentSession,
    WebhookEvent,
)
from payments.services import (
    process_due_events,
    publish_due,
)
from payments.states import (
    SessionStatus,
    WebhookEventStatus,
)
from tests.outbox.listeners import receiving
from tests.reliability.banks import (
    Act,
    Bank,
    open_collection,
    open_session,
)
from tests.reliability.clocks import TestClock
from tests.reliability.pauses import Pause, row_of, working
from tests.threads import aside, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bank")]

NAP: Final = timedelta(minutes=3)
"""Longer than a lease."""


# Webhook events


@pytest.fixture
def hint(bank: Bank, session: PaymentSession) -> WebhookEvent:
    """Return a stored event that says that something happened, and not what: the payer has paid."""
    bank.pay(session)
    event = WebhookEvent(
        provider=PaymentProvider.objects.get(pk="bank"),
        event_id="evt_1",
        type="changed",
        session=session,
        next_attempt_at=timezone.now(),
    )
    event.save(force_insert=True)
    return event


@pytest.mark.shows(
    "An inbox worker waits so long for the bank that another takes over, and then it gets no answer",
    "It leaves the event, and the other's lease, as they are",
)
@pytest.mark.parametrize("owners", [("a", "b"), ("a", "a")], ids=["another", "one of the same name"])
def test_inbox_worker_that_lost_its_lease_defers_nothing(
    bank: Bank, clock: TestClock, hint: WebhookEvent, owners: tuple[str, str]
) -> None:
    slow, busy = Pause(), Pause()
    bank.next("retrieve", slow.in_vain, busy)
    first, second = owners
    with working(lambda: process_due_events(owner=first), slow) as thread:
        slow.is_there()
        clock.advance(NAP)
        with working(lambda: process_due_events(owner=second), busy):
            busy.is_there()
            before = row_of(hint)
            slow.go_on()
            wait_for([thread])
            assert row_of(hint) == before
            assert before["lease_owner"].startswith(second)
    hint.refresh_from_db()
    assert (hint.status, hint.attempts) == (WebhookEventStatus.APPLIED, 0)


@pytest.mark.parametrize("is_answered", [True, False], ids=["applies", "defers"])
def test_inbox_worker_that_lost_its_lease_leaves_an_applied_event_as_it_is(
    bank: Bank, clock: TestClock, hint: WebhookEvent, session: PaymentSession, is_answered: bool
) -> None:
    applied: list[dict[str, Any]] = []

    def be_late(act: Act) -> Any:
        clock.advance(NAP)
        assert aside(process_due_events) == 1
        applied.append(row_of(hint))
        clock.advance(NAP)
        if not is_answered:
            raise TimeoutError
        return act()

    bank.next("retrieve", be_late)
    process_due_events()
    assert applied[0]["status"] == WebhookEventStatus.APPLIED
    assert [row_of(hint)] == applied
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    bank.assert_agrees(session.collection)


# Events of ours that are told


class Receiver:
    """Take long and fail the first time, and take what it is told from then on."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.told = 0
        self._meanwhile = meanwhile

    def __call__(self, **_values: Any) -> None:
        """Be told."""
        self.told += 1
        if self.told == 1:
            self._meanwhile()
            raise ValueError


@pytest.mark.shows(
    "A receiver takes so long that another publisher takes over and tells it too, and then it fails the first",
    "The event counts as told, once and for all: the second was taken",
)
def test_publisher_that_lost_its_lease_does_not_have_an_event_sent_again(
    transactional_db: None, clock: TestClock
) -> None:
    told: list[dict[str, Any]] = []

    def take_over() -> None:
        clock.advance(timedelta(minutes=6))
        aside(publish_due)
        told.append(row_of(PaymentEvent.objects.get()))

    receiver = Receiver(take_over)
    with receiving(signals.collection_created, receiver):
        open_collection()
        assert receiver.told == 2
        event = PaymentEvent.objects.get()
        assert (event.next_attempt_at, event.failed_attempts) == (None, 0)
        assert [row_of(event)] == told
        clock.advance(timedelta(hours=1))
        publish_due()
    assert receiver.told == 2


@pytest.mark.shows(
    "An event is sent again, and its receiver takes so long that another publisher does that too; the first fails",
    "The event counts as told: the second was taken",
)
def test_publisher_that_lost_its_turn_does_not_have_an_event_sent_yet_again(
    transactional_db: None, clock: TestClock
) -> None:
    def fail(**_values: Any) -> None:
        raise ValueError

    with receiving(signals.collection_created, fail):
        open_collection()
    clock.advance(timedelta(minutes=2))

    def take_over() -> None:
        clock.advance(timedelta(minutes=6))
        assert aside(publish_due) == 1

    receiver = Receiver(take_over)
    with receiving(signals.collection_created, receiver):
        publish_due()
        assert receiver.told == 2
        event = PaymentEvent.objects.get()
        assert (event.next_attempt_at, event.failed_attempts) == (None, 1)
        clock.advance(timedelta(hours=1))
        publish_due()
    assert receiver.told == 2


@pytest.mark.shows(
    "A receiver takes so long that another publisher tells of the rest", "The first leaves the rest alone"
)
def test_publisher_that_lost_its_lease_tells_of_nothing_that_another_has_told(
    transactional_db: None, bank: Bank, clock: TestClock
) -> None:
    collection = open_collection()
    PaymentEvent.objects.update(published_at=timezone.now())
    open_session(collection)
    PaymentEvent.objects.update(published_at=None, lease_expires_at=None)
    heard: list[int] = []

    def take_over() -> None:
        clock.advance(timedelta(minutes=6))
        aside(publish_due)

    receiver = Receiver(take_over)
    with (
        receiving(signals.collection_created, receiver),
        receiving(signals.session_created, lambda event, **_values: heard.append(event.pk)),
    ):
        publish_due()
    assert len(heard) == 1
    assert not PaymentEvent.objects.unpublished().exists()
