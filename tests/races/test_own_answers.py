"""Requests at once: each is answered with what itself has done, never with another's operation."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import Payment
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.api.client import Answer, Visitor
from tests.races.interleavings import interleave

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.shows(
    "A refund that is left open while another one is answered", "each answer names its own operation, or none"
)
@pytest.mark.parametrize("point", [Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDED])
def test_a_refund_is_never_answered_with_another_ones_operation(
    point: Checkpoint, captured: Payment, simulator: SimulatorService, admin_user: Any
) -> None:
    answers: list[Answer] = []

    def refund(amount: str) -> None:
        answers.append(
            Visitor(user=admin_user).post(f"staff/payments/{captured.pk}/refund/", {"amount": amount})
        )

    def refund_without_answer() -> None:
        simulator.script(operation="refund", fault="drop_before")
        refund("30.00")

    interleave(lambda: refund("20.00"), point, refund_without_answer, of=OperationKind.REFUND)

    unknown, done = answers
    assert (unknown.status, done.status) == (202, 200)
    assert "operation_id" not in done.body
