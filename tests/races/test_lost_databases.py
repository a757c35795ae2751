"""The database goes away around a call: nobody is told that nothing was done, unless that is certain.

Who is told so does it again, and money moves twice. Before the claim is committed it is certain; while it is committed,
and from then on, only the reconciler knows.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection

from payments import services
from payments.exceptions import DeclinedError, OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.providers.account_holders import CreateAccountResult
from payments.simulator import SimulatorService
from payments.states import OperationKind, OperationStatus, Outcome
from payments.testing import scripted_provider
from payments.testing.factories import CustomerFactory
from tests.races.locks import connection_number, kill_connection
from tests.races.outages import (
    LOSSES,
    MOSTLY_THOROUGH,
    Loss,
    away_from,
    doubtful_commit,
    lost_at,
    lost_before_the_claim_is_written,
    possible_outage,
    when,
)
from tests.races.places import Checkpoint
from tests.reliability.afterwards import let_time_pass
from tests.reliability.books import (
    assert_books_agree,
    assert_invariants,
    assert_references_moved_once,
    row_counts,
)
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import VERBS, Payer, Verb, session_of, times_done
from tests.threads import aside

pytestmark = pytest.mark.django_db(transaction=True)

PAYER = Payer(provider_id="simulator")

MOST_VERBS = [
    pytest.param(verb, marks=() if verb.name == "capture" else pytest.mark.thorough) for verb in VERBS
]


def everyday(verb: Verb, name: str) -> Any:
    """Return a case; all but a few of them take part in the thorough run only."""
    is_everyday = verb.name == "capture" or name == "while_the_bank_acts"
    marks = () if is_everyday else pytest.mark.thorough
    return pytest.param(verb, LOSSES[name], id=f"{verb}-{name}", marks=marks)


@pytest.mark.parametrize(("verb", "loss"), [everyday(verb, name) for verb in VERBS for name in LOSSES])
def test_lost_connection_is_an_unknown_outcome_or_the_true_result(
    transactional_db: None, simulator: SimulatorService, clock: TestClock, verb: Verb, loss: Loss
) -> None:
    collection = verb.prepare(PAYER)

    with loss(verb.kind):
        named = operation_named_by(lambda: verb.run(PAYER, collection))

    operation = PaymentOperation.objects.filter(collection=collection, kind=verb.kind).latest("created_at")
    assert named in (None, operation.pk)
    assert named is not None or verb.is_done(session_of(collection))
    let_time_pass(clock)
    assert_done_once(verb, collection, simulator)


def operation_named_by(verb: Callable[[], Any]) -> str | None:
    """Run a verb; return the operation whose outcome it says is unknown, or None where it tells of success."""
    try:
        verb()
    except OutcomeUnknownError as error:
        assert error.operation_id is not None
        return error.operation_id
    return None


def assert_done_once(verb: Verb, collection: PaymentCollection, simulator: SimulatorService) -> None:
    """See that a verb was carried out once in the end, here and at the bank."""
    assert verb.is_done(session_of(collection))
    assert times_done(verb, collection) == 1
    assert not PaymentOperation.objects.open().filter(collection=collection).exists()
    assert_invariants(collection)
    assert_books_agree(simulator, collection)
    for session in collection.sessions.all():
        assert_references_moved_once(simulator, session)


@pytest.mark.parametrize("verb", MOST_VERBS, ids=str)
def test_claim_that_was_not_committed_after_all_leaves_nothing(
    transactional_db: None, simulator: SimulatorService, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    before, calls = row_counts(collection), len(simulator.calls())

    with (
        doubtful_commit(Checkpoint.CLAIMING, of=verb.kind, is_done=False),
        pytest.raises((OutcomeUnknownError, OperationalError)),
    ):
        verb.run(PAYER, collection)

    assert (row_counts(collection), len(simulator.calls())) == (before, calls)
    verb.run(PAYER, collection)
    assert_done_once(verb, collection, simulator)


@pytest.mark.parametrize("verb", MOST_VERBS, ids=str)
def test_connection_lost_before_the_claim_is_committed_is_a_database_error(
    transactional_db: None, simulator: SimulatorService, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    before, calls = row_counts(collection), len(simulator.calls())

    with lost_before_the_claim_is_written(verb.kind), pytest.raises(OperationalError):
        verb.run(PAYER, collection)

    assert (row_counts(collection), len(simulator.calls())) == (before, calls)


@pytest.mark.parametrize("point", [Checkpoint.CALLED, Checkpoint.RECORDING, Checkpoint.RECORDED])
def test_database_lost_for_good_after_the_call_gives_unknown_or_the_true_result(
    point: Checkpoint, payment: Payment, simulator: SimulatorService, clock: TestClock
) -> None:
    with away_from(point)(OperationKind.CAPTURE):
        named = operation_named_by(lambda: services.capture_payment(payment, amount="30.00"))

    operation = PaymentOperation.objects.get(kind="capture")
    assert named == operation.pk or (named is None and operation.status == OperationStatus.SUCCEEDED)
    let_time_pass(clock)
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal(30)
    assert simulator.totals(payment.session_id).captured == 3_000


@pytest.mark.parametrize("kind", [OperationKind.CAPTURE, OperationKind.REFUND, OperationKind.CANCEL])
def test_recorded_refusal_is_told_although_nothing_more_can_be_learned(
    kind: OperationKind, payment: Payment, simulator: SimulatorService
) -> None:
    verbs = {
        OperationKind.CAPTURE: lambda: services.capture_payment(payment),
        OperationKind.REFUND: lambda: services.refund_payment(payment),
        OperationKind.CANCEL: lambda: services.cancel_payment(payment),
    }
    if kind == OperationKind.REFUND:
        services.capture_payment(payment)
    simulator.script(operation=str(kind), fault="decline", code="no_deal")

    with lost_at(Checkpoint.RECORDED)(kind), pytest.raises(DeclinedError) as refusal:
        verbs[kind]()

    assert refusal.value.code == "no_deal"
    assert PaymentOperation.objects.get(kind=kind, error_code="no_deal").status == "declined"


@pytest.mark.postgresql
@pytest.mark.parametrize("verb", MOST_VERBS, ids=str)
def test_connection_ended_by_the_server_gives_unknown_or_the_true_result(
    transactional_db: None, simulator: SimulatorService, clock: TestClock, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    number = connection_number()

    with when(Checkpoint.CALLED, lambda: aside(lambda: kill_connection(number)), of=verb.kind):
        named = operation_named_by(lambda: verb.run(PAYER, collection))

    connection.close()  # as Django does at the end of a request
    assert named is not None or verb.is_done(session_of(collection))
    let_time_pass(clock)
    assert_done_once(verb, collection, simulator)


# Verbs that make several calls, and calls that no operation stands for


@MOSTLY_THOROUGH
def test_collection_is_canceled_in_the_end_after_a_lost_connection(
    collection: PaymentCollection, simulator: SimulatorService, clock: TestClock, loss: Loss
) -> None:
    sessions = [
        services.create_payment_session(collection, provider_id="simulator", amount=amount)
        for amount in ("60.00", "40.00")
    ]
    services.authorize_payment_session(sessions[0])

    with loss(OperationKind.CANCEL):
        named = operation_named_by(lambda: services.cancel_payment_collection(collection))

    assert named is None or PaymentOperation.objects.get(pk=named).kind == "cancel"
    let_time_pass(clock)
    collection.refresh_from_db()
    assert (collection.status, collection.authorized_amount) == ("canceled", Decimal(0))
    assert_books_agree(simulator, collection)


@MOSTLY_THOROUGH
def test_collection_whose_new_amount_lost_its_connection_has_it_in_the_end(
    session: PaymentSession, simulator: SimulatorService, clock: TestClock, loss: Loss
) -> None:
    with loss(OperationKind.UPDATE):
        named = operation_named_by(
            lambda: services.update_payment_collection(session.collection, amount="80.00")
        )

    assert named is None or PaymentOperation.objects.get(pk=named).kind == "update"
    let_time_pass(clock)
    session.refresh_from_db()
    assert (session.amount, session.collection.amount) == (Decimal(80), Decimal(80))
    assert [intent.amount for intent in simulator.intents()] == [8_000]


@MOSTLY_THOROUGH
@pytest.mark.parametrize("kind", [OperationKind.CANCEL, OperationKind.AUTHORIZE, OperationKind.CAPTURE])
def test_marking_as_paid_that_lost_its_connection_goes_on_when_repeated(
    kind: OperationKind, session: PaymentSession, simulator: SimulatorService, clock: TestClock, loss: Loss
) -> None:
    collection = session.collection
    with loss(kind):
        named = operation_named_by(lambda: services.mark_payment_collection_as_paid(collection))

    assert named is None or PaymentOperation.objects.filter(pk=named, collection=collection).exists()
    let_time_pass(clock)
    collection.refresh_from_db()
    if collection.captured_amount < collection.amount:
        services.mark_payment_collection_as_paid(collection)
    assert (collection.status, collection.captured_amount) == ("completed", Decimal(100))
    assert Payment.objects.count() == 1
    session.refresh_from_db()
    assert (session.status, simulator.intents()[0].status) == ("canceled", "canceled")


@pytest.mark.usefixtures("transactional_db")
def test_account_made_by_a_call_that_lost_its_connection_is_found_again() -> None:
    customer = CustomerFactory.create()
    with scripted_provider() as script, possible_outage() as outage:
        made = CreateAccountResult(outcome=Outcome.SUCCEEDED, provider_reference="acct_1")

        def create(request: Any) -> CreateAccountResult:
            outage.lose_the_connection()
            return made

        script.next("create_account", create, made)
        with pytest.raises(OutcomeUnknownError):
            services.create_account_holder(customer, provider_id="scripted")

        holder = services.create_account_holder(customer, provider_id="scripted")
        assert len({request.idempotency_key for request in script.requests("create_account")}) == 1
    assert holder.provider_reference == "acct_1"
