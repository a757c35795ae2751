"""Real worker processes: they stop when they are told to, after the batch in hand, and share what is due."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from payments.models import PaymentEvent, PaymentSession, WebhookEvent
from payments.services.background.jobs import JOBS
from payments.simulator import SimulatorService
from payments.states import SessionStatus, WebhookEventStatus
from tests.background.conftest import MakeHints
from tests.background.workers import PATIENCE, output_of, worker
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.shows("A worker is sent SIGTERM in the middle of a batch", "it finishes the batch, and stops")
def test_a_worker_finishes_the_batch_in_hand(make_hints: MakeHints, simulator: SimulatorService) -> None:
    hints = make_hints(4)
    simulator.script(operation="retrieve", fault="latency", seconds=0.5, times=None)
    with worker("payments_worker", "inbox", "--limit", "3", "-v", "2") as process:
        assert wait_until(lambda: len(simulator.calls(operation="retrieve")) >= 1)
        process.send_signal(signal.SIGTERM)
        lines = output_of(process)
    assert process.returncode == 0
    assert lines[1:] == [
        *(f"  {hint.pk} intent.changed: applied" for hint in hints[:3]),
        "inbox: 3",
        "Stopped.",
    ]
    assert list(WebhookEvent.objects.order_by("created_at", "id").values_list("status", flat=True)) == [
        *[WebhookEventStatus.APPLIED] * 3,
        WebhookEventStatus.RECEIVED,
    ]


@pytest.mark.shows("A worker is sent SIGTERM while it has nothing to do", "it stops at once")
def test_an_idle_worker_stops_at_once(transactional_db: None, simulator: SimulatorService) -> None:
    with worker("payments_worker", "--interval", "3600", "--verbosity", "2") as process:
        assert process.poll() is None
        time.sleep(0.1)
        assert wait_until(lambda: _is_catching_sigterm(process.pid))
        process.send_signal(signal.SIGTERM)
        first, *lines = output_of(process)
    assert first.startswith(f"Running {', '.join(JOBS)} on the database ")
    assert first.endswith(", every 3600 s. Ctrl-C or SIGTERM stops it.")
    assert lines == ["Stopped."]
    assert process.returncode == 0


@pytest.mark.thorough
@pytest.mark.shows(
    "Three worker processes side by side", "each event is asked about and applied by one of them"
)
def test_worker_processes_share_what_is_due(make_hints: MakeHints, simulator: SimulatorService) -> None:
    make_hints(8)
    simulator.script(operation="retrieve", fault="latency", seconds=0.05, times=None)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(worker("payments_worker", "inbox", "outbox", "--once", "--limit", "2"))
            for _each in range(3)
        ]
        outputs = together(*[lambda process=process: output_of(process) for process in processes]).values
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    counts = [int(lines[0].removeprefix("inbox: ")) for lines in outputs]
    assert sum(counts) == 8
    assert Counter(call.intent for call in simulator.calls(operation="retrieve")).most_common(1)[0][1] == 1
    assert set(PaymentSession.objects.values_list("status", flat=True)) == {SessionStatus.AUTHORIZED}
    assert PaymentEvent.objects.filter(type="session.authorized").count() == 8
    assert not PaymentEvent.objects.unpublished().exists()


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Wait until something is so, and return whether it came to that."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.02)
    return False


def _is_catching_sigterm(pid: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
