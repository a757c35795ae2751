"""The simulator delivers over HTTP to a running shop, and misbehaves on request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError

import payments.webhooks
from payments import services
from payments.models import Payment, PaymentCollection, PaymentSession, WebhookEvent
from payments.services.background import inbox
from payments.simulator import SimulatorService
from payments.states import EventSource, PaymentStatus, SessionStatus, WebhookEventStatus
from payments.testing import running_simulator
from tests.reliability.books import assert_books_agree
from tests.webhooks.deliveries import NEXT_SECRET, SECRET, history, intent_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def simulator(live_server: Any) -> Iterator[SimulatorService]:
    """Return a simulator that delivers to a running shop."""
    with running_simulator(
        webhook_url=f"{live_server.url}/payments/webhooks/simulator/",
        webhook_secret=(SECRET, NEXT_SECRET),
        webhook_retries=(0.05, 0.05, 0.05),
    ) as service:
        yield service


def delivered(simulator: SimulatorService) -> None:
    """Wait until all that is to be delivered is."""
    assert simulator.wait_for_webhooks(timeout=10)


@pytest.mark.shows(
    "A life at the provider alone, told by webhooks alone", "our books equal the provider's ledger"
)
def test_books_follow_the_provider_by_webhooks_alone(
    session: PaymentSession, simulator: SimulatorService, collection: PaymentCollection
) -> None:
    intent = intent_of(session)
    simulator.authorize(intent)
    simulator.capture(intent, 4000)
    simulator.capture(intent)
    simulator.refund(intent, 2500)
    delivered(simulator)
    payment = Payment.objects.get()
    assert (payment.captured_amount, payment.refunded_amount) == (Decimal(100), Decimal(25))
    assert set(session.events.filter(type__startswith="payment.").values_list("source", flat=True)) == {
        EventSource.WEBHOOK
    }
    assert_books_agree(simulator, collection)


@pytest.mark.shows("Each webhook delivered three times over HTTP", "each applied once")
def test_duplicates_over_http_are_applied_once(payment: Payment, simulator: SimulatorService) -> None:
    delivered(simulator)
    simulator.deliver(duplicate=3)
    services.capture_payment(payment)
    delivered(simulator)
    (event,) = simulator.events(type="capture.succeeded")
    assert (event.status, event.attempts) == ("delivered", 3)
    assert WebhookEvent.objects.filter(type="capture.succeeded").count() == 1
    assert history(payment.session).count("payment.captured") == 1
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("Webhooks held back and released the newest first", "the same books")
def test_held_and_reversed_webhooks_end_in_the_same_books(
    session: PaymentSession, simulator: SimulatorService, collection: PaymentCollection
) -> None:
    simulator.deliver(hold=True)
    intent = intent_of(session)
    simulator.authorize(intent)
    simulator.capture(intent, 4000)
    simulator.refund(intent, 1000)
    assert not WebhookEvent.objects.exists()
    simulator.release(reverse=True)
    delivered(simulator)
    payment = Payment.objects.get()
    assert (payment.captured_amount, payment.refunded_amount) == (Decimal(40), Decimal(10))
    assert_books_agree(simulator, collection)


@pytest.mark.shows("Two webhooks that overtake each other", "the same books")
def test_webhooks_that_overtake_each_other_end_in_the_same_books(
    session: PaymentSession, simulator: SimulatorService, collection: PaymentCollection
) -> None:
    simulator.deliver(reorder=True)
    simulator.authorize(intent_of(session))
    simulator.capture(intent_of(session))
    delivered(simulator)
    assert list(WebhookEvent.objects.order_by("created_at", "id").values_list("type", flat=True)) == [
        "capture.succeeded",
        "intent.authorized",
    ]
    assert Payment.objects.get().status == PaymentStatus.CAPTURED
    assert_books_agree(simulator, collection)


@pytest.mark.shows(
    "A webhook that comes late, after its refund was made and recorded", "nothing is done twice"
)
def test_a_late_webhook_does_nothing_twice(payment: Payment, simulator: SimulatorService) -> None:
    simulator.deliver(delay=0.3)
    services.capture_payment(payment)
    services.refund_payment(payment, amount="10.00")
    before = history(payment.session)
    delivered(simulator)
    assert WebhookEvent.objects.filter(status=WebhookEventStatus.APPLIED).count() == 3
    assert history(payment.session) == before
    assert_books_agree(simulator, payment.collection)


@pytest.mark.shows("Webhooks that never come", "“Sync” brings the books to where the provider is")
def test_what_webhooks_never_told_is_learned_by_a_sync(
    session: PaymentSession, simulator: SimulatorService, collection: PaymentCollection
) -> None:
    simulator.deliver(drop=True)
    simulator.authorize(intent_of(session))
    simulator.capture(intent_of(session), 4000)
    delivered(simulator)
    assert not WebhookEvent.objects.exists()
    services.sync_payment_session(session)
    assert session.status == SessionStatus.AUTHORIZED
    assert Payment.objects.get().captured_amount == Decimal(40)
    assert_books_agree(simulator, collection)


@pytest.mark.shows("The shop answers 503 twice, then 200", "the provider sends again; applied once")
def test_what_could_not_be_stored_is_delivered_again(
    payment: Payment, simulator: SimulatorService, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(simulator)
    failures = [OperationalError("away"), OperationalError("still away")]
    monkeypatch.setattr(payments.webhooks, "receive_webhook", _failing_first(inbox.receive_webhook, failures))
    services.capture_payment(payment)
    delivered(simulator)
    (event,) = simulator.events(type="capture.succeeded")
    assert (event.status, event.attempts, event.last_answer) == ("delivered", 3, "200")
    assert WebhookEvent.objects.filter(type="capture.succeeded").count() == 1


@pytest.mark.shows("The shop is given other secrets than the provider signs with", "400 until that is mended")
def test_a_wrong_secret_is_refused_over_http(session: PaymentSession, simulator: SimulatorService) -> None:
    simulator.settings.webhook_secrets = ("whsec_wrong",)
    simulator.authorize(intent_of(session))
    delivered(simulator)
    (event,) = simulator.events(type="intent.authorized")
    assert (event.status, event.last_answer) == ("failed", "400")
    assert not WebhookEvent.objects.exists()
    simulator.settings.webhook_secrets = (NEXT_SECRET,)
    simulator.redeliver(event.id)
    delivered(simulator)
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


@pytest.mark.shows(
    "The provider answers slowly while webhooks arrive", "each is answered in well under a second"
)
def test_a_slow_provider_does_not_slow_its_webhooks(
    session: PaymentSession, simulator: SimulatorService
) -> None:
    simulator.script(operation="retrieve", fault="latency", seconds=5, times=None)
    started = time.monotonic()
    simulator.authorize(intent_of(session))
    delivered(simulator)
    assert time.monotonic() - started < 3
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


def _failing_first(function: Callable[..., Any], errors: list[OperationalError]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if errors:
            raise errors.pop()
        return function(*args, **kwargs)

    return run
