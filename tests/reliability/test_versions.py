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

from payments import models, services
from payments.exceptions import PaymentError
from payments.providers import Failure, NextAction, SessionFact, encode_fact
from payments.states import OperationStatus, SessionStatus, WebhookEventStatus
from payments.testing.factories import CustomerFactory
from tests.reliability import banks
from tests.reliability.clocks import TestClock
from tests.reliability.news import named, thoroughly
from tests.reliability.observers import HAVE_VERSIONS, observed
from tests.reliability.verbs import VERBS, Payer, Verb
from tests.shop.models import Order

if not HAVE_VERSIONS:
    pytest.skip("collections don't count their changes yet", allow_module_level=True)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

PAYER: Final = Payer(provider_id="bank")
SOME_VERBS: Final = tuple(verb for verb in VERBS if verb.name in ("authorize", "capture", "cancel_session"))


def lose(
    bank: banks.Bank, verb: str, act: Callable[[], object], *, times: int = 1
) -> models.PaymentOperation:
    """Do something whose request gets lost, so often, and return its operation."""
    bank.next(verb, *[banks.lost] * times)
    with suppress(PaymentError):
        act()
    return models.PaymentOperation.objects.get(status=OperationStatus.UNKNOWN)


# The verbs


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        *((verb, banks.done) for verb in VERBS),
        *(
            thoroughly(verb, fault)
            for verb in SOME_VERBS
            for fault in (banks.lost, banks.refused, banks.unanswered)
        ),
    ],
    ids=named,
)
def test_every_verb_counts(
    bank: banks.Bank, clock: TestClock, db: None, verb: Verb, fault: banks.Fault
) -> None:
    collection = verb.prepare(PAYER)
    bank.next(verb.kind, fault)
    with observed(bank, collection), suppress(PaymentError):
        verb.run(PAYER, collection)


def test_session_that_replaces_another_counts(bank: banks.Bank, session: models.PaymentSession) -> None:
    with observed(bank, session.collection):
        banks.open_session(session.collection)


@pytest.mark.parametrize("amount", ["60.00", "150.00"])
def test_change_of_amount_counts(bank: banks.Bank, session: models.PaymentSession, amount: str) -> None:
    with observed(bank, session.collection):
        services.update_payment_collection(session.collection, amount=amount)


def test_change_of_amount_without_sessions_counts(
    bank: banks.Bank, collection: models.PaymentCollection
) -> None:
    with observed(bank, collection):
        services.update_payment_collection(collection, amount="60.00")


@pytest.mark.parametrize("fault", [banks.done, banks.lost, banks.refused], ids=named)
def test_cancelation_of_a_collection_counts(
    bank: banks.Bank, collection: models.PaymentCollection, fault: banks.Fault
) -> None:
    services.authorize_payment_session(banks.open_session(collection, "60.00"))
    banks.open_session(collection)
    bank.next("cancel", fault)
    with observed(bank, collection), suppress(PaymentError):
        services.cancel_payment_collection(collection)


def test_cancelation_of_an_empty_collection_counts(
    bank: banks.Bank, collection: models.PaymentCollection
) -> None:
    with observed(bank, collection):
        services.cancel_payment_collection(collection)


def test_mark_as_paid_counts(bank: banks.Bank, collection: models.PaymentCollection) -> None:
    banks.open_session(collection, "60.00")
    banks.open_session(collection)
    with observed(bank, collection):
        services.mark_payment_collection_as_paid(collection)


def test_installments_count(bank: banks.Bank, collection: models.PaymentCollection) -> None:
    with observed(bank, collection):
        parts = services.create_installment_plan(collection, provider_id="bank", count=3, interval="month")
    with observed(bank, collection):
        services.authorize_payment_session(parts[0])
    with observed(bank, collection):
        services.cancel_payment_session(parts[1])


def test_adoption_of_a_guest_s_collection_counts(bank: banks.Bank, db: None) -> None:
    order = Order.objects.create(number="1001", total="100.00", currency_code="eur")
    collection = services.create_payment_collection(amount="100.00", currency_code="eur", payable=order)
    resolved = services.ResolvedPayable(
        payable=order, amount="100.00", currency_code="eur", customer=CustomerFactory.create()
    )
    with observed(bank, collection):
        services.open_payment_collection(resolved)
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
def test_report_of_a_session_counts(bank: banks.Bank, session: models.PaymentSession, name: str) -> None:
    if name == "about a copy":
        services.authorize_payment_session(session)
    with observed(bank, session.collection):
        services.record_fact(session, REPORTS[name], origin=banks.WEBHOOK)


MOVEMENTS: Final[dict[str, Callable[[banks.Bank, models.PaymentSession], None]]] = {
    "captured": lambda bank, session: bank.take(session, "30.00"),
    "refunded": lambda bank, session: bank.give_back(session, "20.00"),
    "released": lambda bank, session: bank.let_go(session, "10.00"),
    "charged back": lambda bank, session: setattr(bank.of(session), "charged_back", Decimal(40)),
}


@pytest.mark.parametrize("name", MOVEMENTS)
def test_report_of_a_movement_counts(bank: banks.Bank, payment: models.Payment, name: str) -> None:
    services.capture_payment(payment, amount="50.00")
    MOVEMENTS[name](bank, payment.session)
    with observed(bank, payment.collection):
        bank.tell(payment.session)


def test_answer_to_a_question_counts(bank: banks.Bank, session: models.PaymentSession) -> None:
    bank.pay(session)
    with observed(bank, session.collection):
        services.sync_payment_session(session)


def test_note_that_a_session_is_not_found_counts(bank: banks.Bank, session: models.PaymentSession) -> None:
    del bank.accounts[session.pk]
    with observed(bank, session.collection):
        services.sync_payment_session(session)
    assert session.events.filter(type="session.not_found").exists()


# Webhook events


def store(bank: banks.Bank, session: models.PaymentSession, fact: SessionFact | None) -> models.WebhookEvent:
    """Have an event be stored, and be due."""
    event = models.WebhookEvent(
        provider=models.PaymentProvider.objects.get(pk="bank"),
        event_id="evt_1",
        type="changed",
        session=session,
        fact=None if fact is None else encode_fact(fact),
        next_attempt_at=timezone.now(),
    )
    event.save(force_insert=True)
    return event


@pytest.mark.parametrize("is_hint", [True, False], ids=["hint", "fact"])
def test_application_of_an_event_counts(
    bank: banks.Bank, session: models.PaymentSession, is_hint: bool
) -> None:
    bank.pay(session)
    event = store(bank, session, None if is_hint else bank.fact(session))
    with observed(bank, session.collection):
        assert services.process_due_events() == 1
    event.refresh_from_db()
    assert event.status == WebhookEventStatus.APPLIED


def test_approval_that_is_acted_on_counts(bank: banks.Bank, session: models.PaymentSession) -> None:
    store(bank, session, replace(REPORTS["to be confirmed"], awaits_authorization=True))
    with observed(bank, session.collection):
        assert services.process_due_events() == 1
    session.refresh_from_db()
    assert session.status == SessionStatus.AUTHORIZED


def test_replay_counts(bank: banks.Bank, session: models.PaymentSession) -> None:
    bank.pay(session)
    event = store(bank, session, bank.fact(session))
    services.process_due_events()
    with observed(bank, session.collection):
        services.replay_webhook_event(event)
    assert session.events.filter(type="webhook.replayed").exists()
