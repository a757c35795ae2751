"""What is sent again is the same request, field by field, whatever was renamed or renewed since the first sending.

A bank that compares what comes under one key refuses anything else, and that refusal looks as if nothing had been done.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model

from payments import services
from payments.exceptions import OutcomeUnknownError, PaymentError
from payments.models import Payment, PaymentCollection, PaymentSession, RefundReason
from payments.providers import InitiateResult, NextAction, SessionFact
from payments.states import Outcome, SessionStatus
from payments.testing import Script
from tests.reliability.banks import WEBHOOK, Act, Bank, lost, open_collection, open_session
from tests.reliability.clocks import TestClock
from tests.reliability.verbs import VERBS, Payer, Verb

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database_independent,
    pytest.mark.usefixtures("bank"),
]

PAYER: Final = Payer(provider_id="bank")

RENEWED: Final = SessionFact(
    currency_code="eur",
    status=SessionStatus.REQUIRES_MORE,
    provider_reference="account_1",
    next_action=NextAction(type="redirect", url="https://bank.example/3ds"),
    data={"client_token": "new"},
    provider_data={"version": 2},
)
"""A report with which the bank renews both halves of a session's data."""


@pytest.fixture
def customer(db: None) -> Any:
    """Return a customer of the shop."""
    return get_user_model().objects.create_user("carol", email="carol@shop.example")


@pytest.fixture
def collection(bank: Bank, clock: TestClock, customer: Any) -> PaymentCollection:
    """Return a customer's collection of 100.00 euros, with words for the payer."""
    collection = open_collection()
    give_to(collection, customer)
    return collection


def give_to(collection: PaymentCollection, customer: Any) -> None:
    """Give a collection to a customer, and words for the payer."""
    collection.customer, collection.description = customer, "Order 1001"
    collection.save_fields("customer", "description")


def rename_everything(collection: PaymentCollection) -> None:
    """Change what a shop may change at any time: addresses, words, and who the customer is."""
    customer = collection.customer
    assert customer is not None
    customer.email = "caroline@shop.example"
    customer.save()
    for reason in RefundReason.objects.all():
        reason.label = f"New: {reason.label}"
        reason.save()
    other = get_user_model().objects.create_user("dave", email="dave@shop.example")
    collection.customer, collection.description = other, "Order 1001, changed"
    collection.save_fields("customer", "description")


def send_again(bank: Bank, clock: TestClock, verb: str) -> None:
    """Have the reconciler send what got lost, and see that it is the same."""
    (first,) = bank.requests(verb)[-1:]
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    *_others, second = bank.requests(verb)
    assert second is not first
    assert second == first
    assert type(second) is type(first)


@pytest.mark.shows(
    "The customer's address, the words for the payer, the reason for a refund and more change between two sendings",
    "The same request is sent again under the same key",
)
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_request_is_the_same_whatever_was_renamed(
    bank: Bank, clock: TestClock, customer: Any, verb: Verb
) -> None:
    collection = verb.prepare(PAYER)
    give_to(collection, customer)
    bank.next(verb.kind, lost)
    with suppress(PaymentError):
        verb.run(PAYER, collection)
    rename_everything(collection)
    send_again(bank, clock, verb.kind)
    assert not collection.operations.open().exists()


@pytest.mark.shows(
    "The reason for a refund is renamed between two sendings", "The words of the first are sent again"
)
def test_refund_is_sent_again_with_the_reason_as_it_was_called(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    services.capture_payment(payment)
    reason = RefundReason.objects.create(label="Requested by customer")
    bank.next("refund", lost)
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment, amount="40.00", reason=reason)
    RefundReason.objects.filter(pk=reason.pk).update(label="Changed their mind")
    send_again(bank, clock, "refund")
    assert [request.reason for request in bank.requests("refund")] == ["Requested by customer"] * 2
    bank.assert_agrees(payment.collection)


def test_refund_without_a_reason_is_sent_again_without_one(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    services.capture_payment(payment)
    bank.next("refund", lost)
    with pytest.raises(OutcomeUnknownError):
        services.refund_payment(payment, amount="40.00")
    send_again(bank, clock, "refund")
    assert [request.reason for request in bank.requests("refund")] == [None] * 2


def test_second_refund_names_the_reason_as_it_is_called_by_then(bank: Bank, payment: Payment) -> None:
    services.capture_payment(payment)
    reason = RefundReason.objects.create(label="Requested by customer")
    services.refund_payment(payment, amount="40.00", reason=reason)
    reason.label = "Changed their mind"
    reason.save()
    services.refund_payment(payment, amount="40.00", reason=reason)
    assert [request.reason for request in bank.requests("refund")] == [
        "Requested by customer",
        "Changed their mind",
    ]


def test_initiation_is_sent_again_with_the_payer_as_it_was(
    bank: Bank, clock: TestClock, collection: PaymentCollection
) -> None:
    bank.next("initiate", lost)
    with pytest.raises(OutcomeUnknownError):
        services.create_payment_session(
            collection,
            provider_id="bank",
            context=services.payment_context(collection, return_url="https://shop.example/back"),
        )
    rename_everything(collection)
    send_again(bank, clock, "initiate")
    (context,) = {request.context for request in bank.requests("initiate")}
    assert (context.email, context.description, context.return_url) == (
        "carol@shop.example",
        "Order 1001",
        "https://shop.example/back",
    )


def test_installment_is_initiated_again_as_it_was(
    bank: Bank, clock: TestClock, collection: PaymentCollection
) -> None:
    part, *_others = services.create_installment_plan(
        collection, provider_id="bank", count=2, interval="month"
    )
    bank.next("initiate", lost)
    with pytest.raises(OutcomeUnknownError):
        services.authorize_payment_session(part)
    rename_everything(collection)
    send_again(bank, clock, "initiate")


def test_account_is_asked_for_again_with_the_address_as_it_was(customer: Any, script: Script) -> None:
    script.next("create_account", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.create_account_holder(customer, provider_id="scripted")
    customer.email = "caroline@shop.example"
    customer.save()
    services.create_account_holder(customer, provider_id="scripted")
    first, second = script.requests("create_account")
    assert (first.is_retry, second.is_retry) == (False, True)
    assert replace(second, is_retry=False) == first


# What the bank itself has renewed between two sendings


@pytest.mark.shows(
    "A report renews what the provider keeps with a session, between two sendings of a change or a cancelation",
    "The request that is sent again has what the first one had",
)
@pytest.mark.parametrize(
    ("verb", "change"),
    [
        ("update", lambda session: services.update_payment_session(session, amount="60.00")),
        ("cancel", services.cancel_payment_session),
    ],
    ids=["update", "cancel"],
)
def test_request_is_the_same_whatever_a_report_has_renewed(
    bank: Bank,
    clock: TestClock,
    session: PaymentSession,
    verb: str,
    change: Callable[[PaymentSession], object],
) -> None:
    bank.next(verb, lost)
    with pytest.raises(OutcomeUnknownError):
        change(session)
    services.record_fact(session, RENEWED, origin=WEBHOOK)
    session.refresh_from_db()
    assert (session.data, session.provider_data) == ({"client_token": "new"}, {"version": 2})
    send_again(bank, clock, verb)


def test_request_is_the_same_when_a_report_has_brought_the_reference(
    bank: Bank, clock: TestClock, collection: PaymentCollection
) -> None:
    bank.next("initiate", _without_a_reference)
    session = open_session(collection)
    bank.next("update", lost)
    with pytest.raises(OutcomeUnknownError):
        services.update_payment_session(session, amount="60.00")
    services.record_fact(session, RENEWED, origin=WEBHOOK)
    session.refresh_from_db()
    assert session.provider_reference == "account_1"
    send_again(bank, clock, "update")


@pytest.mark.shows(
    "Another capture or refund renews what the provider keeps with a payment, between two sendings of one",
    "The request that is sent again has what the first one had",
)
@pytest.mark.parametrize("verb", ["capture", "refund"])
def test_movement_is_sent_again_the_same_whatever_another_has_renewed(
    bank: Bank, clock: TestClock, payment: Payment, verb: str
) -> None:
    services.capture_payment(payment, amount="50.00")
    move = services.capture_payment if verb == "capture" else services.refund_payment
    bank.next(verb, lost, _renewing)
    with pytest.raises(OutcomeUnknownError):
        move(payment, amount="30.00")
    move(payment, amount="20.00")
    payment.refresh_from_db()
    assert payment.provider_data == {"version": 3}
    lost_one, _other = bank.requests(verb)[-2:]
    clock.advance(timedelta(minutes=2))
    services.reconcile_due()
    assert bank.requests(verb)[-1] == lost_one
    taken, back = (100, 0) if verb == "capture" else (50, 50)
    assert bank.of(payment.session).captured == taken
    assert bank.of(payment.session).refunded == back
    bank.assert_agrees(payment.collection)


def test_release_is_sent_again_the_same_whatever_a_refund_has_renewed(
    bank: Bank, clock: TestClock, payment: Payment
) -> None:
    services.capture_payment(payment, amount="40.00")
    bank.next("cancel", lost)
    with pytest.raises(OutcomeUnknownError):
        services.cancel_payment(payment)
    bank.next("refund", _renewing)
    services.refund_payment(payment, amount="10.00")
    send_again(bank, clock, "cancel")
    assert bank.of(payment.session).released == Decimal(60)
    bank.assert_agrees(payment.collection)


def test_next_request_has_what_the_bank_has_renewed(bank: Bank, payment: Payment) -> None:
    bank.next("capture", _renewing)
    services.capture_payment(payment, amount="30.00")
    services.capture_payment(payment, amount="20.00")
    assert [request.provider_data for request in bank.requests("capture")] == [{}, {"version": 3}]


def _without_a_reference(act: Act) -> InitiateResult:
    act()
    return InitiateResult(outcome=Outcome.SUCCEEDED)


def _renewing(act: Act) -> Any:
    return replace(act(), provider_data={"version": 3})
