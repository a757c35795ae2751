"""The worker's part: hints are looked up, what fails is tried again, ends as a dead letter, and can be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import services
from payments.models import IdempotencyRecord, PaymentEvent, PaymentSession, WebhookEvent
from payments.providers import RetrieveResult
from payments.services.background import inbox, jobs
from payments.services.background.jobs import prune
from payments.services.ledger.locks import LEASE, lease_rows, leased_rows
from payments.states import EventSource, Outcome, SessionStatus, WebhookEventStatus
from payments.testing import Script, configured_provider
from payments.testing.factories import WebhookEventFactory
from tests.reliability.clocks import TestClock, moving_clock
from tests.webhooks.deliveries import authorized_fact, books, deliver, hint, history

Status = WebhookEventStatus


@pytest.fixture
def clock() -> Iterator[TestClock]:
    """Return the time, for the test to move."""
    with moving_clock() as clock:
        yield clock


@pytest.fixture
def hinted(scripted_session: PaymentSession, script: Script) -> WebhookEvent:
    """Return a stored event that carries no fact."""
    script.next("parse_webhook", hint(scripted_session))
    assert deliver(b"{}", provider_id="scripted").status == 200
    return WebhookEvent.objects.get()


@pytest.fixture
def left(scripted_session: PaymentSession, script: Script, monkeypatch: pytest.MonkeyPatch) -> WebhookEvent:
    """Return a stored event with a fact, left to the worker."""
    script.next("parse_webhook", hint(scripted_session, fact=authorized_fact()))
    with monkeypatch.context() as patch:
        patch.setattr("payments.webhooks.apply_at_once", lambda event: None)
        assert deliver(b"{}", provider_id="scripted").status == 200
    return WebhookEvent.objects.get()


def found(script: Script) -> None:
    """Have the provider report the session as authorized."""
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=authorized_fact()))


@pytest.mark.shows(
    "An event that only says that something happened", "the worker asks, and records the answer"
)
def test_a_hint_has_the_worker_ask_the_provider(
    hinted: WebhookEvent, scripted_session: PaymentSession, script: Script
) -> None:
    found(script)
    assert services.process_due_events() == 1
    hinted.refresh_from_db()
    scripted_session.refresh_from_db()
    assert (hinted.status, scripted_session.status) == (Status.APPLIED, SessionStatus.AUTHORIZED)
    assert set(
        scripted_session.events.filter(type="session.authorized").values_list("source", flat=True)
    ) == {EventSource.WEBHOOK}


@pytest.mark.shows(
    "A hint while the provider can't be asked, or doesn't know yet", "tried again by the backoff"
)
@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(RetrieveResult(outcome=Outcome.NOT_SENT), "retrieve: not_sent", id="away"),
        pytest.param(TimeoutError(), "retrieve: unknown", id="no_answer"),
        pytest.param(RetrieveResult(outcome=Outcome.SUCCEEDED), "retrieve: succeeded", id="not_found_yet"),
    ],
)
def test_a_hint_that_cannot_be_looked_up_is_tried_again(
    answer: Any, detail: str, hinted: WebhookEvent, script: Script, clock: TestClock
) -> None:
    script.next("retrieve", answer)
    services.process_due_events()
    hinted.refresh_from_db()
    assert (hinted.status, hinted.attempts, hinted.detail) == (Status.DEFERRED, 1, detail)
    assert services.process_due_events() == 0
    found(script)
    clock.advance(inbox.PAUSES[1])
    assert services.process_due_events() == 1
    hinted.refresh_from_db()
    assert (hinted.status, hinted.detail) == (Status.APPLIED, "")


@pytest.mark.shows("A hint of a provider that left the settings", "tried again; applied when it is back")
def test_a_hint_of_a_provider_that_left_waits(
    hinted: WebhookEvent, script: Script, settings: Any, clock: TestClock
) -> None:
    configured = settings.PAYMENTS["PROVIDERS"]["scripted"]
    del settings.PAYMENTS["PROVIDERS"]["scripted"]
    services.process_due_events()
    hinted.refresh_from_db()
    assert (hinted.status, hinted.detail) == (Status.DEFERRED, "provider_not_configured")
    found(script)
    with configured_provider("scripted", configured):
        clock.advance(inbox.PAUSES[1])
        services.process_due_events()
    hinted.refresh_from_db()
    assert hinted.status == Status.APPLIED


@pytest.mark.shows("A stored fact of a provider that left the settings", "recorded all the same")
def test_a_fact_of_a_provider_that_left_is_recorded(
    left: WebhookEvent, scripted_session: PaymentSession, settings: Any, clock: TestClock
) -> None:
    del settings.PAYMENTS["PROVIDERS"]["scripted"]
    clock.advance(inbox.PAUSES[0])
    services.process_due_events()
    scripted_session.refresh_from_db()
    assert scripted_session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows("An event that can't be applied, each time", "a dead letter after the backoff; replayable")
def test_an_event_that_always_fails_becomes_a_dead_letter(
    left: WebhookEvent,
    scripted_session: PaymentSession,
    clock: TestClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, before = [], books()
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "record_fact", _raise)
        while left.next_attempt_at is not None:
            waits.append(left.next_attempt_at - timezone.now())
            clock.advance_to(left.next_attempt_at)
            assert services.process_due_events() == 1
            left.refresh_from_db()
    assert (left.status, left.attempts, left.detail) == (
        Status.FAILED,
        len(inbox.PAUSES),
        "ZeroDivisionError",
    )
    assert [round(wait / timedelta(seconds=10)) * timedelta(seconds=10) for wait in waits] == list(
        inbox.PAUSES
    )
    assert books() == before
    clock.advance(timedelta(days=30))
    assert services.process_due_events() == 0
    actor = get_user_model().objects.create_user("operator", is_staff=True)
    services.replay_webhook_event(left, actor=actor, source=EventSource.ADMIN)
    scripted_session.refresh_from_db()
    assert (left.status, scripted_session.status) == (Status.APPLIED, SessionStatus.AUTHORIZED)


def test_a_replay_is_in_the_history_with_who_asked_for_it(
    left: WebhookEvent, scripted_session: PaymentSession
) -> None:
    actor = get_user_model().objects.create_user("operator", is_staff=True)
    services.replay_webhook_event(left, actor=actor, source=EventSource.STAFF)
    written = PaymentEvent.objects.filter(session=scripted_session, actor=actor)
    assert set(written.values_list("source", flat=True)) == {EventSource.STAFF}
    types = list(written.values_list("type", flat=True))
    assert "session.authorized" in types
    assert types[-1] == "webhook.replayed"
    assert written.last().data == {"event_id": "evt_1", "type": "payment.changed"}  # type: ignore[union-attr]


@pytest.mark.shows("One event that can't be applied, among others", "the others are applied")
def test_a_failing_event_holds_up_no_other(
    left: WebhookEvent,
    scripted_session: PaymentSession,
    script: Script,
    clock: TestClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    WebhookEvent.objects.filter(pk=left.pk).update(fact={"currency_code": "eur", "status": "nonsense"})
    script.next("parse_webhook", hint(scripted_session, event_id="evt_2", fact=authorized_fact()))
    with monkeypatch.context() as patch:
        patch.setattr("payments.webhooks.apply_at_once", lambda event: None)
        deliver(b"{}", provider_id="scripted")
    clock.advance(inbox.PAUSES[0])
    assert services.process_due_events() == 2
    left.refresh_from_db()
    assert (left.status, left.detail) == (Status.DEFERRED, "ValueError")
    assert WebhookEvent.objects.get(event_id="evt_2").status == Status.APPLIED


@pytest.mark.shows("A worker dies with events in hand", "another takes them when the lease is over")
def test_what_a_dead_worker_had_in_hand_is_taken_over(
    left: WebhookEvent, scripted_session: PaymentSession, clock: TestClock
) -> None:
    clock.advance(inbox.PAUSES[0])
    assert lease_rows(WebhookEvent.objects.all(), owner="dead", limit=10) == [left]
    assert services.process_due_events() == 0
    clock.advance(LEASE)
    assert services.process_due_events() == 1
    assert history(scripted_session).count("session.authorized") == 1


@pytest.mark.shows("A worker that is slower than its lease", "leaves alone what another has taken over")
def test_a_slow_worker_leaves_alone_what_another_has_taken_over(left: WebhookEvent, clock: TestClock) -> None:
    mine = lease_rows(WebhookEvent.objects.all(), owner="slow", limit=10)
    assert list(leased_rows(mine)) == [left]
    clock.advance(LEASE)
    taken_over = lease_rows(WebhookEvent.objects.all(), owner="quick", limit=10)
    assert taken_over == [left]
    assert list(leased_rows(mine)) == []
    assert list(leased_rows(taken_over)) == [left]


@pytest.mark.shows("A worker whose attempt fails after another's has succeeded", "the event stays applied")
def test_a_failed_attempt_does_not_take_back_another_s_success(
    left: WebhookEvent, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_race(*_args: Any, **_kwargs: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(inbox, "record_fact", services.record_fact)
            inbox.process_event(WebhookEvent.objects.get())
        raise ZeroDivisionError

    clock.advance(inbox.PAUSES[0])
    monkeypatch.setattr(inbox, "record_fact", lose_the_race)
    services.process_due_events()
    left.refresh_from_db()
    assert (left.status, left.attempts) == (Status.APPLIED, 0)


@pytest.mark.shows(
    "Old events are pruned, and one of them comes again", "its contents are gone; known as a copy"
)
def test_pruning_clears_contents_and_keeps_what_makes_a_copy_known(
    left: WebhookEvent, script: Script, scripted_session: PaymentSession, clock: TestClock
) -> None:
    services.replay_webhook_event(left)
    assert prune(events_older_than=timedelta(days=90)).cleared_events == 0
    clock.advance(timedelta(days=91))
    assert prune(events_older_than=timedelta(days=90)).cleared_events == 1
    assert prune(events_older_than=timedelta(days=90)).cleared_events == 0, "once is enough"
    left.refresh_from_db()
    assert (left.payload, left.fact, left.status) == ({}, None, Status.APPLIED)
    script.next("parse_webhook", hint(scripted_session, fact=authorized_fact()))
    assert deliver(b"{}", provider_id="scripted").is_duplicate


def test_pruning_takes_many_rows_in_batches_and_looks_at_none_that_it_has_cleared(
    left: WebhookEvent, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.replay_webhook_event(left)
    for number in range(4):
        WebhookEventFactory.create(applied=True, session=left.session, event_id=f"more-{number}")
    monkeypatch.setattr(jobs, "_BATCH", 2)
    clock.advance(timedelta(days=91))
    assert prune(events_older_than=timedelta(days=90)).cleared_events == 5
    with CaptureQueriesContext(connection) as queries:
        prune(events_older_than=timedelta(days=90))
    assert not any(query["sql"].startswith("UPDATE") for query in queries)
    assert "cleared_at" in queries[0]["sql"]


def test_a_pruned_event_is_replayed_by_asking_the_provider(
    left: WebhookEvent, script: Script, clock: TestClock
) -> None:
    services.replay_webhook_event(left)
    clock.advance(timedelta(days=91))
    prune(events_older_than=timedelta(days=90))
    left.refresh_from_db()
    found(script)
    assert services.replay_webhook_event(left).status == Status.APPLIED
    assert len(script.requests("retrieve")) == 1


@pytest.mark.parametrize("status", [Status.RECEIVED, Status.DEFERRED, Status.FAILED])
def test_what_may_still_be_applied_is_never_pruned(status: str, left: WebhookEvent, clock: TestClock) -> None:
    due = None if status == Status.FAILED else left.next_attempt_at
    QuerySet(WebhookEvent).filter(pk=left.pk).update(status=status, next_attempt_at=due)
    clock.advance(timedelta(days=1000))
    call_command("payments_prune", days=1, verbosity=0, stdout=_Silence())
    left.refresh_from_db()
    assert left.fact is not None


def test_pruning_deletes_expired_idempotency_records_only(db: None, clock: TestClock) -> None:
    for hours in (-1, 1):
        IdempotencyRecord.objects.create(
            scope="s",
            key=f"key{hours}",
            fingerprint="f",
            expires_at=timezone.now() + timedelta(hours=hours),
        )
    assert prune(events_older_than=timedelta(days=90)).deleted_records == 1
    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["key1"]


class _Silence:
    def write(self, _text: str) -> None:
        """Hear nothing."""

    def flush(self) -> None:
        """Have nothing to do."""


def _raise(*_args: Any, **_kwargs: Any) -> None:
    raise ZeroDivisionError
