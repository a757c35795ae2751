"""The reconciler finds out what became of operations, without sending anything twice or giving anything up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.conf import settings
from django.test.utils import override_settings

from payments import models, services
from payments.exceptions import OutcomeUnknownError, PaymentError
from payments.providers import CaptureResult
from payments.services.ledger.books import books_of
from payments.services.ledger.history import Origin
from payments.services.ledger.operations import Checkpoint, Watcher, watching
from payments.services.ledger.records import record_answer
from payments.simulator import SimulatorService
from payments.states import EventSource, OperationKind, Outcome
from payments.testing import configured_provider, running_simulator, simulator_settings
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_books_agree, assert_invariants, event_count
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import ProcessDied, crash_at
from tests.reliability.operators import settle_everything

pytestmark = pytest.mark.django_db(transaction=True)

BACKOFF = [
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
]


def capture_with(
    service: SimulatorService, payment: models.Payment, fault: str, **options: Any
) -> models.PaymentOperation:
    """Capture 60.00 while the simulator misbehaves, and return the operation."""
    service.script(operation="capture", fault=fault, **options)
    with suppress(PaymentError):
        services.capture_payment(payment, amount="60.00")
    return models.PaymentOperation.objects.get(kind="capture")


@pytest.fixture
def lost(simulator: SimulatorService, payment: models.Payment) -> models.PaymentOperation:
    """Return a capture that the provider carried out, and of which the answer was lost."""
    operation = capture_with(simulator, payment, "drop_after")
    assert operation.status == "unknown"
    return operation


@pytest.fixture
def unanswered(simulator: SimulatorService, payment: models.Payment) -> models.PaymentOperation:
    """Return a capture that never reached the provider, which nobody knows."""
    operation = capture_with(simulator, payment, "drop_before")
    assert operation.status == "unknown"
    return operation


def assert_captured_once(service: SimulatorService, payment: models.Payment) -> None:
    """Make sure that 60.00 were taken once, and both sides say so."""
    payment.refresh_from_db()
    assert payment.captured_amount == 60
    assert event_count(payment.collection, "payment.captured") == 1
    assert_invariants(payment.collection)
    assert_books_agree(service, payment.collection)


@pytest.mark.parametrize(
    ("fault", "options", "sendings"),
    [
        pytest.param(
            "timeout_after",
            {},
            1,
            marks=pytest.mark.shows(
                "The provider captures, and its answer never comes",
                "Outcome unknown, the amount stays reserved; found by asking, captured once",
            ),
        ),
        pytest.param(
            "timeout_before",
            {},
            2,
            marks=pytest.mark.shows(
                "The provider hangs before it does anything", "Sent again under the same key, captured once"
            ),
        ),
        pytest.param(
            "error_500_after",
            {},
            1,
            marks=pytest.mark.shows(
                "The provider captures and answers 500", "Unknown, not failed; found by asking, captured once"
            ),
        ),
        pytest.param(
            "error_500_before",
            {},
            2,
            marks=pytest.mark.shows(
                "The provider answers 500 and has done nothing",
                "Sent again under the same key, captured once",
            ),
        ),
        pytest.param(
            "sticky_500",
            {"acted": True},
            1,
            marks=pytest.mark.shows(
                "The provider captures, and repeats a 500 under the key for ever",
                "Found by asking, never sent again, captured once",
            ),
        ),
        pytest.param(
            "garbage",
            {"acted": True},
            1,
            marks=pytest.mark.shows(
                "The provider captures, and its answer can't be decoded", "Found by asking, captured once"
            ),
        ),
        pytest.param(
            "garbage",
            {"acted": False},
            2,
            marks=pytest.mark.shows(
                "The answer can't be decoded, and nothing was done",
                "Sent again under the same key, captured once",
            ),
        ),
    ],
)
def test_unknown_outcome_is_found_out(  # noqa: PLR0917 - fixtures and parameters
    simulator: SimulatorService,
    clock: TestClock,
    payment: models.Payment,
    fault: str,
    options: dict[str, Any],
    sendings: int,
) -> None:
    with simulator_settings(simulator, timeout=0.3):
        operation = capture_with(simulator, payment, fault, **options)
        assert operation.status == "unknown"
        assert models.Capture.objects.get().status == "pending"
        let_time_pass(clock)
    assert_captured_once(simulator, payment)
    keys = [call.key for call in simulator.calls(operation="capture")]
    assert keys == [operation.pk] * sendings


@pytest.mark.shows(
    "Nobody can say what became of a capture, at any of the looks 1m 5m 15m 1h 6h 24h apart",
    "It needs a person after the last look; it was never failed, and its amount is still reserved",
)
def test_looks_grow_apart_until_a_person_has_to(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment, lost: models.PaymentOperation
) -> None:
    simulator.script(operation="retrieve", fault="error_500_before", times=None)
    let_time_pass(clock)
    lost.refresh_from_db()
    assert (lost.status, lost.detail) == ("attention", "unresolved")
    looks = [call.at for call in simulator.calls() if call.at >= simulator.calls(operation="capture")[0].at]
    pauses = [timedelta(seconds=later - earlier) for earlier, later in pairwise(looks)]
    assert [round(pause / timedelta(seconds=10)) for pause in pauses] == [
        round(pause / timedelta(seconds=10)) for pause in BACKOFF
    ]
    assert models.Capture.objects.get().status == "pending"
    assert len(simulator.calls(operation="capture")) == 1
    with pytest.raises(PaymentError, match="Needs attention since"):
        services.capture_payment(payment, amount="60.00")


@pytest.mark.shows(
    "A capture needs a person, and then the provider does tell",
    "It is recorded, and nobody is needed any more",
)
def test_later_fact_ends_the_need_for_a_person(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment, lost: models.PaymentOperation
) -> None:
    simulator.script(operation="retrieve", fault="error_500_before", times=None)
    let_time_pass(clock)
    simulator.clear_scenarios()
    services.sync_payment_session(payment.session)
    lost.refresh_from_db()
    assert lost.status == "succeeded"
    assert_captured_once(simulator, payment)


@pytest.mark.shows(
    "The provider repeats a 500 under the key and has done nothing, until the key protects no longer",
    "It needs a person; it is never sent under a new key and never failed",
)
def test_key_is_not_used_beyond_its_window(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment
) -> None:
    operation = capture_with(simulator, payment, "sticky_500")
    let_time_pass(clock)
    operation.refresh_from_db()
    assert (operation.status, operation.detail) == ("attention", "not_found_after_key_window")
    assert models.Capture.objects.get().status == "pending"
    calls = simulator.calls(operation="capture")
    assert {call.key for call in calls} == {operation.pk}
    assert calls[-1].at - calls[0].at < timedelta(hours=23, minutes=50).total_seconds()
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "Sending it again certainly reaches nobody (429, no connection)",
    "It stays unknown: that says nothing of the first time",
)
def test_sending_again_in_vain_proves_nothing(
    simulator: SimulatorService,
    clock: TestClock,
    payment: models.Payment,
    unanswered: models.PaymentOperation,
) -> None:
    simulator.script(operation="capture", fault="rate_limited")
    clock.advance(BACKOFF[0] + timedelta(seconds=1))
    assert services.reconcile_due() == 1
    unanswered.refresh_from_db()
    assert unanswered.status == "unknown"
    assert models.Capture.objects.get().status == "pending"
    let_time_pass(clock)
    assert_captured_once(simulator, payment)


@pytest.mark.shows(
    "The credentials are another account's while an outcome is unknown, so that the provider knows no such payment",
    "It stays unknown; once the right credentials are back, it is found by asking, captured once",
)
def test_that_another_account_does_not_know_the_payment_proves_nothing(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment, lost: models.PaymentOperation
) -> None:
    with running_simulator():
        let_time_pass(clock, horizon=timedelta(hours=5))
    lost.refresh_from_db()
    assert lost.status == "unknown"
    assert models.Capture.objects.get().status == "pending"
    let_time_pass(clock)
    assert len(simulator.calls(operation="capture")) == 1
    assert_captured_once(simulator, payment)


@pytest.mark.shows("The provider is down for hours", "Everything waits; once it is back, it is done once")
def test_provider_that_is_down_is_waited_for(
    simulator: SimulatorService,
    clock: TestClock,
    payment: models.Payment,
    unanswered: models.PaymentOperation,
) -> None:
    with simulator_settings(simulator, base_url="http://127.0.0.1:9"):
        let_time_pass(clock, horizon=timedelta(hours=5))
    unanswered.refresh_from_db()
    assert unanswered.status == "unknown"
    let_time_pass(clock)
    assert_captured_once(simulator, payment)


@pytest.mark.shows(
    "A provider leaves the settings while an operation is open", "It needs a person; other operations go on"
)
def test_provider_gone_from_the_settings_needs_a_person(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment, lost: models.PaymentOperation
) -> None:
    current = settings.PAYMENTS
    gone = {alias: entry for alias, entry in current["PROVIDERS"].items() if alias != "simulator"}
    with override_settings(PAYMENTS={**current, "PROVIDERS": gone}):
        let_time_pass(clock)
    lost.refresh_from_db()
    assert (lost.status, lost.detail) == ("attention", "provider_not_configured")
    assert models.Capture.objects.get().status == "pending"
    services.sync_payment_session(payment.session)
    assert_captured_once(simulator, payment)


@pytest.mark.shows(
    "The provider says for days that a capture is pending",
    "It is waited for, and recorded when it is settled",
)
def test_what_is_pending_is_waited_for(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment
) -> None:
    operation = capture_with(simulator, payment, "async")
    assert operation.status == "pending"
    let_time_pass(clock, horizon=timedelta(days=10))
    operation.refresh_from_db()
    assert operation.status == "pending"
    assert len(simulator.calls(operation="capture")) == 1
    assert_books_agree(simulator, payment.collection)
    [capture] = simulator.intents()[0].movements
    simulator.settle(capture.id)
    let_time_pass(clock)
    assert_captured_once(simulator, payment)


@pytest.mark.shows(
    "A report says that a capture is pending before its answer is recorded; or whoever asked has died",
    "The reconciler sees to it: it is recorded when it is settled, without any webhook",
)
@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_what_a_report_calls_pending_is_waited_for(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment, dies: bool
) -> None:
    def report() -> None:
        services.sync_payment_session(payment.session)
        if dies:
            raise ProcessDied(Checkpoint.CALLED)

    with watching(_once_called(OperationKind.CAPTURE, report)), suppress(ProcessDied):
        assert capture_with(simulator, payment, "async").status == "pending"
    settle_everything(simulator)
    let_time_pass(clock)
    assert_captured_once(simulator, payment)


@pytest.mark.shows("The provider says for a month that a capture is pending", "It needs a person")
def test_what_is_pending_for_a_month_needs_a_person(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment
) -> None:
    simulator.settings.authorization_lifetime, usual = 1e9, simulator.settings.authorization_lifetime
    operation = capture_with(simulator, payment, "async")
    let_time_pass(clock, horizon=timedelta(days=40))
    simulator.settings.authorization_lifetime = usual
    operation.refresh_from_db()
    assert (operation.status, operation.detail) == ("attention", "still_pending")


@pytest.mark.shows(
    "The process dies while a provider that can't be asked is called",
    "It is sent again under the same key, which is safe there for ever",
)
@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDING])
def test_provider_that_cannot_be_asked_is_sent_to_again(
    collection: models.PaymentCollection, clock: TestClock, point: Checkpoint
) -> None:
    session = services.create_payment_session(collection, provider_id="system")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    with crash_at(point, OperationKind.CAPTURE):
        services.capture_payment(payment)
    let_time_pass(clock)
    payment.refresh_from_db()
    assert payment.captured_amount == 100
    assert event_count(collection, "payment.captured") == 1
    assert not models.PaymentOperation.objects.open().exists()
    assert_invariants(collection)


@pytest.fixture
def other(simulator: SimulatorService, lost: models.PaymentOperation) -> models.PaymentOperation:
    """Return a second capture, younger than `lost`, whose answer was lost as well."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="simulator")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    simulator.script(operation="capture", fault="drop_after")
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)
    return models.PaymentOperation.objects.get(kind="capture", payment=payment)


@pytest.mark.shows(
    "Looking after one operation fails again and again",
    "The others are looked after; it is tried ever less often",
)
def test_trouble_with_one_operation_holds_up_no_other(
    clock: TestClock,
    lost: models.PaymentOperation,
    other: models.PaymentOperation,
    caplog: pytest.LogCaptureFixture,
) -> None:
    models.PaymentOperation.objects.filter(pk=lost.pk).update(provider=_broken_provider())
    models.PaymentSession.objects.filter(pk=lost.session_id).update(provider=_broken_provider())
    broken = {"BACKEND": "payments.providers.system.SystemProvider", "OPTIONS": {"nonsense": 1}}
    with configured_provider("broken", broken), caplog.at_level(logging.ERROR, logger="payments.reconciler"):
        clock.advance(BACKOFF[0] + timedelta(seconds=1))
        assert services.reconcile_due(limit=1) == 1
        assert services.reconcile_due(limit=1) == 1
    other.refresh_from_db()
    lost.refresh_from_db()
    assert (other.status, lost.status) == ("succeeded", "unknown")
    assert lost.next_attempt_at is not None
    assert lost.next_attempt_at > clock.now() + timedelta(minutes=4)
    assert lost.lease_expires_at is None
    assert f"Operation {lost.pk} can't be reconciled now." in caplog.text


def _broken_provider() -> models.PaymentProvider:
    return models.PaymentProvider.objects.get_or_create(pk="broken")[0]


@pytest.mark.shows(
    "A worker is slower than its lease, and another takes over the rest of its batch",
    "Each operation is looked after once",
)
def test_slow_worker_leaves_alone_what_another_has_taken_over(
    simulator: SimulatorService,
    clock: TestClock,
    lost: models.PaymentOperation,
    other: models.PaymentOperation,
) -> None:
    clock.advance(BACKOFF[0] + timedelta(seconds=1))
    first: list[str] = []
    second: list[str] = []

    def take_a_break(operation: models.PaymentOperation) -> None:
        first.append(operation.pk)
        clock.advance(timedelta(minutes=3))
        services.reconcile_due(progress=lambda taken: second.append(taken.pk))

    services.reconcile_due(progress=take_a_break)
    assert (first, second) == ([lost.pk], [other.pk])
    assert len(simulator.calls(operation="retrieve", reference=other.session_id)) == 1


@pytest.mark.shows(
    "The provider's answer takes so long that the reconciler finds the capture first",
    "Whoever records second changes nothing: one event, captured once",
)
def test_answer_that_comes_after_the_reconciler_changes_nothing(
    simulator: SimulatorService, clock: TestClock, payment: models.Payment
) -> None:
    with watching(_once_called(OperationKind.CAPTURE, lambda: _outlast_the_lease(clock))):
        services.capture_payment(payment, amount="60.00")
    assert_captured_once(simulator, payment)
    assert models.PaymentOperation.objects.get(kind="capture").status == "succeeded"


@pytest.mark.shows(
    "The answer to a change of amount comes after a second change has been made and recorded",
    "The second change stands",
)
def test_answer_of_an_overtaken_update_changes_nothing(
    simulator: SimulatorService, clock: TestClock, session: models.PaymentSession
) -> None:
    def overtake() -> None:
        _outlast_the_lease(clock)
        services.update_payment_session(session, amount="70.00")

    with watching(_once_called(OperationKind.UPDATE, overtake)):
        services.update_payment_session(session, amount="60.00")
    session.refresh_from_db()
    assert session.amount == 70
    assert simulator.intents()[0].amount == 7000
    assert event_count(session.collection, "session.updated") == 2


def _outlast_the_lease(clock: TestClock) -> None:
    clock.advance(timedelta(minutes=3))
    assert services.reconcile_due() == 1


def _once_called(kind: OperationKind, action: Callable[[], None]) -> Watcher:
    """Return a watcher that acts when the first operation of a kind has its answer, and nobody has recorded it."""
    waiting = iter([action])

    def watcher(point: Checkpoint, operation: models.PaymentOperation) -> None:
        if point == Checkpoint.CALLED and operation.kind == kind:
            for act in waiting:
                act()

    return watcher


@pytest.mark.shows(
    "Two processes end one operation differently, from books that both have read before",
    "The first stands: books are only closed as the version that follows the one that was read",
)
def test_operation_that_has_ended_is_not_ended_differently(lost: models.PaymentOperation) -> None:
    two_reads = [models.PaymentCollection.objects.get(pk=lost.collection_id) for _ in range(2)]
    origin = Origin(source=EventSource.SYSTEM)
    first, second = (books_of(row, origin=origin) for row in two_reads)
    done = CaptureResult(
        outcome=Outcome.SUCCEEDED, amount=lost.amount, currency_code=lost.collection.currency_code
    )
    record_answer(first, lost, done)
    _books, ended = record_answer(second, lost, CaptureResult(outcome=Outcome.DECLINED))
    lost.refresh_from_db()
    assert (lost.status, ended.status) == ("succeeded", "succeeded")
    assert event_count(lost.collection, "payment.captured") == 1
    assert event_count(lost.collection, "capture.failed") == 0
