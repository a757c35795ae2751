"""The process dies at each point of each operation; afterwards the books say what the provider's ledger says.

At every point the provider has acted, was never reached, or has refused. Then time passes and the background work runs.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from payments.exceptions import DeclinedError
from payments.models import PaymentCollection, PaymentOperation
from payments.services import reconcile_due
from payments.services.ledger.operations import Checkpoint
from payments.simulator import SimulatorService
from payments.states import OperationKind
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import (
    assert_books_agree,
    assert_invariants,
    assert_references_moved_once,
    row_counts,
)
from tests.reliability.clocks import TestClock
from tests.reliability.crashes import crash_at
from tests.reliability.news import thoroughly
from tests.reliability.verbs import VERBS, Payer, Verb, session_of, times_done

pytestmark = pytest.mark.django_db(transaction=True)

PAYER = Payer(provider_id="simulator")

SENT = (Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDING, Checkpoint.RECORDED)
"""From the first of these points on, the operation is in the books."""


def at(*points: Checkpoint) -> pytest.MarkDecorator:
    """Have each verb die at each of these points; most verbs die on most days only once the provider has answered."""
    return pytest.mark.parametrize(
        ("verb", "point"),
        [
            (verb, point)
            if verb.kind == OperationKind.CAPTURE or point == Checkpoint.CALLED
            else thoroughly(verb, point)
            for verb in VERBS
            for point in points
        ],
        ids=str,
    )


def crash(verb: Verb, point: Checkpoint) -> PaymentCollection:
    """Let the process die, and return the collection; no row is gone by then."""
    collection = verb.prepare(PAYER)
    before = row_counts(collection)
    with crash_at(point, verb.kind):
        verb.run(PAYER, collection)
    assert all(row_counts(collection)[model] >= count for model, count in before.items())
    assert_invariants(collection)
    return collection


def assert_done_once(verb: Verb, collection: PaymentCollection, service: SimulatorService) -> None:
    """Make sure that the verb was carried out, once, and that both sides say so."""
    session = session_of(collection)
    assert verb.is_done(session)
    assert times_done(verb, collection) == 1
    assert_settled(collection, service)


def assert_settled(collection: PaymentCollection, service: SimulatorService) -> None:
    """Make sure that nothing is open and both sides say the same."""
    assert not PaymentOperation.objects.open().filter(collection=collection).exists()
    assert_invariants(collection)
    assert_books_agree(service, collection)
    for session in collection.sessions.all():
        assert_references_moved_once(service, session)


@pytest.mark.shows(
    "The process dies before the operation is committed",
    "Nothing is sent and nothing reserved; asking again does it once",
)
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_crash_before_the_claim_is_committed_leaves_nothing(
    simulator: SimulatorService, clock: TestClock, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    before, calls = row_counts(collection), len(simulator.calls())
    with crash_at(Checkpoint.CLAIMING, verb.kind):
        verb.run(PAYER, collection)
    assert let_time_pass(clock) == 0
    assert row_counts(collection) == before
    assert len(simulator.calls()) == calls
    verb.run(PAYER, collection)
    assert_done_once(verb, collection, simulator)


@pytest.mark.shows(
    "The process dies at any later point of an operation that the provider carries out",
    "The reconciler finds or sends it: done once, one event, books = ledger",
)
@at(*SENT)
def test_what_the_provider_did_is_recorded_once(
    simulator: SimulatorService, clock: TestClock, verb: Verb, point: Checkpoint
) -> None:
    collection = crash(verb, point)
    let_time_pass(clock)
    assert_done_once(verb, collection, simulator)


@pytest.mark.shows(
    "The process dies at any later point, and the request had never reached the provider",
    "The reconciler sends it again under the same key: done once, one event, books = ledger",
)
@at(*SENT)
def test_what_never_reached_the_provider_is_sent_again(
    simulator: SimulatorService, clock: TestClock, verb: Verb, point: Checkpoint
) -> None:
    collection = verb.prepare(PAYER)
    simulator.script(operation=str(verb.kind), fault="drop_before")
    with crash_at(point, verb.kind), suppress(Exception):
        verb.run(PAYER, collection)
    assert_invariants(collection)
    let_time_pass(clock)
    assert_done_once(verb, collection, simulator)
    operation = PaymentOperation.objects.get(
        collection=collection, session=session_of(collection), kind=verb.kind
    )
    keys = {call.key for call in simulator.calls(operation=str(verb.kind))}
    assert keys == {operation.pk}


@pytest.mark.shows(
    "The process dies at any later point of an operation that the provider refuses",
    "The refusal is recorded, what was reserved is free, and asking again does it once",
)
@at(*SENT)
def test_what_the_provider_refused_can_be_asked_again(
    simulator: SimulatorService, clock: TestClock, verb: Verb, point: Checkpoint
) -> None:
    collection = verb.prepare(PAYER)
    simulator.script(operation=str(verb.kind), fault="decline")
    with crash_at(point, verb.kind), suppress(DeclinedError):
        verb.run(PAYER, collection)
    let_time_pass(clock)
    assert not verb.is_done(session_of(collection))
    assert times_done(verb, collection) == 0
    assert_settled(collection, simulator)
    operation = PaymentOperation.objects.get(
        collection=collection, session=session_of(collection), kind=verb.kind
    )
    assert operation.status == "declined"
    verb.run(PAYER, collection)
    assert_done_once(verb, collection, simulator)


@pytest.mark.shows(
    "The reconciler's process dies too, at each point of sending an operation again",
    "The next one finishes it: done once, one event, books = ledger",
)
@at(Checkpoint.CLAIMED, Checkpoint.CALLED, Checkpoint.RECORDING)
def test_reconciler_that_dies_is_replaced_by_the_next(
    simulator: SimulatorService, clock: TestClock, verb: Verb, point: Checkpoint
) -> None:
    collection = crash(verb, Checkpoint.CLAIMED)
    operation = PaymentOperation.objects.get(collection=collection, kind=verb.kind, status="processing")
    assert operation.lease_expires_at is not None
    clock.advance_to(operation.lease_expires_at)
    with crash_at(point, verb.kind):
        reconcile_due()
    assert reconcile_due() == 0
    let_time_pass(clock)
    assert_done_once(verb, collection, simulator)
