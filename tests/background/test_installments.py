"""Due installments are charged by themselves where that was agreed, once a day, and no failure is lost on the shop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from payments import services, signals
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import (
    AuthorizeResult,
    Failure,
    InitiateResult,
    NextAction,
    ProviderResult,
    RetrieveResult,
)
from payments.providers.account_holders import AccountRequest, ListMethodsResult, SavedPaymentMethod
from payments.services.background.installments import CHALLENGE, PAUSE
from payments.services.background.reconciler import reconcile_due
from payments.states import Outcome
from payments.testing import Script
from payments.testing.factories import CustomerFactory
from tests.reliability.clocks import TestClock
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

ASKED = AuthorizeResult(
    outcome=Outcome.SUCCEEDED, next_action=NextAction(type="challenge", url="https://bank.example/3ds")
)
REFUSED = AuthorizeResult(
    outcome=Outcome.DECLINED, failure=Failure(code="insufficient_funds", message="There is not enough.")
)


@pytest.fixture
def customer(script: Script) -> AbstractBaseUser:
    """Return a customer who has saved a card."""
    customer = CustomerFactory.create()
    services.create_account_holder(customer, provider_id="scripted")
    return customer


def plan(customer: AbstractBaseUser | None, **values: Any) -> list[PaymentSession]:
    """Agree on two installments of 50.00 euros, one of which is due now."""
    collection = services.create_payment_collection(amount="100.00", currency_code="eur", customer=customer)
    agreed: dict[str, Any] = {"count": 2, "interval": "month", "is_automatic": True}
    return services.create_installment_plan(collection, provider_id="scripted", **agreed | values)


def events(session: PaymentSession, event_type: str) -> list[PaymentEvent]:
    return list(PaymentEvent.objects.filter(session=session, type=event_type))


def test_what_is_due_is_charged_with_the_saved_card_while_the_customer_is_away(
    customer: AbstractBaseUser, script: Script
) -> None:
    due, later = plan(customer)
    told: list[PaymentSession] = []

    assert services.charge_due_installments(progress=told.append) == 1

    assert told == [due]
    due.refresh_from_db()
    later.refresh_from_db()
    assert (due.status, later.status) == ("authorized", "pending")
    [request] = script.requests("authorize")
    assert request.saved_method is not None
    assert request.input == {}
    assert {event.source for event in events(due, "session.authorized")} == {"system"}
    assert services.charge_due_installments() == 0


def test_the_rest_is_charged_when_its_day_has_come(customer: AbstractBaseUser, clock: TestClock) -> None:
    _due, later = plan(customer)
    services.charge_due_installments()
    clock.advance(timedelta(days=32))

    assert services.charge_due_installments() == 1

    later.refresh_from_db()
    assert later.status == "authorized"


def test_a_plan_without_an_agreement_is_left_to_its_customer(
    customer: AbstractBaseUser, script: Script
) -> None:
    plan(customer, is_automatic=False)

    assert services.charge_due_installments() == 0
    assert script.requests("authorize") == []


@pytest.mark.django_db(transaction=True)
def test_where_the_bank_wants_the_customer_the_shop_is_told_and_they_go_on(
    customer: AbstractBaseUser, script: Script
) -> None:
    due, _later = plan(customer)
    asked: list[PaymentSession] = []

    def mail(sender: Any, session: PaymentSession, **_more: Any) -> None:
        asked.append(session)

    signals.session_requires_more.connect(mail)
    script.next("authorize", ASKED)
    try:
        services.charge_due_installments()
    finally:
        signals.session_requires_more.disconnect(mail)

    due.refresh_from_db()
    assert asked == [due]
    assert due.next_action == {"type": "challenge", "url": "https://bank.example/3ds"}
    services.authorize_payment_session(due)
    assert due.status == "authorized"
    assert [request.saved_method is None for request in script.requests("authorize")] == [False, True]


@pytest.mark.shows(
    "A customer tries an installment in vain, and on its day it can't be charged: no card is saved, or nobody answers",
    "It is tried again the next day, since no bank has answered the shop; the shop is told why it wasn't charged",
)
@pytest.mark.parametrize("own_try", [REFUSED, ASKED, None])
@pytest.mark.parametrize(
    "first_day",
    [
        (ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=()), "unknown_payment_method"),
        (ListMethodsResult(outcome=Outcome.NOT_SENT), "provider_unavailable"),
        (ListMethodsResult(outcome=Outcome.UNKNOWN), "outcome_unknown"),
    ],
)
def test_what_could_not_be_tried_is_tried_again_whatever_the_customer_has_tried(
    customer: AbstractBaseUser,
    script: Script,
    clock: TestClock,
    own_try: AuthorizeResult | None,
    first_day: tuple[ListMethodsResult, str],
) -> None:
    due, _later = plan(customer)
    methods, code = first_day
    if own_try is not None:
        script.next("authorize", own_try)
        services.authorize_payment_session(due, by_payer=True, actor=customer)
        clock.advance(CHALLENGE + timedelta(hours=1))
    script.next("list_methods", methods)
    assert services.charge_due_installments() == 1
    assert [event.data for event in events(due, "session.not_charged")] == [{"code": code}]

    clock.advance(PAUSE + timedelta(minutes=1))

    assert services.charge_due_installments() == 1
    due.refresh_from_db()
    assert due.status == "authorized"


@pytest.mark.parametrize("answer", [ASKED, REFUSED])
def test_what_waits_for_the_customer_is_not_charged_again(
    customer: AbstractBaseUser, script: Script, clock: TestClock, answer: AuthorizeResult
) -> None:
    due, _later = plan(customer)
    script.next("authorize", answer)
    services.charge_due_installments()

    clock.advance(PAUSE + timedelta(minutes=1))

    assert services.charge_due_installments() == 0
    assert len(script.requests("authorize")) == 1
    due.refresh_from_db()
    assert services.charge_saved_payment_method(due).status == "authorized"  # the shop may try again


@pytest.mark.shows(
    "A part of an installment that the bank refused is paid in cash, so that the rest waits for its payment again",
    "The rest isn't charged by itself either, until the shop asks for it",
)
@pytest.mark.parametrize("answer", [ASKED, REFUSED])
@pytest.mark.parametrize("how", ["received", "changed"])
def test_what_waits_for_the_customer_is_not_charged_again_with_another_amount(
    customer: AbstractBaseUser, script: Script, clock: TestClock, answer: AuthorizeResult, how: str
) -> None:
    due, _later = plan(customer)
    script.next("authorize", answer)
    services.charge_due_installments()
    clock.advance(PAUSE + timedelta(minutes=1))

    if how == "received":
        services.mark_payment_collection_as_paid(due.collection, session=due, amount="20.00")
    else:
        services.update_payment_session(due, amount="30.00")

    due.refresh_from_db()
    assert (due.status, due.amount) == ("pending", Decimal(30))
    assert services.charge_due_installments() == 0
    assert services.charge_saved_payment_method(due).status == "authorized"


@pytest.mark.parametrize("is_tried", [False, True])
def test_what_its_customer_has_tried_in_vain_is_charged_with_another_amount(
    customer: AbstractBaseUser, script: Script, clock: TestClock, is_tried: bool
) -> None:
    """A charge that couldn't be tried, for want of a saved card, isn't a refusal."""
    due, _later = plan(customer)
    if is_tried:
        script.next("list_methods", ListMethodsResult(outcome=Outcome.SUCCEEDED))
        services.charge_due_installments()
        clock.advance(PAUSE + timedelta(minutes=1))
    script.next("authorize", REFUSED)
    services.authorize_payment_session(due, by_payer=True, actor=customer)
    services.update_payment_session(due, amount="30.00")

    assert services.charge_due_installments() == 1

    due.refresh_from_db()
    assert due.status == "authorized"


@pytest.mark.shows(
    "A payer tries an installment that is charged by itself, and leaves their bank's question unanswered",
    "After an hour it is charged as was agreed, once, however often they ask again",
)
@pytest.mark.parametrize("first", [None, REFUSED])
def test_a_question_that_its_payer_has_left_does_not_end_what_was_agreed(
    customer: AbstractBaseUser, script: Script, clock: TestClock, first: AuthorizeResult | None
) -> None:
    due, _later = plan(customer)
    script.next("authorize", *([] if first is None else [first]), ASKED, ASKED)
    for _answer in range(2 if first is None else 3):
        services.authorize_payment_session(due, by_payer=True, actor=customer)
        if due.status == "requires_more":
            assert services.charge_due_installments() == 0  # the payer may be answering
            clock.advance(CHALLENGE / 2)
    clock.advance(timedelta(minutes=1))
    script.next("authorize", REFUSED)

    assert services.charge_due_installments() == 1

    assert script.requests("authorize")[-1].saved_method is not None
    clock.advance(PAUSE + timedelta(minutes=1))
    script.next("authorize", ASKED)
    services.authorize_payment_session(due, by_payer=True, actor=customer)
    clock.advance(PAUSE + timedelta(minutes=1))
    assert services.charge_due_installments() == 0  # a charge that was refused isn't repeated


@pytest.mark.django_db(transaction=True)
def test_without_a_saved_card_the_shop_is_told_once_a_day(
    customer: AbstractBaseUser, script: Script, clock: TestClock
) -> None:
    due, _later = plan(customer)
    nothing = ListMethodsResult(outcome=Outcome.SUCCEEDED)
    script.next("list_methods", nothing, nothing)
    told: list[Any] = []

    def mail(sender: Any, event: PaymentEvent, **_more: Any) -> None:
        told.append(event.data)

    signals.session_not_charged.connect(mail)
    try:
        for hours in (0, 12, 13):
            clock.advance(timedelta(hours=hours))
            services.charge_due_installments()
    finally:
        signals.session_not_charged.disconnect(mail)

    assert told == [{"code": "unknown_payment_method"}] * 2
    clock.advance(PAUSE + timedelta(minutes=1))
    services.charge_due_installments()
    due.refresh_from_db()
    assert due.status == "authorized"


@pytest.mark.shows(
    "While the provider tells what a customer has saved, they begin to pay, or their order or agreement is ended",
    "Nothing is charged with it, and the shop is told",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["is asked by the bank", "is erased", "gives the order away"])
@pytest.mark.parametrize("is_begun", [False, True])
def test_what_is_no_longer_agreed_once_the_card_is_known_is_not_charged(
    customer: AbstractBaseUser, script: Script, what: str, is_begun: bool
) -> None:
    order = Order.objects.create(number="D-1", total=100, currency_code="eur")
    resolved = services.ResolvedPayable(payable=order, amount=100, currency_code="eur", customer=customer)
    other = CustomerFactory.create()
    services.create_account_holder(other, provider_id="scripted")
    collection, _is_new = services.open_payment_collection(resolved)
    [due] = services.create_installment_plan(
        collection, provider_id="scripted", count=1, interval="month", is_automatic=True
    )
    if is_begun:
        script.next("authorize", REFUSED)
        services.authorize_payment_session(due, by_payer=True, actor=customer)

    def meanwhile(request: AccountRequest) -> ListMethodsResult:
        if what == "is erased":
            services.erase_customer(customer)
        elif what == "gives the order away":
            services.open_payment_collection(replace(resolved, customer=other))
        else:
            script.next("authorize", ASKED)
            services.authorize_payment_session(due, by_payer=True, actor=customer)
        card = SavedPaymentMethod(id="card_1", type="card", brand="visa", last4="4242", expires="2034-12")
        return ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(card,))

    script.next("list_methods", meanwhile)
    services.charge_due_installments()

    assert not [request for request in script.requests("authorize") if request.saved_method]
    assert [event.data["code"] for event in events(due, "session.not_charged")] == ["not_agreed"]


@pytest.mark.shows(
    "A charge, or what goes before it, gets lost; then the order comes into other hands, or its customer is erased",
    "It isn't sent again with what the former customer has saved, and a person looks at what may have got through",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lost", ["initiate", "authorize"])
@pytest.mark.parametrize("what", ["is erased", "gives the order away"])
def test_what_is_no_longer_agreed_is_not_charged_by_sending_it_again(
    customer: AbstractBaseUser, script: Script, clock: TestClock, what: str, lost: Any
) -> None:
    order = Order.objects.create(number="D-1", total=100, currency_code="eur")
    resolved = services.ResolvedPayable(payable=order, amount=100, currency_code="eur", customer=customer)
    collection, _is_new = services.open_payment_collection(resolved)
    [due] = services.create_installment_plan(
        collection, provider_id="scripted", count=1, interval="month", is_automatic=True
    )
    script.next(lost, TimeoutError())
    services.charge_due_installments()
    before = len(script.requests("authorize"))

    if what == "is erased":
        services.erase_customer(customer)
    else:
        services.open_payment_collection(replace(resolved, customer=CustomerFactory.create()))
    clock.advance(timedelta(minutes=6))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED))
    reconcile_due()
    clock.advance(PAUSE)
    services.charge_due_installments()

    assert len(script.requests("authorize")) == before
    operation = due.operations.get(kind=lost)
    assert operation.status == ("succeeded" if lost == "initiate" else "attention")


def test_without_an_account_or_a_customer_the_shop_is_told(script: Script) -> None:
    newcomer, _later = plan(CustomerFactory.create())
    guest, _later = plan(None)

    assert services.charge_due_installments() == 2

    for session in (newcomer, guest):
        [event] = events(session, "session.not_charged")
        assert event.data == {"code": "no_account"}
    assert not PaymentOperation.objects.exists()


def test_it_is_given_up_after_a_month(customer: AbstractBaseUser, clock: TestClock) -> None:
    plan(customer, first_due_at=timezone.now())
    clock.advance(timedelta(days=32))

    assert services.charge_due_installments(limit=1) == 1  # the second one, which has just fallen due


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.PENDING])
def test_what_is_not_known_yet_is_left_to_the_reconciler(
    customer: AbstractBaseUser, script: Script, clock: TestClock, outcome: Outcome
) -> None:
    due, _later = plan(customer)
    script.next("authorize", AuthorizeResult(outcome=outcome))
    services.charge_due_installments()

    clock.advance(PAUSE + timedelta(minutes=1))

    assert services.charge_due_installments() == 0
    assert len(script.requests("authorize")) == 1
    assert events(due, "session.not_charged") == []


@pytest.mark.parametrize(
    ("verb", "result"),
    [
        ("authorize", AuthorizeResult(outcome=Outcome.NOT_SENT)),
        ("initiate", InitiateResult(outcome=Outcome.NOT_SENT)),
    ],
)
def test_a_provider_that_is_away_is_asked_again_the_next_day(
    customer: AbstractBaseUser,
    script: Script,
    clock: TestClock,
    verb: Literal["initiate", "authorize"],
    result: ProviderResult,
) -> None:
    due, _later = plan(customer)
    script.next(verb, result)
    services.charge_due_installments()
    [event] = events(due, "session.not_charged")
    assert event.data == {"code": "provider_unavailable"}

    clock.advance(PAUSE + timedelta(minutes=1))

    assert services.charge_due_installments() == 1
    due.refresh_from_db()
    assert due.status == "authorized"


@pytest.mark.shows(
    "The process dies after it has said that it charges an installment, and before it does",
    "Nothing is charged that day; the next day it is, once",
)
def test_a_process_that_died_before_it_charged_is_made_up_for_the_next_day(
    customer: AbstractBaseUser, script: Script, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    due, _later = plan(customer)

    def die(*_arguments: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("payments.services.background.installments.charge_saved_payment_method", die)
        with pytest.raises(KeyboardInterrupt):
            services.charge_due_installments()
    assert services.charge_due_installments() == 0

    clock.advance(PAUSE + timedelta(minutes=1))

    assert services.charge_due_installments() == 1
    due.refresh_from_db()
    assert due.status == "authorized"
    assert len(script.requests("authorize")) == 1
