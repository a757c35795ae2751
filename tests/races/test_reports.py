"""Provider events at the same time as each other, as our own calls, and as the workers."""

from __future__ import annotations

import pytest

from payments import services
from payments.models import Capture, Payment, PaymentEvent, PaymentSession, WebhookEvent
from payments.services.background import inbox
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import MovementStatus, OperationKind, OperationStatus, SessionStatus, WebhookEventStatus
from tests.races.interleavings import interleave
from tests.reliability.books import assert_books_agree
from tests.reliability.clocks import moving_clock
from tests.threads import times, together
from tests.webhooks.deliveries import bodies, deliver, history, intent_of

pytestmark = pytest.mark.django_db(transaction=True)


def assert_captured_once(payment: Payment, simulator: SimulatorService) -> None:
    """See that a payment was captured in one movement, by one operation, told once."""
    (capture,) = Capture.objects.all()
    assert capture.status == MovementStatus.SUCCEEDED
    (operation,) = payment.session.operations.filter(kind=OperationKind.CAPTURE)
    assert operation.status == OperationStatus.SUCCEEDED
    assert history(payment.session).count("payment.captured") == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("The same event delivered eight times at the same moment", "8 × 200; one row, one effect")
def test_copies_at_the_same_moment_are_one_event(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    simulator.authorize(intent_of(session))
    (body,) = bodies(simulator, session)
    came = times(8, lambda: deliver(body))
    assert not came.raised()
    assert [answer.status for answer in came.values] == [200] * 8
    assert [answer.is_duplicate for answer in came.values].count(False) == 1
    assert WebhookEvent.objects.get().status == WebhookEventStatus.APPLIED
    assert history(session).count("session.authorized") == 1
    assert_books_agree(simulator, session.collection)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(
            Checkpoint.CALLED,
            marks=pytest.mark.shows(
                "A webhook between the provider's answer and its record, on another connection", "one capture"
            ),
        ),
        pytest.param(
            Checkpoint.RECORDED,
            marks=pytest.mark.shows("A webhook right after the record, on another connection", "one capture"),
        ),
    ],
)
def test_a_webhook_around_the_record_is_the_same_capture(
    payment: Payment, simulator: SimulatorService, point: Checkpoint
) -> None:
    came = interleave(
        lambda: services.capture_payment(payment),
        point,
        lambda: deliver(bodies(simulator, payment.session, "capture.succeeded")[0]),
        of=OperationKind.CAPTURE,
    )
    assert came.values[0].status == 200
    assert_captured_once(payment, simulator)


@pytest.mark.shows(
    "Webhook, sync, replay and reconciler all report one capture at once", "one capture, told once"
)
def test_all_ways_of_reporting_at_once_record_one_capture(
    payment: Payment, simulator: SimulatorService
) -> None:
    simulator.capture(intent_of(payment.session))
    (body,) = bodies(simulator, payment.session, "capture.succeeded")
    deliver(bodies(simulator, payment.session, "intent.authorized")[0])
    old = WebhookEvent.objects.get()
    came = together(
        *[lambda: deliver(body)] * 3,
        *[lambda: services.sync_payment_session(payment.session)] * 3,
        lambda: services.replay_webhook_event(old),
        services.reconcile_due,
    )
    assert not came.raised()
    (capture,) = Capture.objects.all()
    assert capture.status == MovementStatus.SUCCEEDED
    assert history(payment.session).count("payment.captured") == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "A whole life's events, all delivered at the same moment", "the provider's books, each told once"
)
def test_a_whole_life_delivered_at_once_ends_in_the_providers_books(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    intent = intent_of(session)
    simulator.authorize(intent)
    for amount in (1000, 2000, 3000):
        simulator.capture(intent, amount)
    for amount in (500, 1500):
        simulator.refund(intent, amount)
    came = together(*[lambda body=body: deliver(body) for body in bodies(simulator, session)])
    assert not came.raised()
    work_off_the_inbox()
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}
    told = history(session)
    assert [told.count(name) for name in ("session.authorized", "payment.captured", "payment.refunded")] == [
        1,
        3,
        2,
    ]
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows("Four inbox workers side by side", "each event is applied by one of them")
def test_inbox_workers_share_what_is_due(
    session: PaymentSession, simulator: SimulatorService, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = session.collection
    simulator.authorize(intent_of(session))
    for _each in range(8):
        simulator.capture(intent_of(session), 100)
    with monkeypatch.context() as patch:
        patch.setattr("payments.webhooks.apply_at_once", lambda event: None)
        for body in bodies(simulator, session):
            deliver(body)
    taken: list[str] = []
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        came = times(
            4, lambda: services.process_due_events(limit=3, progress=lambda event: taken.append(event.pk))
        )
        assert not came.raised()
        services.process_due_events(progress=lambda event: taken.append(event.pk))
    assert sorted(taken) == sorted(WebhookEvent.objects.values_list("pk", flat=True))
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert PaymentEvent.objects.filter(type="payment.captured").count() == 8
    assert_books_agree(simulator, collection)


def work_off_the_inbox() -> None:
    """Run the worker when what the receiver left to it is due."""
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        services.process_due_events()
