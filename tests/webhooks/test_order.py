"""Facts only move forward: late, reordered and replayed events end where the provider is, and nowhere else."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from payments import services
from payments.models import Capture, Payment, PaymentCollection, PaymentSession, Refund, WebhookEvent
from payments.services.background import inbox
from payments.simulator import SimulatorService
from payments.states import (
    MovementStatus,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)
from tests.reliability.books import assert_books_agree
from tests.reliability.clocks import moving_clock
from tests.reliability.news import thoroughly
from tests.webhooks.deliveries import bodies, books, deliver, history, intent_of

pytestmark = pytest.mark.database_independent

LIFE = ("authorized", "first capture", "second capture", "refund")
USUAL = [
    LIFE[first:] + LIFE[:first] if is_forth else (LIFE[first:] + LIFE[:first])[::-1]
    for first in range(len(LIFE))
    for is_forth in (True, False)
]
"""Orders in which each event comes first and last, and before and after each other one."""


def lived(session: PaymentSession, simulator: SimulatorService) -> dict[str, bytes]:
    """Have all of a session's life happen at the provider, and return the event of each step."""
    intent = intent_of(session)
    simulator.authorize(intent)
    simulator.capture(intent, 4000)
    simulator.capture(intent, 6000)
    simulator.refund(intent, 3000)
    return dict(zip(LIFE, bodies(simulator, session), strict=True))


@pytest.mark.shows("The events of a whole life in each possible order", "the same books every time")
@pytest.mark.parametrize(
    "order",
    [order if order in USUAL else thoroughly(order) for order in permutations(LIFE)],
    ids=lambda order: "-".join(order).replace(" ", "_"),
)
def test_the_order_of_events_does_not_matter(
    order: tuple[str, ...], session: PaymentSession, simulator: SimulatorService
) -> None:
    events = lived(session, simulator)
    for step in order:
        assert deliver(events[step]).status == 200
    payment = Payment.objects.get()
    assert (payment.status, payment.captured_amount, payment.refunded_amount) == (
        PaymentStatus.PARTIALLY_REFUNDED,
        Decimal("100.00"),
        Decimal("30.00"),
    )
    assert sorted(capture.amount for capture in Capture.objects.all()) == [Decimal(40), Decimal(60)]
    assert [refund.amount for refund in Refund.objects.all()] == [Decimal(30)]
    assert history(session).count("session.authorized") == 1
    assert history(session).count("payment.captured") == 2
    assert history(session).count("payment.refunded") == 1
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEventStatus.APPLIED}
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows("“captured” before “authorized”", "captured; the late “authorized” changes nothing")
def test_captured_before_authorized_ends_as_captured(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    intent = intent_of(session)
    simulator.authorize(intent)
    simulator.capture(intent)
    authorized, captured = bodies(simulator, session)
    deliver(captured)
    before = books()
    deliver(authorized)
    assert Payment.objects.get().status == PaymentStatus.CAPTURED
    assert books() == before


@pytest.mark.shows("The report of an earlier decline after the session was captured", "it stays captured")
def test_an_old_decline_does_not_touch_what_was_captured_since(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    services.authorize_payment_session(session, data={"card": "card_declined"})
    (declined,) = bodies(simulator, session, "intent.declined")
    services.authorize_payment_session(session, data={"card": "card_ok"})
    assert session.payment is not None
    services.capture_payment(session.payment)
    before = books()
    assert deliver(declined).status == 200
    assert books() == before


@pytest.mark.shows(
    "The report of an earlier decline while another card is being tried", "the new attempt goes on"
)
def test_an_old_decline_does_not_end_the_next_attempt(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    services.authorize_payment_session(session, data={"card": "card_declined"})
    (declined,) = bodies(simulator, session, "intent.declined")
    simulator.script(operation="authorize", fault="async")
    services.authorize_payment_session(session)
    assert deliver(declined).status == 200
    (operation,) = session.operations.filter(kind="authorize", status=OperationStatus.PENDING)
    simulator.settle(intent_of(session))
    deliver(bodies(simulator, session, "intent.authorized")[0])
    operation.refresh_from_db()
    session.refresh_from_db()
    assert (operation.status, session.status) == (OperationStatus.SUCCEEDED, SessionStatus.AUTHORIZED)


@pytest.mark.shows("“authorized” after the session was canceled", "recorded, never dropped; a person is told")
def test_a_late_success_on_a_canceled_session_needs_a_person(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    services.cancel_payment_session(session)
    simulator.authorize(intent_of(session))
    assert deliver(bodies(simulator, session, "intent.authorized")[0]).status == 200
    work_off_the_inbox()
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert session.payment is not None
    assert session.operations.filter(status=OperationStatus.ATTENTION).exists()
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "“canceled” before the “authorized” that came first", "the provider is asked: nothing is held"
)
def test_authorized_after_the_report_of_its_release_is_released(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    intent = intent_of(session)
    simulator.authorize(intent)
    simulator.cancel(intent)
    authorized, canceled = bodies(simulator, session)
    assert deliver(canceled).status == deliver(authorized).status == 200
    work_off_the_inbox()
    session.refresh_from_db()
    assert session.status == SessionStatus.CANCELED
    assert not session.operations.filter(status=OperationStatus.ATTENTION).exists()
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows("All events of a life that we made ourselves, delivered afterwards", "nothing changes")
def test_events_of_what_is_recorded_change_nothing(payment: Payment, simulator: SimulatorService) -> None:
    services.capture_payment(payment, amount="40.00")
    services.capture_payment(payment)
    services.refund_payment(payment, amount="30.00")
    before = books()
    for body in reversed(bodies(simulator, payment.session)):
        assert deliver(body).status == 200
    assert books() == before


@pytest.mark.shows("Old events replayed by an operator", "nothing changes but the history of the replay")
def test_replaying_old_events_changes_nothing(payment: Payment, simulator: SimulatorService) -> None:
    services.capture_payment(payment)
    services.refund_payment(payment, amount="30.00")
    for body in bodies(simulator, payment.session):
        deliver(body)
    before = books()
    for event in WebhookEvent.objects.order_by("id"):
        services.replay_webhook_event(event)
    after = books()
    replays = after["PaymentEvent"][len(before["PaymentEvent"]) :]
    assert {event["type"] for event in replays} == {"webhook.replayed"}
    assert {name: rows for name, rows in after.items() if name != "PaymentEvent"} == {
        name: rows for name, rows in before.items() if name != "PaymentEvent"
    }


@pytest.mark.shows("A refund made in the provider's own dashboard", "recorded once; totals and status follow")
def test_a_refund_made_at_the_provider_is_recorded_once(
    payment: Payment, simulator: SimulatorService
) -> None:
    services.capture_payment(payment)
    simulator.refund(intent_of(payment.session), 2500)
    (body,) = bodies(simulator, payment.session, "refund.succeeded")
    for _copy in range(3):
        assert deliver(body).status == 200
    payment.refresh_from_db()
    collection = PaymentCollection.objects.get()
    assert (payment.status, payment.refunded_amount) == (PaymentStatus.PARTIALLY_REFUNDED, Decimal(25))
    assert collection.refunded_amount == Decimal(25)
    assert history(payment.session).count("payment.refunded") == 1
    assert_books_agree(simulator, collection)


@pytest.mark.shows("“pending”, then “succeeded”, then “pending” again for one refund", "succeeded once")
def test_a_refund_does_not_go_back_to_pending(payment: Payment, simulator: SimulatorService) -> None:
    services.capture_payment(payment)
    simulator.script(operation="refund", fault="async")
    services.refund_payment(payment, amount="10.00")
    refund = Refund.objects.get()
    assert refund.provider_reference is not None
    simulator.settle(refund.provider_reference)
    services.refund_payment(payment, amount="5.00")
    first, second = bodies(simulator, payment.session, "refund.succeeded")
    for body in (second, first, second):
        assert deliver(body).status == 200
    payment.refresh_from_db()
    assert payment.refunded_amount == Decimal(15)
    assert history(payment.session).count("payment.refunded") == 2
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("A refund that fails after it had succeeded", "failed; its amount can be refunded again")
def test_a_refund_that_failed_late_is_given_back_to_the_books(
    payment: Payment, simulator: SimulatorService
) -> None:
    fail_late(payment, simulator)
    assert deliver(bodies(simulator, payment.session, "refund.failed")[0]).status == 200
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_amount) == (PaymentStatus.CAPTURED, Decimal(0))
    services.refund_payment(payment, amount="10.00")
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "The success of a refund, told after its late failure", "the provider is asked: it stays failed"
)
def test_an_old_success_does_not_bring_a_failed_refund_back(
    payment: Payment, simulator: SimulatorService
) -> None:
    fail_late(payment, simulator)
    deliver(bodies(simulator, payment.session, "refund.failed")[0])
    assert deliver(bodies(simulator, payment.session, "refund.succeeded")[0]).status == 200
    work_off_the_inbox()
    payment.refresh_from_db()
    assert payment.refunded_amount == 0
    assert Refund.objects.get().status == MovementStatus.FAILED
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "An old success, and a provider that can't be asked which holds", "recorded by the last attempt"
)
def test_a_fact_in_doubt_is_recorded_in_the_end(session: PaymentSession, simulator: SimulatorService) -> None:
    services.cancel_payment_session(session)
    simulator.authorize(intent_of(session))
    simulator.script(operation="retrieve", fault="error_500_before", times=None)
    deliver(bodies(simulator, session, "intent.authorized")[0])
    with moving_clock() as clock:
        while (due_at := WebhookEvent.objects.get().next_attempt_at) is not None:
            clock.advance_to(due_at)
            services.process_due_events()
    session.refresh_from_db()
    assert WebhookEvent.objects.get().status == WebhookEventStatus.APPLIED
    assert session.status == SessionStatus.AUTHORIZED
    assert session.operations.filter(status=OperationStatus.ATTENTION).exists()


def fail_late(payment: Payment, simulator: SimulatorService) -> None:
    """Refund 10.00, and have the provider's bank send it back."""
    services.capture_payment(payment)
    services.refund_payment(payment, amount="10.00")
    reference = Refund.objects.get().provider_reference
    assert reference is not None
    simulator.fail(reference)


def work_off_the_inbox() -> None:
    """Run the worker when what the receiver left to it is due."""
    with moving_clock() as clock:
        clock.advance(inbox.PAUSES[0])
        services.process_due_events()
