"""Whatever happens in whatever order: the books make sense after every step, and agree with the ledger in the end."""

from __future__ import annotations

import os

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from payments.simulator import SimulatorService
from tests.reliability.clocks import TestClock
from tests.reliability.machine import PaymentMachine

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.thorough,
]

EXAMPLES = int(os.environ.get("PAYMENTS_MACHINE_EXAMPLES", "25"))
"""How many worlds are tried: few every day, `PAYMENTS_MACHINE_EXAMPLES=3000` for a night."""


@pytest.mark.shows(
    "Verbs, faults, crashes, webhooks twice and out of order, acts at the provider and jumps of time, in any order",
    "The invariants hold after every step; once the dust has settled, books = ledger and nothing is open",
)
def test_books_agree_with_the_ledger_whatever_happens(simulator: SimulatorService, clock: TestClock) -> None:
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    class Machine(PaymentMachine):
        def __init__(self) -> None:
            super().__init__(simulator, clock)

    run_state_machine_as_test(Machine, settings=settings)
