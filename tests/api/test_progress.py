"""`in_progress`: what a session's body says of an answer that is still open, so that polling has an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import services, signals
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation
from payments.providers import (
    AuthorizeResult,
    CancelResult,
    CaptureResult,
    InitiateResult,
    UpdateResult,
)
from payments.services.ledger.records import record_result
from payments.states import OperationKind, Outcome
from payments.testing import Script
from payments.testing.factories import PaymentOperationFactory, PaymentSessionFactory
from tests.api.client import Answer, Visitor
from tests.api.pairs import daily
from tests.outbox.listeners import receiving

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

HEARD = [
    signals.session_created,
    signals.session_updated,
    signals.session_authorized,
    signals.payment_captured,
]
OPEN = [Outcome.PENDING, Outcome.UNKNOWN]
RESULTS: dict[str, Any] = {
    "initiate": InitiateResult,
    "update": UpdateResult,
    "authorize": AuthorizeResult,
    "cancel": CancelResult,
}
SETTLED: dict[str, dict[str, Any]] = {
    "update": {"amount": Decimal(30), "currency_code": "eur"},
    "authorize": {"amount": Decimal(100), "currency_code": "eur"},
}


def ask(guest: Visitor, collection: PaymentCollection, verb: str) -> Answer:
    """Ask for a verb on a session, which is created first unless that is what is asked."""
    if verb == "initiate":
        path = f"storefront/payment-collections/{collection.pk}/payment-sessions/"
        return guest.post(path, {"provider_id": "scripted"})
    session = services.create_payment_session(collection, provider_id="scripted", by_payer=True)
    path = f"storefront/payment-sessions/{session.pk}/"
    return guest.patch(path, {"amount": "30.00"}) if verb == "update" else guest.post(f"{path}{verb}/")


def found(visitor: Visitor, session_id: str, *, face: str = "storefront") -> Any:
    return visitor.get(f"{face}/payment-sessions/{session_id}/").body


def settle(kind: str) -> None:
    operation = PaymentOperation.objects.open().get(kind=kind)
    record_result(operation, RESULTS[kind](outcome=Outcome.SUCCEEDED, **SETTLED.get(kind, {})))


@pytest.fixture(params=[[], HEARD], ids=["nobody listens", "a receiver listens"])
def receivers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the shop listen to signals, or not."""
    with ExitStack() as stack:
        for signal in request.param:
            stack.enter_context(receiving(signal, lambda **_event: None))
        yield


@pytest.mark.usefixtures("receivers")
@pytest.mark.parametrize("verb", [*RESULTS, "decline", "capture", "refund", "release"])
def test_answer_to_a_verb_is_what_is_read_afterwards(
    guest: Visitor,
    boss: Visitor,
    collection: PaymentCollection,
    script: Script,
    verb: str,
) -> None:
    def act() -> tuple[Visitor, Answer, str]:
        if verb in RESULTS:
            answer = ask(guest, collection, verb)
            return guest, answer, f"storefront/payment-sessions/{answer.body['id']}/"
        session = services.create_payment_session(collection, provider_id="scripted")
        if verb == "decline":
            script.next("authorize", AuthorizeResult(outcome=Outcome.DECLINED))
            path = f"storefront/payment-sessions/{session.pk}/"
            return guest, guest.post(f"{path}authorize/"), path
        path = f"staff/payments/{services.authorize_payment_session(session).payment.pk}/"  # type: ignore[union-attr]
        if verb == "release":
            return boss, boss.post(f"{path}cancel/"), path
        taken = boss.post(f"{path}capture/", {"amount": "60.00", "metadata": {"till": 4}})
        return boss, taken if verb == "capture" else boss.post(f"{path}refund/", {"amount": "10.00"}), path

    asker, answer, path = act()
    assert answer.status in (200, 201), answer.body
    assert answer.body == asker.get(path).body


@pytest.mark.shows(
    "A provider leaves a creation, change, authorization or cancelation unanswered, and its payer polls",
    "`in_progress` names it until the outcome is known, and is null from then on",
)
@pytest.mark.parametrize("outcome", OPEN)
@pytest.mark.parametrize("verb", daily(RESULTS, step=2))
def test_polling_after_202_ends_when_the_provider_has_answered(
    guest: Visitor, collection: PaymentCollection, script: Script, verb: Any, outcome: Outcome
) -> None:
    script.next(verb, RESULTS[verb](outcome=outcome))
    accepted = ask(guest, collection, verb)
    assert (accepted.status, accepted.body["in_progress"]) == (202, verb)
    assert found(guest, accepted.body["id"])["in_progress"] == verb

    settle(verb)

    assert found(guest, accepted.body["id"])["in_progress"] is None


def test_a_held_amount_that_is_being_released_says_so(
    guest: Visitor, payment: Payment, script: Script
) -> None:
    script.next("cancel", CancelResult(outcome=Outcome.UNKNOWN))

    with pytest.raises(OutcomeUnknownError):
        services.cancel_payment(payment)
    assert found(guest, payment.session_id)["in_progress"] == "cancel"

    settle("cancel")
    assert found(guest, payment.session_id)["in_progress"] is None


@pytest.mark.parametrize("verb", ["authorize", "update", "cancel"])
def test_while_it_is_set_whatever_changes_the_session_is_refused(
    guest: Visitor, collection: PaymentCollection, script: Script, verb: str
) -> None:
    script.next("initiate", InitiateResult(outcome=Outcome.UNKNOWN))
    path = f"storefront/payment-sessions/{ask(guest, collection, 'initiate').body['id']}/"

    refused = guest.patch(path, {"amount": "30.00"}) if verb == "update" else guest.post(f"{path}{verb}/")

    assert refused.error[:3] == (409, "conflict", "operation_in_progress")


@pytest.mark.parametrize("kind", [OperationKind.AUTHORIZE, OperationKind.SYNC])
def test_what_a_person_has_to_decide_is_in_progress_while_the_session_is_unpaid(
    guest: Visitor, collection: PaymentCollection, kind: OperationKind
) -> None:
    session = services.create_payment_session(collection, provider_id="scripted")
    PaymentOperationFactory.create(session=session, kind=kind, attention=True)

    assert found(guest, session.pk)["in_progress"] == kind


@pytest.mark.parametrize("kind", [OperationKind.AUTHORIZE, OperationKind.SYNC])
def test_what_a_person_has_to_decide_about_a_held_amount_is_not_the_payers(
    guest: Visitor, payment: Payment, kind: OperationKind
) -> None:
    PaymentOperationFactory.create(session=payment.session, kind=kind, attention=True)

    assert found(guest, payment.session_id)["in_progress"] is None


def test_taking_what_is_held_is_the_shops_progress_and_not_the_sessions(
    guest: Visitor, payment: Payment, script: Script
) -> None:
    script.next("capture", CaptureResult(outcome=Outcome.UNKNOWN))
    with pytest.raises(OutcomeUnknownError):
        services.capture_payment(payment)

    assert found(guest, payment.session_id)["in_progress"] is None


def test_operators_and_collections_show_it_too(
    guest: Visitor, boss: Visitor, collection: PaymentCollection, script: Script
) -> None:
    script.next("authorize", AuthorizeResult(outcome=Outcome.PENDING))
    session_id = ask(guest, collection, "authorize").body["id"]

    assert found(boss, session_id, face="staff")["in_progress"] == "authorize"
    for visitor, face in ((guest, "storefront"), (boss, "staff")):
        shown = visitor.get(f"{face}/payment-collections/{collection.pk}/").body
        assert [row["in_progress"] for row in shown["payment_sessions"]] == ["authorize"]


def test_many_sessions_are_asked_about_at_once(guest: Visitor, collection: PaymentCollection) -> None:
    counts = []
    for _number in range(2):
        PaymentSessionFactory.create(collection=collection, amount="1.00", is_split=True)
        with CaptureQueriesContext(connection) as queries:
            assert guest.get(f"storefront/payment-collections/{collection.pk}/").status == 200
        counts.append(len(queries))

    assert counts[0] == counts[1]
