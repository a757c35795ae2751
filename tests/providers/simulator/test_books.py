"""From the verbs of the services to the service's ledger: after a fault and one sync, our books say what it says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import Any, Final

import pytest

from payments import services
from payments.exceptions import (
    DeclinedError,
    OutcomeUnknownError,
    PaymentError,
    ProviderUnavailableError,
)
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.simulator import SimulatorService
from payments.simulator.faults import Fault, Operation
from payments.states import OperationStatus, Outcome
from payments.testing import simulator_settings
from tests.providers.simulator.books import books_equal_ledger, our_books
from tests.providers.simulator.desk import IMPATIENCE
from tests.providers.simulator.faults import IDS, TABLE, Case

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

LIES: Final = (Fault.WRONG_AMOUNT, Fault.WRONG_CURRENCY)


def new_collection() -> PaymentCollection:
    return services.create_payment_collection(amount="100.00", currency_code="eur")


def initiated() -> PaymentSession:
    return services.create_payment_session(new_collection(), provider_id="simulator")


def authorized() -> Payment:
    payment = services.authorize_payment_session(initiated()).payment
    assert payment is not None
    return payment


def captured() -> Payment:
    return services.capture_payment(authorized())


Prepare = Callable[[], Any]
Verb = Callable[[Any], Any]
VERBS: Final[dict[Operation, tuple[Prepare, Verb]]] = {
    Operation.INITIATE: (
        new_collection,
        lambda row: services.create_payment_session(row, provider_id="simulator"),
    ),
    Operation.UPDATE: (initiated, lambda row: services.update_payment_session(row, amount="40.00")),
    Operation.AUTHORIZE: (initiated, services.authorize_payment_session),
    Operation.CAPTURE: (authorized, lambda row: services.capture_payment(row, amount="40.00")),
    Operation.REFUND: (captured, lambda row: services.refund_payment(row, amount="40.00")),
    Operation.CANCEL: (authorized, services.cancel_payment),
    Operation.RETRIEVE: (lambda: authorized().session, services.sync_payment_session),
}
RAISED: Final[dict[Outcome, type[PaymentError]]] = {
    Outcome.DECLINED: DeclinedError,
    Outcome.NOT_SENT: ProviderUnavailableError,
    Outcome.UNKNOWN: OutcomeUnknownError,
}


def session_of(row: Any) -> PaymentSession:
    """Return the session that a test is about, read anew."""
    if isinstance(row, PaymentCollection):
        return row.sessions.get()
    session_id = row.session_id if isinstance(row, Payment) else row.pk
    return PaymentSession.objects.get(pk=session_id)


def settle_what_is_pending(service: SimulatorService, session: PaymentSession, *, well: bool) -> None:
    """Let the service end what it has only accepted so far."""
    end = service.settle if well else service.fail
    for intent in service.intents(reference=session.pk):
        pending = [intent.id] if intent.status == "processing" else []
        for each in pending + [each.id for each in intent.movements if each.status == "pending"]:
            end(each)


def expected_error(case: Case, operation: Operation) -> type[PaymentError] | None:
    """Return what a verb raises: a declined authorization is a session in `error`, a lie needs a person."""
    if operation is Operation.AUTHORIZE and case.outcome == Outcome.DECLINED:
        return None
    if case.fault is Fault.WRONG_AMOUNT and operation is Operation.AUTHORIZE:
        return None  # less than was asked for is a partial authorization, as far as anybody can tell
    states_an_amount = operation not in (Operation.INITIATE, Operation.RETRIEVE)
    if case.fault in LIES and states_an_amount:
        return OutcomeUnknownError
    return RAISED.get(case.outcome)


def expected_status(case: Case) -> OperationStatus:
    """Return what our operation is after the sync: what the service did is found out, what it didn't is not."""
    if case.outcome in (Outcome.DECLINED, Outcome.NOT_SENT):
        return OperationStatus(case.outcome)
    is_open = case.outcome == Outcome.UNKNOWN and not case.acts
    return OperationStatus.UNKNOWN if is_open else OperationStatus.SUCCEEDED


@pytest.mark.parametrize(("case", "operation"), TABLE, ids=IDS)
def test_after_a_fault_and_a_sync_the_books_equal_the_ledger(
    simulator: SimulatorService, case: Case, operation: Operation
) -> None:
    prepare, verb = VERBS[operation]
    row = prepare()
    simulator.script(operation=operation, fault=case.fault, **case.options)

    with impatience(simulator, case):
        error = error_of(verb, row)

    wanted = expected_error(case, operation)
    assert (None if error is None else type(error)) == wanted
    assert simulator.scenarios() == [], "The fault was met."
    session = session_of(row)
    settle_what_is_pending(simulator, session, well=True)
    services.sync_payment_session(session)
    if case.fault is Fault.WRONG_AMOUNT and operation is Operation.AUTHORIZE:
        needs_a_person(session)
        return
    assert books_equal_ledger(session, simulator)
    services.sync_payment_session(session)
    assert books_equal_ledger(session, simulator)
    if operation is not Operation.RETRIEVE:
        [newest] = PaymentOperation.objects.filter(session=session, kind=operation.value)
        assert newest.status == expected_status(case)


def needs_a_person(session: PaymentSession) -> None:
    """Check that a report which contradicts an earlier one is written down, and that nothing is made up to fit."""
    report = PaymentOperation.objects.get(session=session, kind="sync")
    assert report.status == OperationStatus.ATTENTION
    assert report.detail.startswith("authorized_amount_mismatch")
    assert our_books(session).authorized == Decimal("99.99")


def impatience(simulator: SimulatorService, case: Case) -> AbstractContextManager[None]:
    return simulator_settings(simulator, timeout=IMPATIENCE) if case.hangs else nullcontext()


def error_of(verb: Verb, row: Any) -> PaymentError | None:
    try:
        verb(row)
    except PaymentError as error:
        return error
    return None


@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND])
def test_what_was_accepted_and_then_failed_is_in_neither_book(
    simulator: SimulatorService, operation: Operation
) -> None:
    prepare, verb = VERBS[operation]
    row = prepare()
    simulator.script(operation=operation, fault="async")
    verb(row)
    session = session_of(row)
    settle_what_is_pending(simulator, session, well=False)
    services.sync_payment_session(session)
    assert books_equal_ledger(session, simulator)
    assert PaymentOperation.objects.get(session=session, kind=operation.value).status == "declined"


@pytest.mark.parametrize("delta", [-1, 1])
@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.REFUND])
def test_money_that_moved_in_another_amount_is_booked_and_put_before_a_person(
    simulator: SimulatorService, operation: Operation, delta: int
) -> None:
    prepare, verb = VERBS[operation]
    row = prepare()
    simulator.script(operation=operation, fault="wrong_amount", delta=delta, in_ledger=True)
    with pytest.raises(OutcomeUnknownError):
        verb(row)
    session = session_of(row)
    services.sync_payment_session(session)
    assert books_equal_ledger(session, simulator)
    assert PaymentOperation.objects.get(session=session, kind=operation.value).status == "attention"


def test_a_smaller_authorization_than_was_asked_for_is_a_partial_one(simulator: SimulatorService) -> None:
    session = initiated()
    simulator.script(operation="authorize", fault="partial_authorization", amount=6000)
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    assert payment.amount == 60
    assert payment.collection.status == "partially_authorized"
    assert books_equal_ledger(session, simulator)


def test_what_is_done_at_the_service_itself_reaches_our_books(simulator: SimulatorService) -> None:
    payment = authorized()
    session = payment.session
    assert session.provider_reference is not None
    simulator.capture(session.provider_reference, 7000)
    simulator.refund(session.provider_reference, 2500)
    simulator.cancel(session.provider_reference)
    services.sync_payment_session(session)
    assert books_equal_ledger(session, simulator)
    assert our_books(session).captured == 70
    assert our_books(session).canceled == 30


def test_what_the_payer_s_bank_takes_back_reaches_our_books(simulator: SimulatorService) -> None:
    session = captured().session
    assert session.provider_reference is not None
    simulator.chargeback(session.provider_reference, 3000)
    services.sync_payment_session(session)
    assert books_equal_ledger(session, simulator)
    assert our_books(session).charged_back == 30


def test_a_challenge_passed_elsewhere_reaches_our_books(simulator: SimulatorService) -> None:
    session = services.authorize_payment_session(initiated(), data={"card": "card_3ds"})
    assert session.status == "requires_more"
    assert session.provider_reference is not None
    simulator.answer_challenge(session.provider_reference)
    assert services.authorize_payment_session(session).status == "authorized"
    assert books_equal_ledger(session, simulator)


def test_a_session_that_was_opened_without_an_answer_goes_on_after_a_sync(
    simulator: SimulatorService,
) -> None:
    collection = new_collection()
    simulator.script(operation="initiate", fault="drop_after")
    with pytest.raises(OutcomeUnknownError):
        services.create_payment_session(collection, provider_id="simulator")
    session = services.sync_payment_session(collection.sessions.get())
    assert session.provider_reference is not None
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    services.refund_payment(services.capture_payment(payment), amount="15.00")
    assert books_equal_ledger(session, simulator)
