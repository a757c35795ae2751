"""Real processes are killed by SIGKILL at each point of a capture and a refund; the books end as the ledger has it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from payments.models import Payment, PaymentOperation
from payments.services import capture_payment, refund_payment
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import (
    assert_books_agree,
    assert_invariants,
    assert_references_moved_once,
    event_count,
    row_counts,
)
from tests.reliability.clocks import TestClock
from tests.reliability.news import thoroughly

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
EVENTS = {"capture": "payment.captured", "refund": "payment.refunded"}
USUAL = {
    ("capture", Checkpoint.CLAIMING),
    ("capture", Checkpoint.CALLED),
    ("refund", Checkpoint.RECORDING),
}


def kill(payment: Payment, verb: str, point: Checkpoint) -> None:
    """Run a verb in a process of its own that is killed at a point."""
    order = {
        "database": {name: value for name, value in connection.settings_dict.items() if name != "TEST"},
        "payments": settings.PAYMENTS,
        "verb": verb,
        "payment": payment.pk,
        "point": point,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.victim"],
        input=json.dumps(order, default=str),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.shows(
    "A real process is killed by SIGKILL at any point of a capture or refund",
    "Nothing or exactly one movement of money, one event, books = ledger; what wasn't done can be asked again",
)
@pytest.mark.parametrize(
    ("verb", "point"),
    [
        (verb, point) if (verb, point) in USUAL else thoroughly(verb, point)
        for verb in EVENTS
        for point in Checkpoint
    ],
)
def test_killed_process_loses_and_doubles_nothing(
    simulator: SimulatorService, clock: TestClock, payment: Payment, verb: str, point: Checkpoint
) -> None:
    if verb == "refund":
        capture_payment(payment)
    before = row_counts(payment.collection)
    told = event_count(payment.collection, EVENTS[verb])
    kill(payment, verb, point)
    assert all(row_counts(payment.collection)[model] >= count for model, count in before.items())
    assert_invariants(payment.collection)
    let_time_pass(clock)
    if point == Checkpoint.CLAIMING:
        assert row_counts(payment.collection) == before
        assert_books_agree(simulator, payment.collection)
        (capture_payment if verb == "capture" else refund_payment)(payment, amount="60.00")
    payment.refresh_from_db()
    assert payment.captured_amount == (60 if verb == "capture" else 100)
    assert payment.refunded_amount == (0 if verb == "capture" else 60)
    assert event_count(payment.collection, EVENTS[verb]) == told + 1
    assert not PaymentOperation.objects.open().exists()
    assert payment.collection.events.filter(published_at=None).count() == 0
    assert_invariants(payment.collection)
    assert_books_agree(simulator, payment.collection)
    assert_references_moved_once(simulator, payment.session)
