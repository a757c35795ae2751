"""A receiver that raises loses nothing, holds up nobody, and is told again by the backoff, up to its end."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from payments import services, signals
from payments.models import Payment, PaymentEvent, PaymentSession
from payments.services.ledger import outbox
from payments.services.ledger.locks import RETRIES
from tests.outbox.listeners import Listener, published_in_order, receiving
from tests.reliability.clocks import TestClock

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    """Raise a number of times, then take what comes; it has no name, as a partial hasn't."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self, **_values: Any) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise ValueError("the shop's mail server is away")


@pytest.mark.shows(
    "A receiver raises", "logged; the others hear it, what comes next is told, it is told again later"
)
def test_a_receiver_that_raises_holds_up_nobody(
    payment: Payment, clock: TestClock, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Receiver(failures=1)
    with receiving(signals.payment_captured, broken):
        services.capture_payment(payment)
        assert listener.types()[-2:] == ["payment.captured", "collection.completed"]
        assert broken.calls == 1
        assert "the shop's mail server is away" in caplog.text
        assert services.publish_due() == 0
        clock.advance(RETRIES[0])
        assert services.publish_due() == 1
        assert broken.calls == 2
        clock.advance(RETRIES[-1])
        assert services.publish_due() == 0
    assert not PaymentEvent.objects.exclude(next_attempt_at=None).exists()


@pytest.mark.shows(
    "A receiver raises that was connected before another", "the other hears the event all the same"
)
@pytest.mark.parametrize("name", [pytest.param("", id="a_partial"), pytest.param("notify", id="a_function")])
def test_a_receiver_that_raises_hides_the_event_from_no_other(
    name: str, payment: Payment, caplog: pytest.LogCaptureFixture
) -> None:
    def notify(**_values: Any) -> None:
        raise ValueError

    first, second = notify if name else partial(notify), Receiver(failures=0)
    with receiving(signals.payment_captured, first), receiving(signals.payment_captured, second):
        services.capture_payment(payment)
    assert second.calls == 1
    assert "notify" in caplog.text


@pytest.mark.shows("A receiver that always raises", "told again after 1m 5m 15m 1h 6h 24h, then no more")
def test_a_receiver_that_always_raises_is_told_by_the_backoff_up_to_its_end(
    payment: Payment, clock: TestClock
) -> None:
    broken, waits = Receiver(failures=99), []
    with receiving(signals.payment_captured, broken):
        services.capture_payment(payment)
        event = PaymentEvent.objects.get(type="payment.captured")
        while event.next_attempt_at is not None:
            waits.append(round((event.next_attempt_at - timezone.now()).total_seconds(), -1))
            clock.advance_to(event.next_attempt_at)
            assert services.publish_due() == 1
            event.refresh_from_db()
    assert waits == [round(wait.total_seconds(), -1) for wait in RETRIES]
    assert (broken.calls, event.failed_attempts) == (len(RETRIES) + 1,) * 2
    assert event.published_at is not None


@pytest.mark.shows("A receiver that raises for one collection", "the events of the others are told meanwhile")
def test_a_failing_event_holds_up_no_other_collection(
    payment: Payment, clock: TestClock, listener: Listener
) -> None:
    with receiving(signals.payment_captured, Receiver(failures=99)):
        services.capture_payment(payment)
        services.create_payment_collection(amount="5.00", currency_code="eur")
    assert listener.types()[-1] == "collection.created"
    assert not PaymentEvent.objects.unpublished().exists()


@pytest.mark.shows("The worker dies while it tells an event again", "told again after its lease")
def test_a_retry_whose_worker_dies_is_tried_again(payment: Payment, clock: TestClock) -> None:
    class Killed(KeyboardInterrupt):
        pass

    def die(**_values: Any) -> None:
        raise Killed

    with receiving(signals.payment_captured, Receiver(failures=1)):
        services.capture_payment(payment)
    clock.advance(RETRIES[0])
    with receiving(signals.payment_captured, die), pytest.raises(Killed):
        services.publish_due()
    heard = Receiver(failures=0)
    with receiving(signals.payment_captured, heard):
        assert services.publish_due() == 0
        clock.advance(outbox.LEASE)
        assert services.publish_due() == 1
    assert heard.calls == 1


def test_a_receiver_that_raises_costs_the_caller_nothing(session: PaymentSession, listener: Listener) -> None:
    with receiving(signals.session_authorized, Receiver(failures=99)):
        authorized = services.authorize_payment_session(session)
    assert authorized.payment is not None
    published_in_order(listener)
