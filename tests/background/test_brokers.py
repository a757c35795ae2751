"""Celery's own workers and scheduler on real brokers: one is killed while it works, and another finishes the work."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.utils import timezone

from payments import services
from payments.exceptions import OutcomeUnknownError
from payments.models import PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession, WebhookEvent
from payments.simulator import SimulatorService
from payments.states import WebhookEventStatus
from tests.background.brokers import BROKERS, broker
from tests.background.conftest import MakeHints
from tests.background.test_processes import wait_until
from tests.background.workers import celery_worker, kill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

HINTS: Final = 6
CAPTURES: Final = 4


def lose_captures(simulator: SimulatorService, number: int) -> list[PaymentSession]:
    """Capture payments, and hear nothing of it: the simulator has done every other one."""
    sessions = []
    for position in range(number):
        collection = services.create_payment_collection(amount="10.00", currency_code="eur")
        session = services.create_payment_session(collection, provider_id="simulator")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        simulator.script(operation="capture", fault="drop_after" if position % 2 else "drop_before")
        with suppress(OutcomeUnknownError):
            services.capture_payment(payment)
        sessions.append(session)
    PaymentOperation.objects.open().update(next_attempt_at=timezone.now())
    return sessions


def end_leases() -> None:
    """Have the leases of the dead worker be over, as they are after two minutes."""
    past = timezone.now() - timedelta(seconds=1)
    leases: list[Any] = [WebhookEvent.objects, PaymentOperation.objects, PaymentEvent.objects]
    for rows in leases:
        rows.filter(lease_expires_at__isnull=False).update(lease_expires_at=past)
    PaymentOperation.objects.open().update(next_attempt_at=past)


@pytest.mark.shows(
    "A Celery worker is killed while it works, on RabbitMQ and on Redis, and another is started",
    "The other one finishes everything, and everything is done once",
)
@pytest.mark.parametrize("name", BROKERS)
def test_work_of_a_killed_worker_is_finished_by_another(
    make_hints: MakeHints, simulator: SimulatorService, tmp_path: Path, name: str
) -> None:
    make_hints(HINTS)
    captured = lose_captures(simulator, CAPTURES)
    simulator.script(operation="retrieve", fault="latency", seconds=0.5, times=None)

    def is_done() -> bool:
        waiting = WebhookEvent.objects.exclude(status=WebhookEventStatus.APPLIED)
        return not (waiting.exists() or PaymentOperation.objects.open().exists())

    with broker(name) as (url, queue):
        with celery_worker(url, queue, tmp_path) as victim:
            assert wait_until(lambda: len(simulator.calls(operation="retrieve")) >= 3)
            kill(victim)
            victim.wait()
        assert not is_done()
        end_leases()
        with celery_worker(url, queue, tmp_path):
            assert wait_until(is_done)
    assert PaymentEvent.objects.filter(type="session.authorized").count() == HINTS + CAPTURES
    assert Counter(PaymentEvent.objects.values_list("type", flat=True))["payment.captured"] == CAPTURES
    assert [simulator.totals(session.pk).captured for session in captured] == [1000] * CAPTURES
    totals = PaymentCollection.objects.filter(sessions__in=captured).values_list("captured_amount", flat=True)
    assert list(totals) == [10] * CAPTURES
