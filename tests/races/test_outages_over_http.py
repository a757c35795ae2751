"""The database goes away during a request: the answer never says that nothing was done where something may have been.

A client does what it is told: after 503 it sends the same again. So what may have reached the bank is 202, with the
address that tells later, or it is what has really become of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from payments.models import Payment, PaymentCollection, PaymentOperation
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.admin.acting import confirm, open_form
from tests.api.client import ROOT, Answer, Visitor
from tests.races.locks import connection_number, kill_connection
from tests.races.outages import (
    FEW,
    LOSSES,
    MOSTLY_THOROUGH,
    Loss,
    away_from,
    lost_before_the_claim_is_written,
    when,
)
from tests.races.places import Checkpoint
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import assert_books_agree, assert_references_moved_once, row_counts
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import Payer, authorized, captured, initiated, opened
from tests.threads import aside

pytestmark = pytest.mark.django_db(transaction=True)

PAYER = Payer(provider_id="simulator")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Say what is sent to which address, from where it starts, and what it asks a bank for.

    `path` names the collection, its session and its payment in braces.
    """

    path: str
    kind: OperationKind
    prepare: Callable[[Payer], PaymentCollection]
    method: str = "POST"
    body: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method}_{self.path}"

    def send(self, visitor: Visitor, collection: PaymentCollection) -> Answer:
        """Send it."""
        session = collection.sessions.first()
        payment = collection.payments.first()
        keys = {
            "collection": collection.pk,
            "session": "" if session is None else session.pk,
            "payment": "" if payment is None else payment.pk,
        }
        return visitor.send(self.method, self.path.format(**keys), self.body)


CAPTURE = Asked(
    path="staff/payments/{payment}/capture/",
    kind=OperationKind.CAPTURE,
    prepare=authorized,
    body={"amount": "30.00"},
)
REFUND = Asked(
    path="staff/payments/{payment}/refund/",
    kind=OperationKind.REFUND,
    prepare=captured,
    body={"amount": "30.00"},
)
AUTHORIZE = Asked(
    path="storefront/payment-sessions/{session}/authorize/", kind=OperationKind.AUTHORIZE, prepare=initiated
)
OTHERS = (
    Asked(path="staff/payments/{payment}/cancel/", kind=OperationKind.CANCEL, prepare=authorized),
    Asked(path="staff/payment-sessions/{session}/cancel/", kind=OperationKind.CANCEL, prepare=initiated),
    Asked(
        path="staff/payment-sessions/{session}/authorize/", kind=OperationKind.AUTHORIZE, prepare=initiated
    ),
    Asked(
        path="staff/payment-collections/{collection}/cancel/", kind=OperationKind.CANCEL, prepare=initiated
    ),
    Asked(
        path="staff/payment-collections/{collection}/mark-as-paid/",
        kind=OperationKind.CANCEL,
        prepare=initiated,
    ),
    Asked(
        path="staff/payment-collections/{collection}/",
        kind=OperationKind.UPDATE,
        prepare=initiated,
        method="PATCH",
        body={"amount": "80.00"},
    ),
    Asked(
        path="storefront/payment-collections/{collection}/payment-sessions/",
        kind=OperationKind.INITIATE,
        prepare=opened,
        body={"provider_id": "simulator"},
    ),
    Asked(path="storefront/payment-sessions/{session}/cancel/", kind=OperationKind.CANCEL, prepare=initiated),
    Asked(
        path="storefront/payment-sessions/{session}/",
        kind=OperationKind.UPDATE,
        prepare=initiated,
        method="PATCH",
        body={"amount": "60.00"},
    ),
)
ALL = (CAPTURE, REFUND, AUTHORIZE, *OTHERS)
USUAL = (
    REFUND,
    AUTHORIZE,
    *(each for each in OTHERS if "{collection}" in each.path and each.method == "POST"),
)
"""Besides the capture: a refund, what a payer asks for, and what is asked of a collection."""


def everyday(asked: Asked, name: str) -> Any:
    """Return a case; all but a few of them take part in the thorough run only."""
    is_everyday = asked is CAPTURE or (name == "while_the_bank_acts" and asked in USUAL)
    marks = () if is_everyday else pytest.mark.thorough
    return pytest.param(asked, LOSSES[name], id=f"{asked}-{name}", marks=marks)


@pytest.fixture
def visitor(admin_user: Any) -> Visitor:
    """Return an operator who is also the customer of whatever there is to pay."""
    return Visitor(user=admin_user)


def prepared(asked: Asked, visitor: Visitor) -> PaymentCollection:
    """Return the collection that a request is about."""
    collection = asked.prepare(PAYER)
    collection.customer = visitor.user
    collection.save_fields("customer")
    return collection


@pytest.mark.parametrize(("asked", "loss"), [everyday(asked, name) for asked in ALL for name in LOSSES])
def test_lost_connection_is_202_or_the_true_result(
    asked: Asked, loss: Loss, visitor: Visitor, simulator: SimulatorService, clock: TestClock
) -> None:
    collection = prepared(asked, visitor)

    with loss(asked.kind):
        answer = asked.send(visitor, collection)

    assert answer.status in (200, 201, 202), answer.body
    if answer.status == 202:
        assert_tells_where_to_look(answer, asked, visitor)
    else:
        assert_carried_out(asked, collection, simulator)
    let_time_pass(clock)
    assert_carried_out(asked, collection, simulator)


def assert_tells_where_to_look(answer: Answer, asked: Asked, visitor: Visitor) -> None:
    """See that a 202 names an operation that may have been carried out, and the address that tells later."""
    address = answer.headers["Location"].removeprefix(f"{ROOT}/")
    found = visitor.get(address)
    assert found.status == 200
    if asked.path.startswith("staff/"):
        assert found.body["id"] == answer.body["operation_id"]
        assert found.body["kind"] == asked.kind or asked.path.endswith("/mark-as-paid/")
    else:
        assert found.body["id"] == answer.body["id"]


def assert_carried_out(asked: Asked, collection: PaymentCollection, simulator: SimulatorService) -> None:
    """See that the bank has done once what it was asked for, and that the books say so."""
    (operation,) = PaymentOperation.objects.filter(collection=collection, kind=asked.kind).exclude(
        provider="system"
    )
    assert operation.status == "succeeded"
    assert_books_agree(simulator, collection)
    for session in collection.sessions.filter(provider="simulator"):
        assert_references_moved_once(simulator, session)


@pytest.mark.parametrize(
    "asked", [CAPTURE, *(pytest.param(each, marks=pytest.mark.thorough) for each in ALL[1:])], ids=str
)
@pytest.mark.parametrize("point", [Checkpoint.CALLED, Checkpoint.RECORDED])
def test_database_that_stays_away_does_not_make_nothing_of_what_was_done(
    asked: Asked, point: Checkpoint, visitor: Visitor, simulator: SimulatorService, clock: TestClock
) -> None:
    collection = prepared(asked, visitor)

    with away_from(point)(asked.kind):
        answer = asked.send(visitor, collection)

    # What was recorded is known, and what a payer is shown of it needs no database.
    known = (200, 201) if point == Checkpoint.RECORDED else ()
    assert answer.status in (202, *known) or answer.body["code"] == "outcome_unknown", answer.body
    let_time_pass(clock)
    assert_carried_out(asked, collection, simulator)


@pytest.mark.parametrize("asked", [CAPTURE, REFUND, AUTHORIZE], ids=str)
def test_connection_that_is_lost_before_the_claim_is_committed_is_503(
    asked: Asked, visitor: Visitor, simulator: SimulatorService
) -> None:
    collection = prepared(asked, visitor)
    before, calls = row_counts(collection), len(simulator.calls())

    with lost_before_the_claim_is_written(asked.kind):
        answer = asked.send(visitor, collection)

    assert answer.error[:3] == (503, "unavailable", "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert (row_counts(collection), len(simulator.calls())) == (before, calls)
    assert asked.send(visitor, collection).status == 200
    assert_carried_out(asked, collection, simulator)


@pytest.mark.parametrize("asked", [CAPTURE, REFUND, AUTHORIZE], ids=str)
@pytest.mark.parametrize("loss", [LOSSES[name] for name in FEW], ids=FEW)
def test_request_with_a_key_that_lost_its_connection_is_told_what_became_of_it(
    asked: Asked, loss: Loss, visitor: Visitor, simulator: SimulatorService, clock: TestClock
) -> None:
    collection = prepared(asked, visitor)
    visitor.headers["Idempotency-Key"] = "once"

    with loss(asked.kind):
        first = asked.send(visitor, collection)
    let_time_pass(clock)
    again = asked.send(visitor, collection)

    assert first.status in (200, 202), first.body
    assert again.status == 200, again.body
    assert_carried_out(asked, collection, simulator)


@MOSTLY_THOROUGH
def test_operator_at_a_page_is_told_that_it_is_not_known_or_what_became_of_it(
    loss: Loss, admin_client: Client, payment: Payment, simulator: SimulatorService, clock: TestClock
) -> None:
    form = open_form(admin_client, payment, "capture")

    with loss(OperationKind.CAPTURE):
        answer = confirm(admin_client, payment, "capture", form, amount="30.00")

    assert answer.status_code == 302
    let_time_pass(clock)
    assert simulator.totals(payment.session_id).captured == 3_000
    assert_books_agree(simulator, payment.collection)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "asked",
    [
        each if each in (CAPTURE, AUTHORIZE) else pytest.param(each, marks=pytest.mark.thorough)
        for each in ALL
    ],
    ids=str,
)
@pytest.mark.parametrize("point", [Checkpoint.CALLED, Checkpoint.RECORDED])
def test_connection_that_the_server_ends_is_202_or_the_true_result(
    asked: Asked, point: Checkpoint, visitor: Visitor, simulator: SimulatorService, clock: TestClock
) -> None:
    collection = prepared(asked, visitor)
    number = connection_number()

    with when(point, lambda: aside(lambda: kill_connection(number)), of=asked.kind):
        answer = asked.send(visitor, collection)

    connection.close()  # as Django does at the end of a request
    assert answer.status in (200, 201, 202), answer.body
    let_time_pass(clock)
    assert_carried_out(asked, collection, simulator)
