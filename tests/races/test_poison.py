"""A row whose step ends in something that no `except Exception` catches keeps no other row waiting.

Rows are worked off by their age. Were the run over with such a row, every new start would begin with the same one, and
nothing behind it would ever be found out, applied or told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from payments import models, services, signals
from payments.exceptions import OutcomeUnknownError
from payments.providers import CaptureResult, RetrieveResult, SessionFact, encode_fact
from payments.states import OperationStatus, Outcome, SessionStatus, WebhookEventStatus
from payments.testing.factories import CustomerFactory
from tests.races.places import PUBLISHER_LEASE
from tests.races.poison import (
    ENDS,
    Poison,
    PoisonousScript,
    poisonous_provider,
    poisonous_receiver,
    start,
    unlockable,
)
from tests.reliability.clocks import TestClock
from tests.webhooks.deliveries import authorized_fact

pytestmark = pytest.mark.django_db(transaction=True)

OTHERS = 2
HOUR = timedelta(hours=1)
STARTS = 8
A_WHILE = timedelta(minutes=6)
"""How long a supervisor waits before it starts a worker again: by then every lease is over."""

EACH_END = pytest.mark.parametrize("error", ENDS)
ONE_END = pytest.mark.parametrize(
    "error", [Poison, pytest.param(SystemExit, marks=pytest.mark.thorough)], ids=["Poison", "SystemExit"]
)


@pytest.fixture
def script() -> Iterator[PoisonousScript]:
    """What the provider `scripted` answers, and was asked."""
    with poisonous_provider() as script:
        yield script


@pytest.fixture
def sessions(
    transactional_db: None, clock: TestClock, script: PoisonousScript
) -> list[models.PaymentSession]:
    """Return sessions of orders of their own; the first is the oldest."""
    made = []
    for _each in range(1 + OTHERS):
        clock.advance(timedelta(seconds=1))
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        made.append(services.create_payment_session(collection, provider_id="scripted"))
    return made


@pytest.fixture
def payments(sessions: list[models.PaymentSession]) -> list[models.Payment]:
    """Return what the sessions have become."""
    for session in sessions:
        services.authorize_payment_session(session)
    return [models.Payment.objects.get(session=session) for session in sessions]


def start_again_and_again(job: Callable[..., Any], clock: TestClock) -> None:
    """Start a job that takes one row at a time, as often as a supervisor may in an hour."""
    for _each in range(STARTS):
        start(lambda: job(limit=1))
        clock.advance(A_WHILE)


# The reconciler


@pytest.fixture
def unknown(
    payments: list[models.Payment], script: PoisonousScript, clock: TestClock
) -> list[models.PaymentOperation]:
    """Return captures whose outcome is unknown, and due to be found out."""
    operations = []
    for payment in payments:
        script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
        with suppress(OutcomeUnknownError):
            services.capture_payment(payment)
        operations.append(models.PaymentOperation.objects.get(payment=payment, kind="capture"))
    clock.advance(HOUR)
    return operations


def outcomes(operations: list[models.PaymentOperation]) -> list[str]:
    """Return what operations have come to."""
    return [str(models.PaymentOperation.objects.get(pk=operation.pk).status) for operation in operations]


@EACH_END
@pytest.mark.parametrize("verb", ["retrieve", pytest.param("capture", marks=pytest.mark.thorough)])
def test_reconciler_finds_out_the_others_in_the_same_run(
    error: type[BaseException], verb: str, unknown: list[models.PaymentOperation], script: PoisonousScript
) -> None:
    script.verb, script.about, script.error = verb, {unknown[0].session_id}, error

    start(services.reconcile_due)

    assert outcomes(unknown) == [OperationStatus.UNKNOWN, *[OperationStatus.SUCCEEDED] * OTHERS]
    waiting = models.PaymentOperation.objects.get(pk=unknown[0].pk)
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > timezone.now()


@ONE_END
def test_reconciler_finds_out_the_others_when_it_is_started_again(
    error: type[BaseException],
    unknown: list[models.PaymentOperation],
    script: PoisonousScript,
    clock: TestClock,
) -> None:
    script.verb, script.about, script.error = "retrieve", {unknown[0].session_id}, error

    start_again_and_again(services.reconcile_due, clock)

    assert outcomes(unknown)[1:] == [OperationStatus.SUCCEEDED] * OTHERS
    assert 1 <= script.swallowed < STARTS - OTHERS


def test_operation_that_was_put_back_is_found_out_once_that_is_possible(
    unknown: list[models.PaymentOperation], script: PoisonousScript, clock: TestClock
) -> None:
    script.verb, script.about = "retrieve", {unknown[0].session_id}
    start(services.reconcile_due)
    for _each in range(3):
        start(services.reconcile_due)
    assert script.swallowed == 1
    script.heal()

    clock.advance(HOUR)
    services.reconcile_due()

    assert outcomes(unknown) == [OperationStatus.SUCCEEDED] * (1 + OTHERS)
    assert models.Payment.objects.filter(status="captured").count() == 1 + OTHERS


# The inbox


@pytest.fixture
def hints(sessions: list[models.PaymentSession]) -> list[models.WebhookEvent]:
    """Return stored events that say no more than that something has happened."""
    return [left_to_the_worker(session) for session in sessions]


@pytest.fixture
def approvals(sessions: list[models.PaymentSession]) -> list[models.WebhookEvent]:
    """Return stored events which say that the payer has approved, and the session can be authorized now."""
    fact = SessionFact(currency_code="eur", awaits_authorization=True)
    return [left_to_the_worker(session, fact) for session in sessions]


@pytest.fixture
def reports(sessions: list[models.PaymentSession]) -> list[models.WebhookEvent]:
    """Return stored events which say that a session is authorized."""
    return [left_to_the_worker(session, authorized_fact()) for session in sessions]


def left_to_the_worker(
    session: models.PaymentSession, fact: SessionFact | None = None
) -> models.WebhookEvent:
    """Return an event about a session as the receiver stores it."""
    event = models.WebhookEvent(
        provider=models.PaymentProvider.objects.get(pk="scripted"),
        event_id=f"evt_{session.pk}",
        type="intent.changed",
        session=session,
        reported_session_id=session.pk,
        fact=None if fact is None else encode_fact(fact),
        next_attempt_at=timezone.now(),
    )
    event.save(force_insert=True)
    return event


def fates(events: list[models.WebhookEvent]) -> list[str]:
    """Return what has become of events."""
    return [models.WebhookEvent.objects.get(pk=event.pk).status for event in events]


def found(script: PoisonousScript) -> None:
    """Have the provider know of all sessions but the poisonous one that they are authorized."""
    script.next("retrieve", *[RetrieveResult(outcome=Outcome.SUCCEEDED, fact=authorized_fact())] * OTHERS)


APPLIED = [WebhookEventStatus.DEFERRED, *[WebhookEventStatus.APPLIED] * OTHERS]


@EACH_END
def test_inbox_applies_the_others_in_the_same_run(
    error: type[BaseException], hints: list[models.WebhookEvent], script: PoisonousScript
) -> None:
    script.verb, script.about, script.error = "retrieve", {str(hints[0].session_id)}, error
    found(script)

    start(services.process_due_events)

    assert fates(hints) == APPLIED
    waiting = models.WebhookEvent.objects.get(pk=hints[0].pk)
    assert waiting.attempts == 1
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > timezone.now()


@ONE_END
def test_inbox_authorizes_the_others_in_the_same_run(
    error: type[BaseException], approvals: list[models.WebhookEvent], script: PoisonousScript
) -> None:
    script.verb, script.about, script.error = "authorize", {str(approvals[0].session_id)}, error

    start(services.process_due_events)

    assert fates(approvals)[1:] == APPLIED[1:]
    assert models.PaymentSession.objects.filter(status=SessionStatus.AUTHORIZED).count() == OTHERS


@ONE_END
def test_inbox_applies_the_others_where_a_receiver_is_the_trouble(
    error: type[BaseException], reports: list[models.WebhookEvent], sessions: list[models.PaymentSession]
) -> None:
    poisonous = {sessions[0].collection_id}

    with poisonous_receiver(signals.session_authorized, error, poisonous) as told:
        start(services.process_due_events)

    assert fates(reports) == [WebhookEventStatus.APPLIED] * (1 + OTHERS)
    assert set(told) == {session.collection_id for session in sessions}


@ONE_END
def test_inbox_applies_the_others_when_it_is_started_again(
    error: type[BaseException], hints: list[models.WebhookEvent], script: PoisonousScript, clock: TestClock
) -> None:
    script.verb, script.about, script.error = "retrieve", {str(hints[0].session_id)}, error
    found(script)

    start_again_and_again(services.process_due_events, clock)

    assert fates(hints)[1:] == [WebhookEventStatus.APPLIED] * OTHERS
    assert 1 <= script.swallowed < STARTS - OTHERS


# The outbox


@pytest.fixture
def left_behind(sessions: list[models.PaymentSession], clock: TestClock) -> list[str]:
    """Return collections whose authorization was committed by processes that died before they told of it."""
    every = {session.collection_id for session in sessions}
    with poisonous_receiver(signals.session_authorized, Poison, every):
        for session in sessions:
            start(lambda session=session: services.authorize_payment_session(session))  # type: ignore[misc]
    clock.advance(PUBLISHER_LEASE)
    return [session.collection_id for session in sessions]


@EACH_END
def test_outbox_tells_of_the_others_in_the_same_run(
    error: type[BaseException], left_behind: list[str]
) -> None:
    with poisonous_receiver(signals.session_authorized, error, {left_behind[0]}) as told:
        start(services.publish_due)
        assert sorted(told) == sorted(left_behind)
        for _each in range(3):
            start(services.publish_due)

    assert len(told) == len(left_behind)
    assert set(models.PaymentEvent.objects.unpublished().values_list("collection", flat=True)) <= {
        left_behind[0]
    }


@ONE_END
def test_outbox_tells_of_the_others_when_it_is_started_again(
    error: type[BaseException], left_behind: list[str], clock: TestClock
) -> None:
    with poisonous_receiver(signals.session_authorized, error, {left_behind[0]}) as told:
        start_again_and_again(services.publish_due, clock)

    assert set(left_behind[1:]) <= set(told)
    assert told.count(left_behind[0]) < STARTS - OTHERS


@ONE_END
def test_outbox_tells_again_of_the_others_in_the_same_run(
    error: type[BaseException], sessions: list[models.PaymentSession], clock: TestClock
) -> None:
    collections = [session.collection_id for session in sessions]
    with poisonous_receiver(signals.session_authorized, ValueError, set(collections)):
        for session in sessions:
            services.authorize_payment_session(session)
    clock.advance(HOUR)

    with poisonous_receiver(signals.session_authorized, error, {collections[0]}) as told:
        start(services.publish_due)

    assert sorted(told) == sorted(collections)


def test_what_was_not_told_is_told_once_that_is_possible(left_behind: list[str], clock: TestClock) -> None:
    with poisonous_receiver(signals.session_authorized, Poison, {left_behind[0]}):
        start(services.publish_due)

    clock.advance(HOUR)
    with poisonous_receiver(signals.session_authorized, Poison, set()) as told:
        services.publish_due()

    assert left_behind[0] in told
    assert not models.PaymentEvent.objects.unpublished().exists()


# The sweep


@pytest.fixture
def expired(sessions: list[models.PaymentSession], clock: TestClock) -> list[models.PaymentSession]:
    """Return sessions whose time is over."""
    for minutes, session in enumerate(sessions):
        over = timezone.now() + timedelta(minutes=minutes)
        models.PaymentSession.objects.filter(pk=session.pk).update(expires_at=over)
    clock.advance(HOUR)
    return sessions


def standings(sessions: list[models.PaymentSession]) -> list[str]:
    """Return where sessions stand."""
    return [str(models.PaymentSession.objects.get(pk=session.pk).status) for session in sessions]


@EACH_END
def test_sweep_cancels_the_others_in_the_same_run(
    error: type[BaseException], expired: list[models.PaymentSession], script: PoisonousScript
) -> None:
    script.verb, script.about, script.error = "cancel", {expired[0].pk}, error

    start(services.sweep_expired)

    assert standings(expired)[1:] == [SessionStatus.CANCELED] * OTHERS


@ONE_END
def test_sweep_releases_the_others_in_the_same_run(
    error: type[BaseException], payments: list[models.Payment], script: PoisonousScript
) -> None:
    for minutes, payment in enumerate(payments):
        over = timezone.now() - HOUR + timedelta(minutes=minutes)
        models.Payment.objects.filter(pk=payment.pk).update(expires_at=over)
    script.verb, script.about, script.error = "cancel", {payments[0].session_id}, error

    start(services.sweep_expired)

    assert models.Payment.objects.filter(status="canceled").count() == OTHERS


@ONE_END
def test_sweep_cancels_the_others_where_a_receiver_is_the_trouble(
    error: type[BaseException], expired: list[models.PaymentSession]
) -> None:
    with poisonous_receiver(signals.session_canceled, error, {expired[0].collection_id}):
        start(services.sweep_expired)

    assert standings(expired) == [SessionStatus.CANCELED] * (1 + OTHERS)


def test_sweep_cancels_the_others_where_one_is_locked_for_long(expired: list[models.PaymentSession]) -> None:
    with unlockable(expired[0].collection_id):
        services.sweep_expired()

    assert standings(expired) == [SessionStatus.PENDING, *[SessionStatus.CANCELED] * OTHERS]


def test_sweep_started_again_cancels_the_others(
    expired: list[models.PaymentSession], script: PoisonousScript, clock: TestClock
) -> None:
    script.verb, script.about = "cancel", {expired[0].pk}

    start_again_and_again(services.sweep_expired, clock)

    assert standings(expired)[1:] == [SessionStatus.CANCELED] * OTHERS


# Installments


@pytest.fixture
def due(transactional_db: None, script: PoisonousScript, clock: TestClock) -> list[models.PaymentSession]:
    """Return installments of several customers that are due, and charged by themselves."""
    sessions = []
    for number in range(1 + OTHERS):
        customer = CustomerFactory.create()
        services.create_account_holder(customer, provider_id="scripted")
        collection = services.create_payment_collection(
            amount="100.00", currency_code="eur", customer=customer
        )
        plan: dict[str, Any] = {"count": 2, "interval": "year", "is_automatic": True}
        first, _later = services.create_installment_plan(collection, provider_id="scripted", **plan)
        past = timezone.now() - HOUR + timedelta(minutes=number)
        models.PaymentSession.objects.filter(pk=first.pk).update(due_at=past)
        sessions.append(first)
    return sessions


@ONE_END
@pytest.mark.parametrize("verb", [pytest.param("list_methods", marks=pytest.mark.thorough), "authorize"])
def test_other_installments_are_charged_in_the_same_run(
    error: type[BaseException], verb: str, due: list[models.PaymentSession], script: PoisonousScript
) -> None:
    customer = due[0].collection.customer
    holder = services.find_account_holder(customer, provider_id="scripted")  # type: ignore[arg-type]
    assert holder is not None
    script.verb, script.about, script.error = verb, {due[0].pk if verb == "authorize" else holder.pk}, error

    start(services.charge_due_installments)

    assert standings(due)[1:] == [SessionStatus.AUTHORIZED] * OTHERS
    for _each in range(3):
        start(services.charge_due_installments)
    assert script.swallowed == 1


def test_other_installments_are_charged_where_one_is_locked_for_long(
    due: list[models.PaymentSession],
) -> None:
    with unlockable(due[0].collection_id):
        services.charge_due_installments()

    assert standings(due)[1:] == [SessionStatus.AUTHORIZED] * OTHERS


@ONE_END
def test_other_installments_are_told_of_in_the_same_run(
    error: type[BaseException], due: list[models.PaymentSession]
) -> None:
    with poisonous_receiver(signals.session_due, error, {due[0].collection_id}) as told:
        start(services.notify_due_installments)

    assert sorted(told) == sorted(session.collection_id for session in due)
    assert models.PaymentEvent.objects.filter(type="session.due").count() == 1 + OTHERS


def test_other_installments_are_told_of_where_one_is_locked_for_long(
    due: list[models.PaymentSession],
) -> None:
    with unlockable(due[0].collection_id):
        services.notify_due_installments()

    told = models.PaymentEvent.objects.filter(type="session.due").values_list("session", flat=True)
    assert set(told) == {session.pk for session in due[1:]}


# The worker that runs them all


@ONE_END
def test_worker_gets_to_its_other_jobs(
    error: type[BaseException], hints: list[models.WebhookEvent], script: PoisonousScript, clock: TestClock
) -> None:
    script.verb, script.about, script.error = "retrieve", {str(hints[0].session_id)}, error
    collection = models.PaymentCollection.objects.exclude(pk=hints[0].session.collection_id).first()  # type: ignore[union-attr]
    assert collection is not None
    expired = collection.sessions.get()
    models.PaymentSession.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - HOUR)

    for _each in range(3):
        with suppress(CommandError):
            start(lambda: call_command("payments_worker", "--once", verbosity=0))
        clock.advance(A_WHILE)

    assert standings([expired]) == [SessionStatus.CANCELED]
