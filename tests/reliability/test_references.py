"""A report that names our session and another of the provider's references than ours is about something else.

Such as a copy of our order that somebody made at the bank: what becomes of that pays for nothing here. It is written
down, and a person has to look at it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from payments import providers, services
from payments.exceptions import OutcomeUnknownError
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession, WebhookEvent
from payments.states import (
    CollectionStatus,
    OperationKind,
    OperationStatus,
    Outcome,
    SessionStatus,
    WebhookEventStatus,
)
from payments.testing import Script
from tests.reliability import banks
from tests.reliability.clocks import TestClock

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

COPY: Final = "account_copy"

AUTHORIZED: Final = providers.SessionFact(
    currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(100)
)

FACTS: Final = {
    "authorized": AUTHORIZED,
    "authorized, the amount left out": replace(AUTHORIZED, authorized_amount=None),
    "captured": replace(AUTHORIZED, captured_amount=Decimal(100)),
    "captured, and nothing else": providers.SessionFact(currency_code="eur", captured_amount=Decimal(100)),
    "to be confirmed": providers.SessionFact(
        currency_code="eur",
        status=SessionStatus.REQUIRES_MORE,
        next_action=providers.NextAction(type="redirect", url="https://bank.example/3ds"),
        data={"client_token": "of the copy"},
        provider_data={"secret": "of the copy"},
    ),
    "refused": providers.SessionFact(
        currency_code="eur", status=SessionStatus.ERROR, failure=providers.Failure(code="stolen_card")
    ),
    "canceled": providers.SessionFact(currency_code="eur", status=SessionStatus.CANCELED),
}


@pytest.fixture
def session(collection: PaymentCollection) -> PaymentSession:
    """Return a session over the whole amount, which the bank knows as `account_1`."""
    session = banks.open_session(collection)
    assert session.provider_reference == "account_1"
    return session


def row_of(session: PaymentSession) -> dict[str, Any]:
    """Return all that is stored of a session, but the time of the last change."""
    return PaymentSession.objects.filter(pk=session.pk).values().get() | {"updated_at": None}


def reports() -> list[str]:
    """Return why operations need a person, each in its first words."""
    rows = PaymentOperation.objects.filter(status=OperationStatus.ATTENTION)
    return [line.partition(":")[0] for row in rows for line in row.detail.splitlines()]


def assert_nothing_paid(collection: PaymentCollection) -> None:
    """See that nothing is held for a collection."""
    collection.refresh_from_db()
    assert collection.status == CollectionStatus.AWAITING
    assert collection.authorized_amount == 0
    assert not Payment.objects.exists()


@pytest.mark.shows(
    "A report names our session, not paid yet, and another of the provider's references: a copy's",
    "It changes nothing and pays for nothing; a person has to look at it",
)
@pytest.mark.parametrize("name", FACTS)
def test_report_about_a_copy_of_an_unpaid_session_changes_nothing(
    collection: PaymentCollection, session: PaymentSession, name: str
) -> None:
    before = row_of(session)
    for _each in range(2):
        services.record_fact(session, replace(FACTS[name], provider_reference=COPY), origin=banks.WEBHOOK)
    assert row_of(session) == before
    assert_nothing_paid(collection)
    assert reports() == ["reference_mismatch"]


@pytest.mark.parametrize("name", ["authorized", "captured, and nothing else"])
def test_report_about_what_is_ours_still_counts_after_one_about_a_copy(
    bank: banks.Bank, session: PaymentSession, name: str
) -> None:
    services.record_fact(session, replace(FACTS[name], provider_reference=COPY), origin=banks.WEBHOOK)
    services.record_fact(session, replace(FACTS[name], provider_reference="account_1"), origin=banks.WEBHOOK)
    payment = Payment.objects.get()
    assert payment.amount == 100
    assert payment.provider_reference == "account_1"
    session.refresh_from_db()
    assert (session.status, session.provider_reference) == (SessionStatus.AUTHORIZED, "account_1")


def test_report_about_a_copy_does_not_end_a_change_of_amount(
    bank: banks.Bank, session: PaymentSession
) -> None:
    bank.next("update", banks.lost)
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_session(session, amount="60.00")
    fact = providers.SessionFact(currency_code="eur", amount=Decimal(60), provider_reference=COPY)
    services.record_fact(session, fact, origin=banks.WEBHOOK)
    session.refresh_from_db()
    assert session.amount == bank.of(session).amount == 100
    assert session.operations.get(kind=OperationKind.UPDATE).status == OperationStatus.UNKNOWN
    assert reports() == ["reference_mismatch"]


@pytest.mark.parametrize("name", ["authorized", "captured", "canceled"])
def test_report_about_a_copy_of_a_paid_session_changes_nothing(
    bank: banks.Bank, collection: PaymentCollection, session: PaymentSession, name: str
) -> None:
    services.authorize_payment_session(session)
    before = row_of(session)
    services.record_fact(session, replace(FACTS[name], provider_reference=COPY), origin=banks.WEBHOOK)
    assert row_of(session) == before
    payment = Payment.objects.get()
    assert payment.captured_amount == payment.canceled_amount == 0
    assert reports() == ["reference_mismatch"]
    bank.assert_agrees(collection)


# Events


@pytest.fixture
def scripted(db: None, clock: TestClock, script: Script) -> PaymentSession:
    """Return a session of a provider that sends events."""
    session = services.create_payment_session(banks.open_collection(), provider_id="scripted")
    assert session.provider_reference == f"scripted_{session.pk}"
    return session


def deliver(script: Script, clock: TestClock, result: providers.WebhookResult) -> None:
    """Have an event stored, and applied by a worker."""
    script.next("parse_webhook", result)
    services.receive_webhook("scripted", providers.WebhookRequest(body=b"{}", headers={}))
    clock.advance(timedelta(minutes=1))
    assert services.process_due_events() == 1


def event_about(
    session: PaymentSession, fact: providers.SessionFact, *, reference: str | None
) -> providers.WebhookResult:
    """Return an event that names a session, and a reference of its own."""
    return providers.WebhookResult(
        event_id="evt_1",
        event_type="authorized",
        session_id=session.pk,
        provider_reference=reference,
        fact=fact,
    )


@pytest.mark.shows(
    "A proven event names our session, and a copy's reference: in its fact, beside it, or in both",
    "It is kept and pays for nothing; a person has to look at it",
)
@pytest.mark.parametrize(
    ("in_fact", "beside"),
    [(COPY, COPY), (COPY, None), (None, COPY)],
    ids=["both", "in its fact", "beside it"],
)
def test_event_about_a_copy_changes_nothing(
    scripted: PaymentSession, script: Script, clock: TestClock, in_fact: str | None, beside: str | None
) -> None:
    before = row_of(scripted)
    fact = replace(AUTHORIZED, provider_reference=in_fact)
    deliver(script, clock, event_about(scripted, fact, reference=beside))
    assert row_of(scripted) == before
    assert_nothing_paid(scripted.collection)
    assert reports() == ["reference_mismatch"]
    assert WebhookEvent.objects.get().status == WebhookEventStatus.APPLIED


@pytest.mark.shows(
    "An event says that the payer has approved a copy of our session", "Nothing is asked of the provider"
)
def test_approval_of_a_copy_does_not_authorize_ours(
    scripted: PaymentSession, script: Script, clock: TestClock
) -> None:
    before = row_of(scripted)
    fact = providers.SessionFact(
        currency_code="eur",
        status=SessionStatus.REQUIRES_MORE,
        awaits_authorization=True,
        provider_reference=COPY,
    )
    deliver(script, clock, event_about(scripted, fact, reference=COPY))
    assert script.requests("authorize") == []
    assert row_of(scripted) == before
    assert reports() == ["reference_mismatch"]


@pytest.mark.parametrize("in_fact", [True, False], ids=["in its fact", "beside it"])
def test_event_about_ours_pays(
    scripted: PaymentSession, script: Script, clock: TestClock, in_fact: bool
) -> None:
    reference = scripted.provider_reference
    fact = replace(AUTHORIZED, provider_reference=reference if in_fact else None)
    deliver(script, clock, event_about(scripted, fact, reference=None if in_fact else reference))
    scripted.refresh_from_db()
    assert scripted.status == SessionStatus.AUTHORIZED
    assert reports() == []


@pytest.mark.parametrize("beside", [True, False], ids=["beside it too", "in its fact"])
def test_event_of_a_session_that_has_no_reference_yet_pays_and_gives_it_one(
    script: Script, clock: TestClock, beside: bool, db: None
) -> None:
    script.next("initiate", providers.InitiateResult(outcome=Outcome.SUCCEEDED))
    session = services.create_payment_session(banks.open_collection(), provider_id="scripted")
    assert not PaymentSession.objects.exclude(provider_reference=None).exists()
    fact = replace(AUTHORIZED, provider_reference="intent_1")
    deliver(script, clock, event_about(session, fact, reference="intent_1" if beside else None))
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED
    assert session.provider_reference == "intent_1"
    assert Payment.objects.get().provider_reference == "intent_1"
    assert reports() == []


def test_report_of_a_session_whose_initiation_was_not_answered_pays(
    bank: banks.Bank, collection: PaymentCollection
) -> None:
    bank.next("initiate", banks.unanswered)
    with pytest.raises(OutcomeUnknownError):
        banks.open_session(collection)
    session = collection.sessions.get()
    bank.pay(session)
    bank.tell(session)
    assert (session.status, session.provider_reference) == (SessionStatus.AUTHORIZED, "account_1")
    bank.assert_agrees(collection)
    assert reports() == []


# Answers to our own requests


def naming_a_copy(act: banks.Act) -> Any:
    """Have the bank do what it is asked, and answer with a copy's reference."""
    return replace(act(), provider_reference=COPY)


def telling_of_a_copy(act: banks.Act) -> Any:
    """Have the bank do what it is asked, and tell how things stand with a copy."""
    return replace(act(), fact=replace(FACTS["canceled"], provider_reference=COPY))


@pytest.mark.shows(
    "The answer to an authorization is about another payment at the provider than the one that was asked for",
    "It pays for nothing, and a person has to look at it",
)
def test_answer_about_a_copy_authorizes_nothing(
    bank: banks.Bank, collection: PaymentCollection, session: PaymentSession
) -> None:
    before = row_of(session)
    bank.next("authorize", naming_a_copy)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(session)
    assert row_of(session) == before
    assert_nothing_paid(collection)
    operation = session.operations.get(kind=OperationKind.AUTHORIZE)
    assert operation.status == OperationStatus.ATTENTION
    assert reports() == ["reference_mismatch"]


def test_answer_about_a_copy_changes_no_amount(bank: banks.Bank, session: PaymentSession) -> None:
    before = row_of(session)
    bank.next("update", naming_a_copy)
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_session(session, amount="60.00")
    assert row_of(session) == before
    assert session.operations.get(kind=OperationKind.UPDATE).status == OperationStatus.ATTENTION
    assert reports() == ["reference_mismatch"]


def test_answer_that_a_copy_is_canceled_cancels_nothing(bank: banks.Bank, session: PaymentSession) -> None:
    before = row_of(session)
    bank.next("cancel", telling_of_a_copy)
    with pytest.raises(OutcomeUnknownError):
        services.cancel_payment_session(session)
    assert row_of(session) == before
    assert session.operations.get(kind=OperationKind.CANCEL).status == OperationStatus.ATTENTION
    assert reports() == ["reference_mismatch"]


def test_answer_that_a_copy_is_paid_pays_for_nothing(
    bank: banks.Bank, collection: PaymentCollection, session: PaymentSession
) -> None:
    before = row_of(session)
    bank.next("retrieve", lambda act: replace(act(), fact=replace(AUTHORIZED, provider_reference=COPY)))
    services.sync_payment_session(session)
    assert row_of(session) == before
    assert_nothing_paid(collection)
    assert reports() == ["reference_mismatch"]


@pytest.mark.shows(
    "An event names one reference for a new session, and then the answer to its initiation another",
    "The session keeps the first, and a person has to look at it: the provider may have it twice",
)
def test_initiation_answered_with_an_unreported_reference_needs_a_person(
    bank: banks.Bank, collection: PaymentCollection
) -> None:
    def tell() -> None:
        bank.tell(collection.sessions.get())

    def initiate_twice(act: banks.Act) -> Any:
        return naming_a_copy(lambda: banks.before_answering(tell)(act))

    bank.next("initiate", initiate_twice)
    with pytest.raises(OutcomeUnknownError):
        banks.open_session(collection)
    assert collection.sessions.get().provider_reference == "account_1"
    assert reports() == ["reference_mismatch"]
