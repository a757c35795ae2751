"""Which of the five outcomes comes out of each fault, verb by verb, and what a second try under the same key does."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest

from payments.providers import (
    AuthorizeResult,
    MovementResult,
    ProviderResult,
    RetrieveResult,
    UpdateResult,
)
from payments.simulator.faults import ACTS, Fault, Operation
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of
from tests.providers.simulator.desk import IMPATIENCE, Desk
from tests.providers.simulator.faults import ABOUT_MONEY, CASES, IDS, TABLE, Case

pytestmark = pytest.mark.database_independent

PART = Decimal("40.00")

Verb = Callable[[SessionDriver], ProviderResult]
VERBS: Final[dict[Operation, tuple[Callable[[Desk], SessionDriver], Verb]]] = {
    Operation.INITIATE: (Desk.start, SessionDriver.initiate),
    Operation.UPDATE: (Desk.initiated, lambda driver: driver.update(PART)),
    Operation.AUTHORIZE: (Desk.initiated, SessionDriver.authorize),
    Operation.CAPTURE: (Desk.authorized, lambda driver: driver.capture(PART)),
    Operation.REFUND: (Desk.captured, lambda driver: driver.refund(PART)),
    Operation.CANCEL: (Desk.authorized, SessionDriver.cancel),
    Operation.RETRIEVE: (Desk.authorized, SessionDriver.retrieve),
}


def ledger_of(desk: Desk, driver: SessionDriver) -> dict[str, Any]:
    """Return what the service's ledger has of a session, in so far as a verb changes it."""
    totals = desk.service.totals(driver.session_id)
    amounts = [intent.amount for intent in desk.service.intents(reference=driver.session_id)]
    return {**vars(totals), "amounts": amounts, "statuses": _statuses(desk, driver)}


def _statuses(desk: Desk, driver: SessionDriver) -> list[str]:
    intents = desk.service.intents(reference=driver.session_id)
    return [intent.status for intent in intents if intent.status in ("authorized", "canceled")]


def test_every_fault_is_tried_with_every_operation_that_it_applies_to(desk: Desk) -> None:
    tried = {(case.fault, operation) for case, operation in TABLE}
    for fault in Fault:
        for operation in ABOUT_MONEY:
            try:
                desk.service.script(operation=operation, fault=fault)
            except Exception:  # noqa: BLE001 - the service refuses what doesn't apply
                assert (fault, operation) not in tried
            else:
                assert (fault, operation) in tried
    assert {case.fault for case in CASES} == set(Fault)


def waits_once_more(case: Case, operation: Operation) -> bool:
    """Return whether a case waits for an answer that never comes, as another operation does in the everyday run."""
    return case.hangs and operation not in (Operation.CAPTURE, Operation.RETRIEVE)


@pytest.mark.parametrize(
    ("case", "operation"),
    [pytest.param(*each, marks=pytest.mark.thorough) if waits_once_more(*each) else each for each in TABLE],
    ids=IDS,
)
def test_a_fault_gives_the_outcome_that_is_certain(desk: Desk, case: Case, operation: Operation) -> None:
    prepare, verb = VERBS[operation]
    driver = prepare(desk)
    before = ledger_of(desk, driver)
    _script(desk, driver, case, operation)
    if case.hangs:
        driver.provider = desk.provider(timeout=IMPATIENCE)

    result = verb(driver)

    assert result.outcome == case.outcome, (result, driver.error)
    assert _faults_seen(desk, driver, operation) == [case.fault]
    is_changed = ledger_of(desk, driver) != before
    assert is_changed == (case.acts and operation is not Operation.RETRIEVE)

    driver.provider = desk.provider()
    again = driver.resend()

    assert again.outcome == case.again, (again, driver.error)
    _moved_once(desk, driver, operation)


def _script(desk: Desk, driver: SessionDriver, case: Case, operation: Operation) -> None:
    is_lookup = operation is Operation.RETRIEVE
    match = {"intent": driver.provider_reference} if is_lookup else {"reference": driver.session_id}
    desk.service.script(operation=operation, fault=case.fault, **match, **case.options)


def _faults_seen(desk: Desk, driver: SessionDriver, operation: Operation) -> list[str | None]:
    """Return the faults that the service says it answered this kind of request with."""
    calls = desk.service.calls(operation=operation, reference=driver.session_id)
    return [call.fault for call in calls]


def _moved_once(desk: Desk, driver: SessionDriver, operation: Operation) -> None:
    """Check that two requests under one key did at most what one does."""
    totals = desk.service.totals(driver.session_id)
    assert totals.intents <= 1
    assert totals.authorizations <= 1
    assert totals.captures <= 1
    assert totals.refunds <= 1
    if operation is not Operation.RETRIEVE:
        keys = {call.key for call in desk.service.calls(operation=operation, reference=driver.session_id)}
        assert keys == {driver.operation_ids[-1]}


@pytest.mark.parametrize(
    "operation", [Operation.UPDATE, Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND]
)
def test_a_wrong_amount_is_reported_as_it_is_stated(desk: Desk, operation: Operation) -> None:
    prepare, verb = VERBS[operation]
    driver = prepare(desk)
    desk.service.script(operation=operation, fault="wrong_amount", reference=driver.session_id)
    result = verb(driver)
    assert isinstance(result, UpdateResult | AuthorizeResult | MovementResult)
    asked = Decimal(100) if operation is Operation.AUTHORIZE else PART
    assert (result.amount, result.currency_code) == (asked - Decimal("0.01"), "eur")


@pytest.mark.parametrize(
    "operation", [Operation.UPDATE, Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND]
)
@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd"])
def test_a_wrong_currency_is_reported_as_it_is_stated(
    desk: Desk, operation: Operation, currency: str
) -> None:
    prepare, verb = VERBS[operation]
    driver = prepare(desk)
    desk.service.script(
        operation=operation, fault="wrong_currency", reference=driver.session_id, currency=currency
    )
    result = verb(driver)
    assert isinstance(result, UpdateResult | AuthorizeResult | MovementResult)
    assert result.currency_code == currency


@pytest.mark.parametrize(("fault", "name"), [("wrong_amount", "amount"), ("wrong_currency", "currency_code")])
def test_a_retrieve_reports_a_lie_as_a_fact(desk: Desk, fault: str, name: str) -> None:
    driver = desk.authorized()
    honest = driver.retrieve()
    desk.service.script(operation="retrieve", fault=fault, intent=driver.provider_reference)
    lie = driver.retrieve()
    assert isinstance(honest, RetrieveResult)
    assert getattr(honest.fact, name) != getattr(lie.fact, name)


def test_a_partial_authorization_states_what_is_held(desk: Desk) -> None:
    driver = desk.initiated(card="card_partial")
    assert driver.authorize().amount == Decimal("60.00")
    assert desk.service.totals(driver.session_id).authorized == 6000


@pytest.mark.parametrize(
    ("operation", "outcome"), [("authorize", "succeeded"), ("capture", "failed"), ("refund", "succeeded")]
)
def test_what_is_pending_is_reported_as_pending_until_it_settles(
    desk: Desk, operation: str, outcome: str
) -> None:
    prepare, verb = VERBS[Operation(operation)]
    driver = prepare(desk)
    desk.service.script(operation=operation, fault="async", reference=driver.session_id)
    verb(driver)
    fact = fact_of(driver)
    [intent] = desk.service.intents(reference=driver.session_id)
    pending = next((each.id for each in intent.movements if each.status == "pending"), intent.id)
    settle = desk.service.settle if outcome == "succeeded" else desk.service.fail
    settle(pending)
    settled = driver.retrieve().fact
    assert settled is not None
    if operation == "authorize":
        assert (fact.status, settled.status) == ("pending", "authorized")
    else:
        assert (fact.movements[-1].status, settled.movements[-1].status) == ("pending", outcome)
        assert settled.movements[-1].operation_id == driver.operation_ids[-1]


def test_faults_that_decide_what_is_done_are_never_an_unknown_outcome() -> None:
    outcomes = {case.outcome for case in CASES if case.fault in ACTS}
    assert "unknown" not in outcomes
    assert "not_sent" not in outcomes
