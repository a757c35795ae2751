"""Whoever writes a row below a collection counts its version up: from the version one sees whether anything changed.

The verbs, what a provider reports, and the events that it sends.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest
from django.utils import timezone

from payments.exceptions import PaymentError
from payments.models import (
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentProvider,
    PaymentSession,
    WebhookEvent,
)
from payments.providers import Failure, NextAction, SessionFact, encode_fact
from payments.services import (
    ResolvedPayable,
    authorize_payment_session,
    cancel_payment_collection,
    cancel_payment_session,
    capture_payment,
    create_installment_plan,
    create_payment_collection,
    mark_payment_collection_as_paid,
    open_payment_collection,
    process_due_events,
    record_fact,
    replay_webhook_event,
    sync_payment_session,
    update_payment_collection,
)
from payments.states import OperationStatus, SessionStatus, WebhookEventStatus
from payments.testing.factories import CustomerFactory
from tests.reliability.banks import (
    WEBHOOK,
    Bank,
    Fault,
    done,
    lost,
    open_session,
    refused,
    unanswered,
)
from tests.reliability.clocks import TestClock
from tests.reliability.news import named, thoroughly
from tests.reliability.observers import HAVE_VERSIONS, observed
from tests.reliability.verbs import VERBS, Payer, Verb
from tests.shop.models import Order

if not HAVE_VERSIONS:
    pytest.skip("collections don't count their changes yet", allow_module_level=True)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bank")]

PAYER: Final = Payer(provider_id="bank")
SOME_VERBS: Final = tuple(verb for verb in VERBS if verb.name in ("authorize", "capture", "cancel_session"))


def lose(bank: Bank, verb: str, act: Callable[[], object], *, times: int = 1) -> PaymentOperation:
    """Do something whose request gets lost, so often, and return its operation."""
    bank.next(verb, *[lost] * times)
    with suppress(PaymentError):
        act()
    return PaymentOperation.objects.get(status=OperationStatus.UNKNOWN)


# The verbs


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        *((verb, done) for verb in VERBS),
        *(thoroughly(verb, fault) for verb in SOME_VERBS for fault in (lost, refused, unanswered)),
    ],
    ids=named,
)
def test_every_verb_counts(bank: Bank, clock: TestClock, db: None, verb: Verb, fault: Fault) -> None:
    collection = verb.prepare(PAYER)
    bank.next(verb.kind, fault)
    with observed(bank, collection), suppress(PaymentError):
        verb.run(PAYER, collection)


def test_session_that_replaces_another_counts(bank: Bank, session: PaymentSession) -> None:
    with observed(bank, session.collection):
        open_session(session.collection)


@pytest.mark.parametrize("amount", ["60.00", "150.00"])
def test_change_of_amount_counts(bank: Bank, session: PaymentSession, amount: str) -> None:
    with observed(bank, session.collection):
        update_payment_collection(session.collection, amount=amount)


def test_change_of_amount_without_sessions_counts(bank: Bank, collection: PaymentCollection) -> None:
    with observed(bank, collection):
        update_payment_collection(collection, amount="60.00")


@pytest.mark.parametrize("fault", [done, lost, refused], ids=named)
def test_cancelation_of_a_collection_counts(bank: Bank, collection: PaymentCollection, fault: Fault) -> None:
    authorize_payment_session(open_session(collection, "60.00"))
    open_session(collection)
    bank.next("cancel", fault)
    with observed(bank, collection), suppress(PaymentError):
        cancel_payment_collection(collection)


def test_cancelation_of_an_empty_collection_counts(bank: Bank, collection: PaymentCollection) -> None:
    with observed(bank, collection):
        cancel_payment_collection(collection)


def test_mark_as_paid_counts(bank: Bank, collection: PaymentCollection) -> None:
    open_session(collection, "60.00")
    open_session(collection)
    with observed(bank, collection):
        mark_payment_collection_as_paid(collection)


def test_installments_count(bank: Bank, collection: PaymentCollection) -> None:
    with observed(bank, collection):
        parts = create_installment_plan(collection, provider_id="bank", count=3, interval="month")
    with observed(bank, collection):
        authorize_payment_session(parts[0])
    with observed(bank, collection):
        cancel_payment_session(parts[1])


def test_adoption_of_a_guest_s_collection_counts(bank: Bank, db: None) -> None:
    order = Order.objects.create(number="1001", total="100.00", currency_code="eur")
    collection = create_payment_collection(amount="100.00", currency_code="eur", payable=order)
    resolved = ResolvedPayable(
        payable=order, amount="100.00", currency_code="eur", customer=CustomerFactory.create()
    )
    with observed(bank, collection):
        open_payment_collection(resolved)
    collection.refresh_from_db()
    assert collection.customer == resolved.customer


# Reports


REPORTS: Final = {
    "to be confirmed": SessionFact(
        currency_code="eur",
        status=SessionStatus.REQUIRES_MORE,
        next_action=NextAction(type="redirect", url="https://bank.example/3ds"),
        provider_data={"version": 2},
    ),
    "refused": SessionFact(
        currency_code="eur", status=SessionStatus.ERROR, failure=Failure(code="stolen_card")
    ),
    "authorized": SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED),
    "canceled": SessionFact(currency_code="eur", status=SessionStatus.CANCELED),
    "in another currency": SessionFact(currency_code="usd", status=SessionStatus.AUTHORIZED),
    "about a copy": SessionFact(
        currency_code="eur", status=SessionStatus.AUTHORIZED, provider_reference="account_copy"
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_report_of_a_session_counts(bank: Bank, session: PaymentSession, name: str) -> None:
    if name == "about a copy":
        authorize_payment_session(session)
    with observed(bank, session.collection):
        record_fact(session, REPORTS[name], origin=WEBHOOK)


MOVEMENTS: Final[dict[str, Callable[[Bank, PaymentSession], None]]] = {
    "captured": lambda bank, session: bank.take(session, "30.00"),
    "refunded": lambda bank, session: bank.give_back(session, "20.00"),
    "released": lambda bank, session: bank.let_go(session, "10.00"),
    "charged back": lambda bank, session: setattr(bank.of(session), "charged_back", Decimal(40)),
}


@pytest.mark.parametrize("name", MOVEMENTS)
def test_report_of_a_movement_counts(bank: Bank, payment: Payment, name: str) -> None:
    capture_payment(payment, amount="50.00")
    MOVEMENTS[name](bank, payment.session)
    with observed(bank, payment.collection):
        bank.tell(payment.session)


def test_answer_to_a_question_counts(bank: Bank, session: PaymentSession) -> None:
    bank.pay(session)
    with observed(bank, session.collection):
        sync_payment_session(session)


def test_note_that_a_session_is_not_found_counts(bank: Bank, session: PaymentSession) -> None:
    del bank.accounts[session.pk]
    with observed(bank, session.collection):
        sync_payment_session(session)
    assert session.events.filter(type="session.not_found").exists()


# Webhook events


def store(bank: Bank, session: PaymentSession, fact: SessionFact | None) -> WebhookEvent:
    """Have an event be stored, and be due."""
    event = WebhookEvent(
        provider=PaymentProvider.objects.get(pk="bank"),
        event_id="evt_1",
        type="changed",
        session=session,
        fact=None if fact is None else encode_fact(fact),
        next_attempt_at=timezone.now(),
    )
    event.save(force_insert=True)
    return event


@pytest.mark.parametrize("is_hint", [True, False], ids=["hint", "fact"])
def test_application_of_an_event_counts(bank: Bank, session: PaymentSession, is_hint: bool) -> None:
    bank.pay(session)
    event = store(bank, session, None if is_hint else bank.fact(session))
    with observed(bank, session.collection):
        assert process_due_events() == 1
    event.refresh_from_db()
    assert event.status == WebhookEventStatus.APPLIED


def test_approval_that_is_acted_on_counts(bank: Bank, session: PaymentSession) -> None:
    store(bank, session, replace(REPORTS["to be confirmed"], awaits_authorization=True))
    with observed(bank, session.collection):
        assert process_due_events() == 1
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


def test_replay_counts(bank: Bank, session: PaymentSession) -> None:
    bank.pay(session)
    event = store(bank, session, bank.fact(session))
    process_due_events()
    with observed(bank, session.collection):
        replay_webhook_event(event)
    assert session.events.filter(type="webhook.replayed").exists()
