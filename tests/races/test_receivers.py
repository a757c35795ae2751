"""Receivers that call verbs: what a shop does when it is told of something is never taken for what the request did.

A receiver runs right after the commit, while the request is still being answered. Were its calls counted as the
request's, an answer that is certain would be 202, and the same key sent again would do the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.dispatch import Signal
from django.test import Client

from payments import services, signals
from payments.exceptions import PaymentError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.simulator import SimulatorService
from payments.states import OperationKind, OperationStatus
from tests.admin.acting import act, told
from tests.api.client import Answer, Visitor
from tests.outbox.listeners import receiving
from tests.races.places import PUBLISHER_LEASE
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import ProcessDied

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "once"

Deed = Callable[[SimulatorService, Payment], Any]


@pytest.fixture
def other(transactional_db: None, simulator: SimulatorService) -> Payment:
    """Return a payment of another order, half of it captured, which the shop also looks after."""
    collection = services.create_payment_collection(amount="80.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="simulator")
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    return services.capture_payment(payment, amount="40.00")


@pytest.fixture
def visitor(admin_user: Any) -> Visitor:
    """Return an operator who is also a customer."""
    return Visitor(user=admin_user)


def lost_cancelation(simulator: SimulatorService, payment: Payment) -> None:
    """Cancel a payment; the answer is lost."""
    simulator.script(operation="cancel", fault="drop_after", reference=payment.session_id)
    services.cancel_payment(payment)


def lost_capture(simulator: SimulatorService, payment: Payment) -> None:
    """Capture some of a payment; the answer is lost."""
    simulator.script(operation="capture", fault="drop_after", reference=payment.session_id)
    services.capture_payment(payment, amount="10.00")


def lost_refund(simulator: SimulatorService, payment: Payment) -> None:
    """Refund some of a payment; the answer is lost."""
    simulator.script(operation="refund", fault="drop_after", reference=payment.session_id)
    services.refund_payment(payment, amount="15.00")


def refund(simulator: SimulatorService, payment: Payment) -> None:
    """Refund some of a payment."""
    services.refund_payment(payment, amount="15.00")


def refused_refund(simulator: SimulatorService, payment: Payment) -> None:
    """Refund some of a payment; the bank refuses."""
    simulator.script(operation="refund", fault="decline", reference=payment.session_id)
    services.refund_payment(payment, amount="15.00")


def awaited_refund(simulator: SimulatorService, payment: Payment) -> None:
    """Refund some of a payment; the bank will tell how that ends."""
    simulator.script(operation="refund", fault="async", reference=payment.session_id)
    services.refund_payment(payment, amount="15.00")


def awaited_authorization(simulator: SimulatorService, payment: Payment) -> None:
    """Ask for an authorization that the bank has not decided upon yet, and once more."""
    collection = services.create_payment_collection(amount="5.00", currency_code="eur")
    session = services.create_payment_session(collection, provider_id="simulator")
    simulator.script(operation="authorize", fault="async", reference=session.pk)
    for _each in range(2):
        services.authorize_payment_session(session)


RARER_DEEDS = (lost_capture, lost_refund, refund, awaited_refund, awaited_authorization)
DEEDS = [
    lost_cancelation,
    refused_refund,
    *(pytest.param(deed, marks=pytest.mark.thorough) for deed in RARER_DEEDS),
]
EACH_DEED = pytest.mark.parametrize("deed", DEEDS)


@contextmanager
def doing(
    signal: Signal, deed: Deed, simulator: SimulatorService, other: Payment, *, dies: bool = False
) -> Iterator[list[str]]:
    """Have a receiver do something to another payment when it hears a signal first; with `dies`, the process ends.

    Yield what it has heard.
    """
    heard: list[str] = []

    def receive(*, event: Any, **_rows: Any) -> None:
        heard.append(str(event.collection_id))
        if len(heard) > 1:
            return
        with suppress(PaymentError):
            deed(simulator, other)
        if dies:
            raise ProcessDied

    with receiving(signal, receive):
        yield heard


def refund_with_key(visitor: Visitor, payment: Payment) -> Answer:
    """Ask for a refund of 15.00 euros under a key, always the same."""
    visitor.headers["Idempotency-Key"] = KEY
    return visitor.post(f"staff/payments/{payment.pk}/refund/", {"amount": "15.00"})


@EACH_DEED
def test_key_that_is_sent_again_refunds_once_whatever_a_receiver_does(
    deed: Deed, captured: Payment, other: Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    with doing(signals.payment_refunded, deed, simulator, other) as heard:
        answers = [refund_with_key(visitor, captured) for _each in range(3)]

    assert heard[0] == captured.collection_id
    assert simulator.totals(captured.session_id).refunded == 1_500
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert ["Idempotent-Replayed" in answer.headers for answer in answers] == [False, True, True]
    assert answers[1].body == answers[0].body
    assert "operation_id" not in answers[0].body


@EACH_DEED
def test_what_a_receiver_claims_is_not_the_requests(
    deed: Deed, captured: Payment, other: Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    before = set(PaymentOperation.objects.values_list("pk", flat=True))

    with doing(signals.payment_refunded, deed, simulator, other):
        refund_with_key(visitor, captured)

    claimed = PaymentOperation.objects.exclude(pk__in=before)
    of_the_request = claimed.exclude(request_key=None)
    assert [operation.payment_id for operation in of_the_request] == [captured.pk]
    assert claimed.filter(request_key=None).exists()


@EACH_DEED
def test_process_that_dies_in_a_receiver_has_refunded_once(
    deed: Deed, captured: Payment, other: Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    with (
        doing(signals.payment_refunded, deed, simulator, other, dies=True),
        suppress(ProcessDied),
    ):
        refund_with_key(visitor, captured)

    again = refund_with_key(visitor, captured)

    assert simulator.totals(captured.session_id).refunded == 1_500
    assert (again.status, again.body["id"], again.body["refunded_amount"]) == (200, captured.pk, "15.00")


@pytest.mark.parametrize(
    "deed",
    [
        awaited_authorization,
        *(pytest.param(deed, marks=pytest.mark.thorough) for deed in (lost_cancelation, awaited_refund)),
    ],
)
def test_request_without_a_key_is_answered_with_what_it_has_done_itself(
    deed: Deed, captured: Payment, other: Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    with doing(signals.payment_refunded, deed, simulator, other):
        answer = visitor.post(f"staff/payments/{captured.pk}/refund/", {"amount": "15.00"})

    assert (answer.status, "operation_id" in answer.body) == (200, False)


def test_receiver_of_a_leftover_event_claims_nothing_for_the_telling_request(
    captured: Payment, other: Payment, visitor: Visitor, simulator: SimulatorService, clock: TestClock
) -> None:
    services.refund_payment(captured, amount="1.00")
    with (
        doing(signals.payment_refunded, refund, simulator, other, dies=True),
        suppress(ProcessDied),
    ):
        services.refund_payment(captured, amount="2.00")
    clock.advance(PUBLISHER_LEASE)

    with doing(signals.payment_refunded, lost_cancelation, simulator, other) as heard:
        answers = [refund_with_key(visitor, captured) for _each in range(2)]

    assert simulator.totals(captured.session_id).refunded == 1_800
    assert [answer.status for answer in answers] == [200, 200]
    assert set(heard) == {captured.collection_id}


# Other requests, and other faces


def test_payer_learns_of_the_authorization_though_the_capture_is_unknown(
    session: PaymentSession, visitor: Visitor, simulator: SimulatorService
) -> None:
    PaymentCollection.objects.update(customer=visitor.user)
    simulator.script(operation="capture", fault="drop_before")
    visitor.headers["Idempotency-Key"] = KEY

    def capture(*, session: PaymentSession, **_rows: Any) -> None:
        payment = Payment.objects.get(session=session)
        services.capture_payment(payment)

    with receiving(signals.session_authorized, capture):
        answers = [visitor.post(f"storefront/payment-sessions/{session.pk}/authorize/") for _each in range(2)]

    assert [(answer.status, answer.body["status"]) for answer in answers] == [(200, "authorized")] * 2
    assert PaymentOperation.objects.get(kind="capture").request_key is None
    assert simulator.totals(session.pk).authorizations == 1


def test_payer_whose_request_died_in_a_receiver_gets_its_session(
    collection: PaymentCollection, other: Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    collection.customer = visitor.user
    collection.save_fields("customer")
    visitor.headers["Idempotency-Key"] = KEY
    path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"

    with (
        doing(signals.session_created, lost_cancelation, simulator, other, dies=True),
        suppress(ProcessDied),
    ):
        visitor.post(path, {"provider_id": "simulator"})
    again = visitor.post(path, {"provider_id": "simulator"})

    (made,) = collection.sessions.all()
    assert again.status in (201, 202)
    assert again.body["id"] == made.pk
    assert len(simulator.intents(reference=made.pk)) <= 1


@pytest.mark.parametrize(
    ("action", "signal"),
    [("cancel", signals.collection_canceled), ("mark-as-paid", signals.collection_completed)],
    ids=["canceled", "marked_as_paid"],
)
def test_collection_is_answered_with_what_became_of_itself(  # noqa: PLR0917 - fixtures and parameters
    action: str,
    signal: Signal,
    session: PaymentSession,
    other: Payment,
    visitor: Visitor,
    simulator: SimulatorService,
) -> None:
    visitor.headers["Idempotency-Key"] = KEY
    path = f"staff/payment-collections/{session.collection_id}/{action}/"

    with doing(signal, lost_cancelation, simulator, other) as heard:
        answers = [visitor.post(path) for _each in range(2)]

    assert heard == [session.collection_id]
    assert [(answer.status, "operation_id" in answer.body) for answer in answers] == [(200, False)] * 2
    assert "Idempotent-Replayed" in answers[1].headers


def test_operator_at_a_page_is_told_what_became_of_their_own_capture(
    payment: Payment, other: Payment, admin_client: Client, simulator: SimulatorService
) -> None:
    with doing(signals.payment_captured, lost_cancelation, simulator, other):
        answer = act(admin_client, payment, "capture", amount="30.00")

    assert told(answer) == "30.00 EUR was captured. 70.00 EUR is still held."
    operation = PaymentOperation.objects.get(kind=OperationKind.CANCEL)
    assert (operation.status, operation.request_key) == (OperationStatus.UNKNOWN, None)
