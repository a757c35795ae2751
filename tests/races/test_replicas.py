"""Reads that a router sends to a replica: nothing that decides about money is among them.

A replica shows rows as they were a moment ago, and none of what a transaction has written so far. Whatever is read
under a lock, or to find out what is due, is read where the lock is.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from payments import models, services, signals
from payments.exceptions import OutcomeUnknownError
from payments.providers import SessionFact
from payments.simulator import SimulatorService
from payments.states import EventSource, OperationStatus, SessionStatus, WebhookEventStatus
from payments.testing import scripted_provider
from payments.testing.factories import CustomerFactory
from tests.admin.acting import confirm, open_form
from tests.api.client import Visitor
from tests.outbox.listeners import Listener, receiving
from tests.races.absent.base import AbsentError
from tests.races.meanwhile import tell
from tests.races.places import PUBLISHER_LEASE
from tests.races.replicas import reads_from_a_replica
from tests.reliability.books import assert_books_agree, assert_invariants
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import ProcessDied
from tests.shop.models import Order
from tests.webhooks.deliveries import bodies, deliver

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _rows(transactional_db: None, simulator: SimulatorService) -> None:
    services.list_providers()  # whoever asks first has the missing rows made


def assert_right(simulator: SimulatorService, collection: models.PaymentCollection) -> None:
    """See that a collection's books are those of the bank, and that nothing is left open."""
    assert_invariants(collection)
    assert_books_agree(simulator, collection)
    assert not models.PaymentOperation.objects.open().exists()


def test_order_that_is_paid_captured_and_refunded_has_the_banks_books(simulator: SimulatorService) -> None:
    with reads_from_a_replica():
        collection = services.create_payment_collection(amount="100.00", currency_code="eur")
        session = services.create_payment_session(collection, provider_id="simulator")
        session = services.authorize_payment_session(session)
        payment = session.payment
        assert payment is not None
        services.capture_payment(payment, amount="40.00")
        services.capture_payment(payment, amount="60.00")
        payment = services.refund_payment(payment, amount="10.00")
        stated = (payment.captured_amount, payment.refunded_amount)

    assert stated == (Decimal(100), Decimal(10))
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("completed", Decimal(100))
    assert (collection.captured_amount, collection.refunded_amount) == (Decimal(100), Decimal(10))
    assert_right(simulator, collection)


# Sessions


def test_session_that_replaces_another(session: models.PaymentSession, simulator: SimulatorService) -> None:
    collection = session.collection

    with reads_from_a_replica():
        services.create_payment_session(collection, provider_id="simulator", amount="60.00")

    statuses = collection.sessions.order_by("created_at", "id").values_list("status", flat=True)
    assert list(statuses) == ["canceled", "pending"]
    assert_right(simulator, collection)


def test_session_that_is_changed(session: models.PaymentSession, simulator: SimulatorService) -> None:
    with reads_from_a_replica():
        services.update_payment_session(session, amount="60.00")

    session.refresh_from_db()
    assert (session.amount, [intent.amount for intent in simulator.intents()]) == (Decimal(60), [6_000])


def test_session_that_is_refused_and_authorized_after_all(
    session: models.PaymentSession, simulator: SimulatorService
) -> None:
    simulator.script(operation="authorize", fault="decline")

    with reads_from_a_replica():
        refused = services.authorize_payment_session(session).status
        services.authorize_payment_session(session)

    assert refused == SessionStatus.ERROR
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert_right(simulator, session.collection)


def test_session_that_is_canceled(session: models.PaymentSession, simulator: SimulatorService) -> None:
    collection = session.collection

    with reads_from_a_replica():
        services.cancel_payment_session(session)

    assert simulator.intents()[0].status == "canceled"
    assert_right(simulator, collection)


def test_session_whose_hold_is_released(payment: models.Payment, simulator: SimulatorService) -> None:
    session = models.PaymentSession.objects.select_related("authorized_payment", "collection").get()

    with reads_from_a_replica():
        services.cancel_payment_session(session)

    assert simulator.totals(session.pk).canceled == 10_000
    assert_right(simulator, payment.collection)


def test_session_that_is_synchronized(session: models.PaymentSession, simulator: SimulatorService) -> None:
    simulator.authorize(simulator.intents()[0].id)

    with reads_from_a_replica():
        services.sync_payment_session(session)

    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert_right(simulator, session.collection)


# Payments and collections


def test_payment_that_is_released(payment: models.Payment, simulator: SimulatorService) -> None:
    with reads_from_a_replica():
        services.cancel_payment(payment)

    assert simulator.totals(payment.session_id).canceled == 10_000
    assert_right(simulator, payment.collection)


def test_collection_that_gets_another_amount(
    session: models.PaymentSession, simulator: SimulatorService
) -> None:
    collection = session.collection

    with reads_from_a_replica():
        services.update_payment_collection(collection, amount="80.00")

    session.refresh_from_db()
    assert (session.amount, [intent.amount for intent in simulator.intents()]) == (Decimal(80), [8_000])
    assert_right(simulator, collection)


def test_collection_that_is_canceled(
    collection: models.PaymentCollection, simulator: SimulatorService
) -> None:
    held = services.create_payment_session(collection, provider_id="simulator", amount="60.00")
    services.authorize_payment_session(held)
    services.create_payment_session(collection, provider_id="simulator", amount="40.00")

    with reads_from_a_replica():
        services.cancel_payment_collection(collection)

    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("canceled", Decimal(0))
    assert_right(simulator, collection)


def test_collection_that_is_marked_as_paid(
    collection: models.PaymentCollection, simulator: SimulatorService
) -> None:
    held = services.create_payment_session(collection, provider_id="simulator", amount="60.00")
    services.authorize_payment_session(held)
    services.create_payment_session(collection, provider_id="simulator", amount="30.00")

    with reads_from_a_replica():
        services.mark_payment_collection_as_paid(collection)

    collection.refresh_from_db()
    assert (collection.authorized_amount, collection.captured_amount) == (Decimal(100), Decimal(40))
    assert models.Payment.objects.get(provider="system").amount == Decimal(40)
    assert not models.PaymentOperation.objects.open().exists()


@pytest.mark.parametrize("currency_code", ["eur", "usd"])
def test_order_that_costs_another_amount_or_currency(currency_code: str, simulator: SimulatorService) -> None:
    order = Order.objects.create(number="A-1", total=Decimal(80), currency_code=currency_code)
    before = services.create_payment_collection(amount="100.00", currency_code="eur", payable=order)
    services.create_payment_session(before, provider_id="simulator")
    asked = services.ResolvedPayable(payable=order, amount="80.00", currency_code=currency_code)

    with reads_from_a_replica():
        collection, is_new = services.open_payment_collection(asked)
        again, is_newer = services.open_payment_collection(asked)

    assert (is_new, is_newer, again) == (currency_code == "usd", False, collection)
    collection.refresh_from_db()
    assert (collection.amount, collection.currency_code) == (Decimal(80), currency_code)
    before.refresh_from_db()
    assert before.status == ("awaiting" if currency_code == "eur" else "canceled")


def test_operation_that_a_person_resolves(payment: models.Payment, simulator: SimulatorService) -> None:
    simulator.script(operation="capture", fault="drop_before")
    with suppress(OutcomeUnknownError):
        services.capture_payment(payment)
    operation = models.PaymentOperation.objects.get(kind="capture")
    operation.require_attention(detail="unresolved")
    operation.save()

    with reads_from_a_replica():
        services.resolve_operation(operation, has_happened=False, reason="It isn't on the statement.")

    assert payment.captures.get().status == "failed"
    assert_right(simulator, payment.collection)


# What is told, and by whom


def test_event_of_the_bank(session: models.PaymentSession, simulator: SimulatorService) -> None:
    simulator.authorize(simulator.intents()[0].id)
    (body,) = bodies(simulator, session, "intent.authorized")

    with reads_from_a_replica():
        answers = [deliver(body) for _each in range(2)]

    assert [(answer.status, answer.is_duplicate) for answer in answers] == [(200, False), (200, True)]
    assert models.WebhookEvent.objects.get().status == WebhookEventStatus.APPLIED
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert_right(simulator, session.collection)


def test_event_that_was_left_to_the_worker(
    session: models.PaymentSession, simulator: SimulatorService
) -> None:
    simulator.authorize(simulator.intents()[0].id)
    event = models.WebhookEvent(
        provider=session.provider,
        event_id="evt_1",
        type="intent.changed",
        reported_session_id=session.pk,
        next_attempt_at=timezone.now(),
    )
    event.save(force_insert=True)

    with reads_from_a_replica():
        assert services.process_due_events() == 1

    event.refresh_from_db()
    assert event.status == WebhookEventStatus.APPLIED
    assert_right(simulator, session.collection)


def test_event_that_is_replayed(session: models.PaymentSession, simulator: SimulatorService) -> None:
    simulator.authorize(simulator.intents()[0].id)
    tell(simulator, session)
    event = models.WebhookEvent.objects.get()

    with reads_from_a_replica():
        services.replay_webhook_event(event)

    assert session.events.filter(type="webhook.replayed").exists()
    assert_right(simulator, session.collection)


def test_fact_of_a_capture_in_the_banks_dashboard(
    payment: models.Payment, simulator: SimulatorService
) -> None:
    session = models.PaymentSession.objects.select_related("authorized_payment", "collection").get()
    fact = SessionFact(
        currency_code="eur",
        status=SessionStatus.AUTHORIZED,
        authorized_amount=Decimal(100),
        captured_amount=Decimal(30),
    )

    with reads_from_a_replica():
        services.record_fact(session, fact, origin=services.Origin(source=EventSource.WEBHOOK))

    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(30)
    assert_invariants(payment.collection)


def test_receivers_are_given_rows_of_the_writer(session: models.PaymentSession) -> None:
    seen: list[tuple[Any, Any]] = []

    def receive(*, payment: models.Payment, collection: models.PaymentCollection, **_rows: Any) -> None:
        seen.append((payment.captured_amount, collection.captured_amount))

    with reads_from_a_replica():
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        with receiving(signals.payment_captured, receive):
            services.capture_payment(payment, amount="40.00")

    assert seen == [(Decimal(40), Decimal(40))]


# The workers


def test_reconciler(payment: models.Payment, simulator: SimulatorService, clock: TestClock) -> None:
    for fault, amount in (("drop_before", "30.00"), ("drop_after", "40.00")):
        simulator.script(operation="capture", fault=fault)
        with suppress(OutcomeUnknownError):
            services.capture_payment(payment, amount=amount)
    clock.advance(HOUR)

    with reads_from_a_replica():
        assert services.reconcile_due() == 2

    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(70)
    assert_right(simulator, payment.collection)


def test_outbox(session: models.PaymentSession, clock: TestClock) -> None:
    def die(**_rows: Any) -> None:
        raise ProcessDied

    with receiving(signals.session_authorized, die), suppress(ProcessDied):
        services.authorize_payment_session(session)
    clock.advance(PUBLISHER_LEASE)

    with Listener() as listener, reads_from_a_replica():
        services.publish_due()

    assert "session.authorized" in listener.types()
    assert not models.PaymentEvent.objects.unpublished().exists()


def test_sweep(payment: models.Payment, simulator: SimulatorService) -> None:
    other = services.create_payment_collection(amount="50.00", currency_code="eur")
    session = services.create_payment_session(other, provider_id="simulator")
    models.Payment.objects.update(expires_at=timezone.now() - HOUR)
    models.PaymentSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() - HOUR)

    with reads_from_a_replica():
        assert services.sweep_expired().canceled == 2

    assert [intent.status for intent in simulator.intents()] == ["canceled", "canceled"]
    for collection in (payment.collection, other):
        assert_right(simulator, collection)


def test_installments_that_are_made_told_of_and_charged() -> None:
    with scripted_provider():
        services.list_providers()
        customer = CustomerFactory.create()

        with reads_from_a_replica():
            services.create_account_holder(customer, provider_id="scripted")
            collection = services.create_payment_collection(
                amount="100.00", currency_code="eur", customer=customer
            )
            plan: dict[str, Any] = {"count": 2, "interval": "year", "is_automatic": True}
            services.create_installment_plan(collection, provider_id="scripted", **plan)
            told = services.notify_due_installments()
            charged = services.charge_due_installments()
            again = (services.notify_due_installments(), services.charge_due_installments())

    assert (told, charged, again) == (1, 1, (0, 0))
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("partially_authorized", Decimal(50))


# Requests


@pytest.fixture
def visitor(admin_user: Any) -> Visitor:
    """Return an operator who is also a customer, and sends all under one key."""
    visitor = Visitor(user=admin_user)
    visitor.headers["Idempotency-Key"] = "once"
    return visitor


def test_request_that_is_sent_again_is_answered_again(
    payment: models.Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    path = f"staff/payments/{payment.pk}/capture/"

    with reads_from_a_replica():
        answers = [visitor.post(path, {"amount": "30.00"}) for _each in range(2)]

    assert [(answer.status, answer.body["captured_amount"]) for answer in answers] == [(200, "30.00")] * 2
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert simulator.totals(payment.session_id).captured == 3_000
    assert models.IdempotencyRecord.objects.get().response_status == 200
    assert_right(simulator, payment.collection)


def test_request_whose_outcome_is_unknown_finds_its_operation_again(
    payment: models.Payment, visitor: Visitor, simulator: SimulatorService
) -> None:
    simulator.script(operation="capture", fault="drop_after")
    path = f"staff/payments/{payment.pk}/capture/"

    with reads_from_a_replica():
        answers = [visitor.post(path, {"amount": "30.00"}) for _each in range(2)]

    assert [answer.status for answer in answers] == [202, 202]
    (operation,) = models.PaymentOperation.objects.filter(kind="capture")
    assert operation.status == OperationStatus.UNKNOWN
    assert {answer.body["operation_id"] for answer in answers} == {operation.pk}
    assert simulator.totals(payment.session_id).captured == 3_000


def test_payer_who_opens_a_session_and_authorizes_it(visitor: Visitor, simulator: SimulatorService) -> None:
    Order.objects.create(number="A-1", total=Decimal(100), currency_code="eur", customer=visitor.user)

    with reads_from_a_replica():
        opened = visitor.post("storefront/payment-collections/", {"reference": "A-1"})
        path = f"storefront/payment-collections/{opened.body['id']}/payment-sessions/"
        created = visitor.post(path, {"provider_id": "simulator"})
        authorized = visitor.post(f"storefront/payment-sessions/{created.body['id']}/authorize/")

    assert (opened.status, created.status, authorized.status) == (201, 201, 200)
    assert authorized.body["status"] == "authorized"
    assert_right(simulator, models.PaymentCollection.objects.get())


@pytest.mark.parametrize("action", ["cancel", "mark-as-paid"])
def test_operator_who_acts_upon_a_collection(
    action: str, session: models.PaymentSession, visitor: Visitor, simulator: SimulatorService
) -> None:
    with reads_from_a_replica():
        answer = visitor.post(f"staff/payment-collections/{session.collection_id}/{action}/")

    assert (answer.status, answer.body["status"]) == (
        200,
        "canceled" if action == "cancel" else "completed",
    )
    assert simulator.intents()[0].status == "canceled"


def test_operator_who_captures_at_a_page(
    payment: models.Payment, admin_client: Client, simulator: SimulatorService
) -> None:
    form = open_form(admin_client, payment, "capture")

    with reads_from_a_replica():
        answers = [confirm(admin_client, payment, "capture", form, amount="30.00") for _each in range(2)]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert simulator.totals(payment.session_id).captured == 3_000
    assert_right(simulator, payment.collection)


# Lists


@pytest.mark.parametrize(
    "address",
    [
        *(
            f"/payments/staff/{name}/"
            for name in (
                "payments",
                "payment-collections",
                "payment-sessions",
                "operations",
                "webhook-events",
            )
        ),
        *(
            f"/admin/payments/{name}/"
            for name in ("payment", "paymentcollection", "paymentsession", "paymentoperation", "webhookevent")
        ),
        "/admin/payments/paymentcollection/overview/",
        "/admin/payments/paymentcollection/overview/export/",
    ],
)
def test_list_is_read_from_the_replica(address: str, payment: models.Payment, admin_client: Client) -> None:
    was_read = pytest.raises(AssertionError, match="was read from the replica")

    with was_read, reads_from_a_replica(), suppress(AbsentError):
        b"".join(admin_client.get(address))
