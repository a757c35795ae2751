"""What the provider reports is recorded, whoever did it there, and a person is told where an invariant breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payments import services, signals
from payments.exceptions import AmountError, OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.simulator import SimulatorService
from tests.reliability.books import (
    assert_books_agree,
    assert_invariants,
    event_count,
    our_books,
    their_books,
)
from tests.reliability.operators import deliver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database_independent]


def intent_of(service: SimulatorService) -> str:
    """Return the id of the only intent."""
    [intent] = service.intents()
    return intent.id


def sync(payment: Payment) -> Payment:
    """Ask the provider twice, as a report may come twice, and return the payment as it is then."""
    services.sync_payment_session(payment.session)
    services.sync_payment_session(payment.session)
    payment.refresh_from_db()
    assert_invariants(payment.collection)
    return payment


def attention() -> list[str]:
    """Return the codes of what a person has to see to."""
    rows = PaymentOperation.objects.filter(status="attention").order_by("created_at", "id")
    return [row.detail.partition(":")[0] for row in rows]


@pytest.mark.shows(
    "A part is captured in the provider's own dashboard", "Recorded as a capture of its own, once"
)
def test_capture_made_at_the_provider(simulator: SimulatorService, payment: Payment) -> None:
    simulator.capture(intent_of(simulator), 3000)
    assert sync(payment).captured_amount == 30
    assert event_count(payment.collection, "payment.captured") == 1
    assert attention() == []
    assert_books_agree(simulator, payment.collection)
    services.capture_payment(payment)
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "A part is refunded in the provider's own dashboard",
    "Recorded once, and our own refunds are limited to the rest",
)
def test_refund_made_at_the_provider(simulator: SimulatorService, captured: Payment) -> None:
    simulator.refund(intent_of(simulator), 3000)
    assert sync(captured).refunded_amount == 30
    assert event_count(captured.collection, "payment.refunded") == 1
    assert attention() == []
    with pytest.raises(AmountError):
        services.refund_payment(captured, amount="70.01")
    services.refund_payment(captured)
    assert_books_agree(simulator, captured.collection)


@pytest.mark.shows(
    "An authorization is released in the provider's own dashboard", "The payment is canceled here too"
)
def test_release_made_at_the_provider(simulator: SimulatorService, payment: Payment) -> None:
    simulator.cancel(intent_of(simulator))
    assert sync(payment).status == "canceled"
    assert event_count(payment.collection, "payment.canceled") == 1
    assert attention() == []
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "The bank authorizes only 60 of 100", "The payment is of 60, and another session covers the remaining 40"
)
def test_partial_authorization(simulator: SimulatorService, collection: PaymentCollection) -> None:
    session = services.create_payment_session(collection, provider_id="simulator")
    services.authorize_payment_session(session, data={"card": "card_partial"})
    collection.refresh_from_db()
    assert collection.status == "partially_authorized"
    assert collection.authorized_amount == 60
    rest = services.create_payment_session(collection, provider_id="simulator")
    assert rest.amount == 40
    services.authorize_payment_session(rest)
    collection.refresh_from_db()
    assert collection.status == "authorized"
    assert_invariants(collection)
    assert_books_agree(simulator, collection)


@pytest.mark.shows(
    "The bank authorizes a session after it was canceled",
    "The payment is recorded and can be released, and a person is told",
)
def test_late_success_on_a_canceled_session(simulator: SimulatorService, session: PaymentSession) -> None:
    services.cancel_payment_session(session)
    simulator.authorize(intent_of(simulator))
    services.sync_payment_session(session)
    services.sync_payment_session(session)
    assert attention() == ["late_authorization"]
    session = PaymentSession.objects.get(pk=session.pk)
    assert session.payment is not None
    assert our_books(session) == their_books(simulator, session)
    services.cancel_payment(session.payment)
    assert_books_agree(simulator, session.collection)


@pytest.mark.shows(
    "The bank authorizes a replaced session after its successor was paid",
    "Both payments are in the books, and a person is told that too much is held",
)
def test_late_success_on_a_replaced_session(
    simulator: SimulatorService, collection: PaymentCollection
) -> None:
    replaced = services.create_payment_session(collection, provider_id="simulator")
    services.authorize_payment_session(services.create_payment_session(collection, provider_id="simulator"))
    simulator.authorize(simulator.intents()[0].id)
    services.sync_payment_session(replaced)
    [report] = PaymentOperation.objects.filter(status="attention")
    codes = {event.data["code"] for event in collection.events.filter(type="fact.discrepancy")}
    assert codes == {"late_authorization", "authorized_more_than_due"}
    assert report.kind == "sync"
    assert_invariants(collection)
    assert_books_agree(simulator, collection)


@pytest.mark.parametrize("operation", ["capture", "refund"])
@pytest.mark.shows(
    "A capture or refund is answered with another amount than was asked for",
    "It needs a person, the reservation stays; the provider's own record settles it",
)
def test_other_amount_answered(simulator: SimulatorService, payment: Payment, operation: str) -> None:
    if operation == "refund":
        services.capture_payment(payment)
    simulator.script(operation=operation, fault="wrong_amount")
    verb = services.capture_payment if operation == "capture" else services.refund_payment
    with pytest.raises(OutcomeUnknownError):
        verb(payment, amount="60.00")
    assert attention() == [f"{operation}_amount_mismatch"]
    sync(payment)
    assert attention() == []
    assert_books_agree(simulator, payment.collection)


@pytest.mark.parametrize("operation", ["capture", "refund", "authorize", "update"])
@pytest.mark.shows(
    "An answer is in another currency than was asked for",
    "It needs a person; the provider's own record settles it",
)
def test_other_currency_answered(
    simulator: SimulatorService, session: PaymentSession, operation: str
) -> None:
    _misanswered(simulator, session, operation)
    assert len(attention()) == 1
    assert_invariants(session.collection)
    services.sync_payment_session(session)
    assert attention() == []
    assert_books_agree(simulator, session.collection)


def _misanswered(service: SimulatorService, session: PaymentSession, operation: str) -> None:
    verbs: dict[str, Callable[[], object]] = {
        "update": lambda: services.update_payment_session(session, amount="60.00"),
        "authorize": lambda: services.authorize_payment_session(session),
        "capture": lambda: services.capture_payment(Payment.objects.get()),
        "refund": lambda: services.refund_payment(Payment.objects.get()),
    }
    for earlier in {"capture": ("authorize",), "refund": ("authorize", "capture")}.get(operation, ()):
        verbs[earlier]()
    service.script(operation=operation, fault="wrong_currency", currency="usd")
    with pytest.raises(OutcomeUnknownError):
        verbs[operation]()


@pytest.mark.shows(
    "An authorization is answered with less than is really held",
    "Taken for partial until the provider says otherwise, then a person is told",
)
def test_less_answered_than_held(simulator: SimulatorService, session: PaymentSession) -> None:
    simulator.script(operation="authorize", fault="wrong_amount")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    assert str(payment.amount) == "99.9900"
    sync(payment)
    assert attention() == ["authorized_amount_mismatch"]


@pytest.mark.shows(
    "A report from before the authorization arrives after it",
    "It is known to be older: nothing changes, nobody is told",
)
def test_report_from_before_the_authorization(simulator: SimulatorService, session: PaymentSession) -> None:
    services.authorize_payment_session(session, data={"card": "card_3ds"})
    [event] = simulator.events()
    payment = services.authorize_payment_session(session, data={"code": "123456"}).payment
    assert payment is not None
    deliver(simulator, event)
    services.process_due_events()
    assert attention() == []
    assert payment.collection.events.filter(type="fact.discrepancy").count() == 0
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows(
    "More is authorized than was asked for", "Nothing is taken for granted: no payment, and a person is told"
)
def test_more_authorized_than_asked(simulator: SimulatorService, session: PaymentSession) -> None:
    simulator.script(operation="authorize", fault="wrong_amount", delta=100, in_ledger=True)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    assert attention() == ["authorized_amount_mismatch"]
    assert_invariants(session.collection)


@pytest.mark.shows(
    "A refund fails at the payer's bank days after it had succeeded",
    "It counts no more and can be asked again; a replayed report of its success changes nothing",
)
def test_refund_that_fails_after_all(simulator: SimulatorService, captured: Payment) -> None:
    services.refund_payment(captured, amount="60.00")
    [_capture, refund] = simulator.intents()[0].movements
    simulator.fail(refund.id, code="account_closed")
    assert sync(captured).refunded_amount == 0
    assert captured.status == "captured"
    assert event_count(captured.collection, "refund.failed") == 1
    services.refund_payment(captured, amount="100.00")
    captured.refresh_from_db()
    assert captured.status == "refunded"
    assert_books_agree(simulator, captured.collection)
    assert_invariants(captured.collection)


@pytest.mark.shows(
    "A pending capture or refund fails in the end",
    "It counts no more, its amount is free, and one event says so",
)
@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_pending_movement_that_fails(simulator: SimulatorService, payment: Payment, operation: str) -> None:
    if operation == "refund":
        services.capture_payment(payment)
    simulator.script(operation=operation, fault="async")
    verb = services.capture_payment if operation == "capture" else services.refund_payment
    verb(payment)
    simulator.fail(simulator.intents()[0].movements[-1].id)
    sync(payment)
    assert event_count(payment.collection, f"{operation}.failed") == 1
    assert not PaymentOperation.objects.open().exists()
    verb(payment)
    assert_books_agree(simulator, payment.collection)


@pytest.fixture
def charged_back() -> Iterator[list[Any]]:
    """Listen to chargebacks and return what was heard."""
    heard: list[Any] = []

    def receiver(sender: object, payment: Payment, event: Any, **_: object) -> None:
        heard.append((payment.pk, event.amount))

    signals.payment_charged_back.connect(receiver)
    yield heard
    signals.payment_charged_back.disconnect(receiver)


@pytest.mark.shows(
    "The payer's bank takes money back (chargeback), in parts",
    "The payment says how much, the shop is told of each, a person too, and no more is refunded than what is left",
)
def test_chargeback(simulator: SimulatorService, captured: Payment, charged_back: list[Any]) -> None:
    simulator.chargeback(intent_of(simulator), 3000)
    assert sync(captured).charged_back_amount == 30
    simulator.chargeback(intent_of(simulator), 2000)
    assert sync(captured).charged_back_amount == 50
    assert charged_back == [(captured.pk, 30), (captured.pk, 20)]
    assert attention() == ["charged_back"]
    assert captured.refundable_amount == 50
    with pytest.raises(AmountError) as refusal:
        services.refund_payment(captured, amount="50.01")
    assert refusal.value.code == "exceeds_remaining"
    services.refund_payment(captured)
    captured.refresh_from_db()
    assert captured.refunded_amount == 50
    with pytest.raises(AmountError) as refusal:
        services.refund_payment(captured)
    assert refusal.value.code == "nothing_left"
    assert_books_agree(simulator, captured.collection)


@pytest.mark.shows(
    "Money is charged back that was refunded already", "Both are in the books, and a person is told"
)
def test_chargeback_of_what_was_refunded(simulator: SimulatorService, captured: Payment) -> None:
    services.refund_payment(captured)
    simulator.chargeback(intent_of(simulator))
    sync(captured)
    assert captured.refunded_amount == captured.charged_back_amount == 100
    assert captured.refundable_amount == 0
    assert attention() == ["charged_back"]
    assert_books_agree(simulator, captured.collection)


@pytest.mark.shows(
    "A refund is under way when the money is charged back",
    "The refund is recorded too, and a person is told of both",
)
def test_refund_under_way_when_charged_back(simulator: SimulatorService, captured: Payment) -> None:
    simulator.script(operation="refund", fault="async")
    services.refund_payment(captured, amount="60.00")
    simulator.chargeback(intent_of(simulator))
    sync(captured)
    simulator.settle(simulator.intents()[0].movements[1].id)
    sync(captured)
    assert captured.refunded_amount == 60
    codes = [event.data["code"] for event in captured.collection.events.filter(type="fact.discrepancy")]
    assert codes == ["charged_back", "refunded_what_was_charged_back"]
    assert_books_agree(simulator, captured.collection)


@pytest.mark.shows(
    "A refund fails after days, and somebody gives the money back in the provider's dashboard instead",
    "The one is failed and the other recorded, also where one report tells of both",
)
def test_refund_in_the_dashboard_after_one_that_failed(
    simulator: SimulatorService, captured: Payment
) -> None:
    services.refund_payment(captured)
    simulator.fail(simulator.intents()[0].movements[1].id)
    simulator.refund(intent_of(simulator), 10000)
    sync(captured)
    assert sorted(row.status for row in captured.refunds.all()) == ["failed", "succeeded"]
    assert captured.status == "refunded"
    assert captured.refunded_amount == 100
    assert attention() == ["refund_failed_late"]
    assert_books_agree(simulator, captured.collection)
