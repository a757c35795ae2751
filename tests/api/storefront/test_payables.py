"""One collection for each thing to be paid, whoever asks and however many ask at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from payments import services
from payments.exceptions import (
    AmountError,
    DeclinedError,
    NotFoundError,
    OpenTransactionError,
    OperationInProgressError,
    PaymentError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import AccountHolder, PaymentCollection, PaymentSession
from payments.providers import (
    CancelResult,
    Failure,
    InitiateRequest,
    InitiateResult,
    MovementFact,
    RetrieveResult,
    SessionFact,
    UpdateResult,
)
from payments.services import ResolvedPayable, payables
from payments.services.payables import open_payment_collection
from payments.states import (
    CollectionStatus,
    EventSource,
    MovementKind,
    MovementStatus,
    Outcome,
    SessionStatus,
)
from payments.testing import Script
from payments.testing.factories import CustomerFactory
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder
from tests.shop.models import Order
from tests.threads import times

THREADS = 8


def resolved(order: Order, **values: Any) -> ResolvedPayable:
    asked: dict[str, Any] = {"amount": order.total, "currency_code": order.currency_code}
    return ResolvedPayable(payable=order, **(asked | values))


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_time_get_the_one_collection(make_order: MakeOrder) -> None:
    order = make_order(total="100", currency_code="eur")
    outcomes = times(THREADS, lambda: open_payment_collection(resolved(order)))
    assert outcomes.errors == []
    assert len({row.pk for row, _is_new in outcomes.values}) == PaymentCollection.objects.count() == 1
    assert sorted(is_new for _row, is_new in outcomes.values) == [False] * (THREADS - 1) + [True]


@pytest.mark.django_db
def test_a_description_goes_along_to_the_provider(make_order: MakeOrder, shopper: Any) -> None:
    order = make_order(customer=shopper)

    collection, _is_new = open_payment_collection(
        resolved(order, customer=shopper, description="Two tickets")
    )

    context = services.payment_context(collection, return_url="https://shop.example/")
    assert (context.description, context.return_url) == ("Two tickets", "https://shop.example/")
    assert (context.customer_id, context.email) == (str(shopper.pk), "sam@shopper.example")


@pytest.mark.shows(
    "An order comes into other hands",
    "No provider is told of the new customer's payment what the former one's was called",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("was_guest", [True, False])
@pytest.mark.parametrize("description", ["Two tickets", None])
@pytest.mark.database_independent
def test_a_description_goes_with_its_customer(
    make_order: MakeOrder, shopper: Any, script: Script, was_guest: bool, description: str | None
) -> None:
    order = make_order()
    former = None if was_guest else CustomerFactory.create()
    collection, _is_new = open_payment_collection(
        resolved(order, customer=former, description="For Ada Lovelace")
    )
    [part, _later] = services.create_installment_plan(
        collection, provider_id="scripted", count=2, interval="month"
    )

    opened, _is_new = open_payment_collection(resolved(order, customer=shopper, description=description))

    assert services.payment_context(opened).description == description
    services.authorize_payment_session(part, by_payer=True, actor=shopper)
    assert [request.context.description for request in script.requests("initiate")] == [description]


@pytest.mark.shows(
    "An order comes into other hands while a provider is being told of what is to be paid, and that comes to nothing",
    "When the new customer pays that, the provider is told of them, and of nobody else",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.NOT_SENT])
@pytest.mark.parametrize("is_part", [True, False])
@pytest.mark.database_independent
def test_what_came_to_nothing_for_the_former_customer_is_begun_anew(
    make_order: MakeOrder, shopper: Any, script: Script, outcome: Outcome, is_part: bool
) -> None:
    order, former = make_order(), CustomerFactory.create()
    services.create_account_holder(former, provider_id="scripted")
    collection, _is_new = open_payment_collection(resolved(order, customer=former, description="For Ada"))
    if is_part:
        services.create_installment_plan(collection, provider_id="scripted", count=1, interval="month")

    def meanwhile(request: InitiateRequest) -> InitiateResult:
        open_payment_collection(resolved(order, customer=shopper, description="For Bob"))
        return InitiateResult(outcome=outcome)

    script.next("initiate", meanwhile)
    begin: Callable[..., PaymentSession] = (
        partial(services.authorize_payment_session, PaymentSession.objects.get())
        if is_part
        else partial(services.create_payment_session, collection, provider_id="scripted")
    )
    with pytest.raises((DeclinedError, ProviderUnavailableError)):
        begin(by_payer=True, actor=former)
    services.authorize_payment_session(PaymentSession.objects.get(), by_payer=True, actor=shopper)

    [_first, told] = script.requests("initiate")
    assert (told.context.customer_id, told.context.description) == (str(shopper.pk), "For Bob")
    assert told.context.account_reference is None


@pytest.mark.shows(
    "A guest's session has failed before its provider knew of it; the guest logs in, and pays it",
    "The provider is told what the shop says of it now",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.database_independent
def test_what_came_to_nothing_for_a_guest_is_begun_anew(
    make_order: MakeOrder, shopper: Any, script: Script
) -> None:
    order = make_order()
    collection, _is_new = open_payment_collection(resolved(order, description="For a guest"))
    script.next("initiate", InitiateResult(outcome=Outcome.NOT_SENT))
    with pytest.raises(ProviderUnavailableError):
        services.create_payment_session(collection, provider_id="scripted", by_payer=True)

    open_payment_collection(resolved(order, customer=shopper, description="For Bob"))
    services.authorize_payment_session(PaymentSession.objects.get(), by_payer=True, actor=shopper)

    told = script.requests("initiate")[-1].context
    assert (told.customer_id, told.description) == (str(shopper.pk), "For Bob")


@pytest.mark.django_db
def test_another_currency_replaces_a_collection_in_which_nothing_is_held(make_order: MakeOrder) -> None:
    order = make_order()
    euros, _is_new = open_payment_collection(resolved(order))
    session = services.create_payment_session(euros, provider_id="scripted")

    dollars, is_new = open_payment_collection(resolved(order, currency_code="usd"))

    euros.refresh_from_db()
    session.refresh_from_db()
    assert (dollars.currency_code, is_new) == ("usd", True)
    assert (euros.status, session.status) == ("canceled", "canceled")


@pytest.mark.shows(
    "The shop's word in which currency an order is to be paid is older than what its payer has begun",
    "The shop is asked again, and what the payer has begun goes on",
)
@pytest.mark.django_db
def test_an_old_word_of_the_shop_ends_nothing_in_the_new_currency(make_order: MakeOrder) -> None:
    order = make_order()
    dollars, _is_new = open_payment_collection(resolved(order, currency_code="usd"))
    session = services.create_payment_session(dollars, provider_id="scripted", by_payer=True)

    opened, is_new = open_payment_collection(
        resolved(order, amount="80"),
        by_payer=True,
        ask_again=lambda: resolved(order, currency_code="usd"),
    )

    session.refresh_from_db()
    assert (opened, is_new, opened.amount) == (dollars, False, Decimal(order.total))
    assert (opened.status, session.status) == ("awaiting", "pending")


@pytest.mark.django_db
def test_another_currency_is_refused_where_money_is_held(make_order: MakeOrder) -> None:
    order = make_order()
    euros, _is_new = open_payment_collection(resolved(order))
    services.authorize_payment_session(services.create_payment_session(euros, provider_id="scripted"))

    with pytest.raises(TransitionError) as refusal:
        open_payment_collection(resolved(order, currency_code="usd"))

    assert refusal.value.code == "currency_changed"
    assert PaymentCollection.objects.count() == 1


def pay(order: Order, **values: Any) -> PaymentCollection:
    """Open an order and pay what is asked for, if anything is; return the collection."""
    collection, _is_new = open_payment_collection(resolved(order, **values))
    if collection.amount > collection.authorized_amount:
        session = services.create_payment_session(collection, provider_id="scripted")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        services.capture_payment(payment)
    collection.refresh_from_db()
    return collection


def kept(order: Order) -> Decimal:
    return sum((row.kept_amount for row in PaymentCollection.objects.for_payable(order)), Decimal(0))


@pytest.mark.shows(
    "An order has grown, and an operator has made a collection of its own for the rest",
    "The payer is asked for the rest alone, however often the order grows or is opened",
)
@pytest.mark.django_db
def test_what_another_collection_keeps_is_not_asked_for_again(make_order: MakeOrder) -> None:
    order = make_order(total="100", currency_code="eur")
    pay(order)
    order.total = Decimal(120)
    services.create_payment_collection(amount="20", currency_code="eur", payable=order)
    for _again in range(2):
        assert (pay(order).amount, kept(order)) == (Decimal(20), Decimal(120))
    order.total = Decimal(130)
    assert (pay(order).amount, kept(order)) == (Decimal(30), Decimal(130))


@pytest.mark.shows(
    "An order was refunded and opened anew, and then the refund fails at the bank",
    "Nothing is asked for: the empty collection is canceled, and the paid one is the order's again",
)
@pytest.mark.django_db
def test_money_that_comes_back_late_is_not_asked_for_again(make_order: MakeOrder) -> None:
    order = make_order(total="100", currency_code="eur")
    paid = pay(order)
    payment = paid.payments.get()
    services.refund_payment(payment)
    empty, is_new = open_payment_collection(resolved(order))
    assert is_new
    refund = payment.refunds.get()
    failed = MovementFact(
        kind=MovementKind.REFUND,
        amount=refund.amount,
        currency_code="eur",
        status=MovementStatus.FAILED,
        operation_id=refund.operations.get().pk,
    )
    services.record_fact(
        payment.session,
        SessionFact(currency_code="eur", movements=(failed,)),
        origin=services.Origin(source=EventSource.WEBHOOK),
    )
    assert (pay(order), kept(order)) == (paid, Decimal(100))
    empty.refresh_from_db()
    assert empty.status == CollectionStatus.CANCELED


@pytest.mark.shows(
    "An order has a second collection before the first is paid",
    "Each is asked for its own share; what the first is still to take isn't asked for in the second",
)
@pytest.mark.django_db
@pytest.mark.parametrize("is_begun", [True, False])
def test_what_another_collection_is_still_to_take_is_not_asked_for(
    make_order: MakeOrder, is_begun: bool
) -> None:
    order = make_order(total="100", currency_code="eur")
    first, _is_new = open_payment_collection(resolved(order))
    plan = services.create_installment_plan(first, provider_id="scripted", count=2, interval="month")
    if is_begun:
        services.authorize_payment_session(plan[0])
    order.total = Decimal(120)
    services.create_payment_collection(amount="20", currency_code="eur", payable=order)
    assert pay(order).amount == Decimal(20)


@pytest.mark.django_db
def test_what_was_given_back_in_another_collection_counts_as_in_one(make_order: MakeOrder) -> None:
    order = make_order(total="100", currency_code="eur")
    services.refund_payment(pay(order).payments.get(), amount="30")
    order.total = Decimal(120)  # 90 is its price, 30 was given back
    services.create_payment_collection(amount="20", currency_code="eur", payable=order)
    assert (pay(order).amount, kept(order)) == (Decimal(20), Decimal(90))


@pytest.mark.shows(
    "An order has several collections, some of them forgotten or paid in part, and its price changes",
    "The payer is asked for exactly what is left of the price; the newest keeps its share, the older ones give way",
)
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("price", "made", "amounts"),
    [
        (100, [(100, 0), (100, 40)], [None, 100]),
        (100, [(100, 0), (100, 0)], [None, 100]),
        (100, [(100, 0), (20, 20)], [80, 20]),
        (110, [(100, 50), (20, 20)], [90, 20]),
        (100, [(100, 60), (40, 10)], [60, 40]),
        (100, [(100, 60), (40, 40)], [60, 40]),
        (150, [(100, 0), (20, 20)], [130, 20]),
        (150, [(100, 100), (20, 5)], [100, 50]),
        (130, [(50, 0), (50, 0), (30, 0)], [50, 50, 30]),
    ],
)
def test_collections_of_an_order_are_together_for_its_price(
    make_order: MakeOrder, price: int, made: list[tuple[int, int]], amounts: list[int | None]
) -> None:
    order = make_order(total=str(price), currency_code="eur")
    collections = [
        services.create_payment_collection(amount=amount, currency_code="eur", payable=order)
        for amount, _held in made
    ]
    for collection, (_amount, held) in zip(collections, made, strict=True):
        if held:
            session = services.create_payment_session(collection, provider_id="scripted", amount=held)
            services.authorize_payment_session(session)

    opened, is_new = open_payment_collection(resolved(order))

    assert not is_new
    for collection, amount in zip(collections, amounts, strict=True):
        collection.refresh_from_db()
        assert (None if collection.status == CollectionStatus.CANCELED else collection.amount) == amount
    left = price - sum(held for _amount, held in made)
    assert (opened.amount > opened.authorized_amount) == (left > 0)
    assert open_payment_collection(resolved(order)) == (opened, False)


@pytest.mark.shows(
    "A collection is canceled while its payer pays a part of it",
    "What is held counts, and the payer is asked for the rest in another collection",
)
@pytest.mark.django_db
@pytest.mark.parametrize(
    "how", ["by an operator", "by an operator who makes another", "by its newer sibling"]
)
@pytest.mark.parametrize("amounts", [(100, 60), (120, 100), (100, 100)])
def test_canceled_collection_that_holds_money_takes_no_more(
    make_order: MakeOrder, script: Script, shopper: Any, how: str, amounts: tuple[int, int]
) -> None:
    price, held = amounts
    order = make_order(total="100", currency_code="eur")
    first, _is_new = open_payment_collection(resolved(order))
    session = services.create_payment_session(first, provider_id="scripted", amount=held)
    script.next("cancel", CancelResult(outcome=Outcome.DECLINED, failure=Failure(code="already_paid")))
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(held))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))
    cancel: Callable[[], object] = partial(services.cancel_payment_collection, first)
    if how == "by its newer sibling":
        services.create_payment_collection(amount="100", currency_code="eur", payable=order)
        cancel = partial(open_payment_collection, resolved(order))
    with pytest.raises(DeclinedError):
        cancel()
    if how == "by an operator who makes another":
        services.create_payment_collection(amount="40", currency_code="eur", payable=order)
    session.refresh_from_db()
    first.refresh_from_db()
    assert (first.is_canceled, first.authorized_amount) == (True, Decimal(held))
    order.total = Decimal(price)

    opened, _is_new = open_payment_collection(resolved(order, customer=shopper))

    assert opened.amount - opened.authorized_amount == price - held
    assert set(PaymentCollection.objects.exclude(status="canceled").values_list("customer", flat=True)) == {
        shopper.pk
    }
    assert open_payment_collection(resolved(order, customer=shopper)) == (opened, False)
    if price > held:
        assert not services.is_held_for(order)
        assert pay(order, customer=shopper) == opened
    assert services.is_held_for(order)
    assert services.is_held_for(order, amount=price, currency_code="eur")


@pytest.mark.django_db
def test_what_was_given_back_in_a_collection_that_gives_way_is_not_asked_for(make_order: MakeOrder) -> None:
    order = make_order(total="100", currency_code="eur")
    first, _is_new = open_payment_collection(resolved(order))
    services.mark_payment_collection_as_paid(first, amount="40")
    services.refund_payment(first.payments.get())
    for amount in (10, 60):
        services.create_payment_collection(amount=amount, currency_code="eur", payable=order)
    # The order costs 60 now, and 40 were given back.
    opened, _is_new = open_payment_collection(resolved(order))
    assert (opened.amount, opened.authorized_amount) == (Decimal(60), Decimal(0))
    statuses = PaymentCollection.objects.order_by("created_at").values_list("status", flat=True)
    assert list(statuses) == ["canceled", "canceled", "not_paid"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("price", ["90", "0"])
def test_plan_of_an_order_that_costs_less_than_is_held_is_charged_no_further(
    make_order: MakeOrder, script: Script, shopper: Any, price: str
) -> None:
    order = make_order(total="300", currency_code="eur", customer=shopper)
    services.list_providers()
    AccountHolder.objects.create(provider_id="scripted", customer=shopper, provider_reference="acct_sam")
    collection, _is_new = open_payment_collection(resolved(order, customer=shopper))
    long_ago = timezone.now() - timedelta(hours=3)
    first, *later = services.create_installment_plan(
        collection,
        provider_id="scripted",
        count=3,
        interval=timedelta(hours=1),
        first_due_at=long_ago,
        is_automatic=True,
    )
    services.authorize_payment_session(first, actor=shopper, by_payer=True)

    with pytest.raises(PaymentError):
        open_payment_collection(resolved(order, amount=price, customer=shopper), by_payer=True)

    assert services.charge_due_installments() == 0
    collection.refresh_from_db()
    assert collection.authorized_amount == Decimal(100)
    assert {PaymentSession.objects.get(pk=part.pk).status for part in later} == {"canceled"}


@pytest.mark.django_db
def test_nothing_stays_payable_beside_a_collection_that_holds_too_much(make_order: MakeOrder) -> None:
    order = make_order(total="200", currency_code="eur")
    first, _is_new = open_payment_collection(resolved(order))
    services.authorize_payment_session(
        services.create_payment_session(first, provider_id="scripted", amount="110")
    )
    second = services.create_payment_collection(amount="90", currency_code="eur", payable=order)
    services.create_payment_session(second, provider_id="scripted")

    for _again in range(2):
        with pytest.raises(TransitionError) as caught:
            open_payment_collection(resolved(order, amount="100"))
        assert caught.value.code == "amount_changed"

    rows = PaymentCollection.objects.for_payable(order).exclude(status="canceled")
    assert [(row.amount, row.authorized_amount) for row in rows] == [(Decimal(110), Decimal(110))]


@pytest.mark.django_db
def test_order_with_a_paid_collection_and_one_paid_late_changes_hands(
    make_order: MakeOrder, script: Script, shopper: Any
) -> None:
    order = make_order(total="90", currency_code="eur")
    paid = services.create_payment_collection(amount="60", currency_code="eur", payable=order)
    services.mark_payment_collection_as_paid(paid)
    late = services.create_payment_collection(amount="40", currency_code="eur", payable=order)
    services.create_payment_session(late, provider_id="scripted", amount="30")
    script.next("cancel", CancelResult(outcome=Outcome.DECLINED, failure=Failure(code="already_paid")))
    fact = SessionFact(currency_code="eur", status=SessionStatus.AUTHORIZED, authorized_amount=Decimal(30))
    script.next("retrieve", RetrieveResult(outcome=Outcome.SUCCEEDED, fact=fact))
    with pytest.raises(DeclinedError):
        services.cancel_payment_collection(late)

    opened, is_new = open_payment_collection(resolved(order, customer=shopper))

    assert (opened, opened.customer, is_new) == (paid, shopper, False)


@pytest.mark.django_db
def test_every_unfinished_collection_changes_hands(make_order: MakeOrder, shopper: Any) -> None:
    order = make_order(total="100", currency_code="eur")
    former = CustomerFactory.create()
    first, _is_new = open_payment_collection(resolved(order, customer=former))
    services.create_payment_collection(amount="20", currency_code="eur", payable=order, customer=former)
    order.total = Decimal(120)
    open_payment_collection(resolved(order, customer=shopper))
    assert set(PaymentCollection.objects.values_list("customer", flat=True)) == {shopper.pk}
    first.refresh_from_db()
    assert first.secret_generation == 1


@pytest.mark.django_db
def test_collection_that_is_paid_while_it_is_found_empty_keeps_its_money(
    make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order(total="100", currency_code="eur")
    pay(order)
    second = services.create_payment_collection(amount="20", currency_code="eur", payable=order)
    claim, performed = payables._claim_end, vars(payables)["perform"]

    def perform_later(collection_id: str, given: Any, **options: Any) -> Any:
        if given is claim and not second.payments.exists():
            services.authorize_payment_session(
                services.create_payment_session(second, provider_id="scripted")
            )
        return performed(collection_id, given, **options)

    monkeypatch.setattr(payables, "perform", perform_later)
    for refusal in (OperationInProgressError, TransitionError):
        with pytest.raises(refusal):
            open_payment_collection(resolved(order))
    assert second.payments.get().canceled_amount == 0


@pytest.mark.django_db
def test_what_is_held_in_two_collections_for_less_than_both_is_refused(make_order: MakeOrder) -> None:
    order = make_order(total="100", currency_code="eur")
    pay(order)
    more = services.create_payment_collection(amount="20", currency_code="eur", payable=order)
    session = services.create_payment_session(more, provider_id="scripted", amount="5")
    services.authorize_payment_session(session)
    with pytest.raises(TransitionError) as refusal:
        open_payment_collection(resolved(order))
    assert refusal.value.code == "amount_changed"


@pytest.mark.django_db
def test_an_unknown_outcome_of_the_update_does_not_keep_the_payer_out(
    make_order: MakeOrder, script: Script
) -> None:
    order = make_order()
    collection, _is_new = open_payment_collection(resolved(order))
    services.create_payment_session(collection, provider_id="scripted")
    script.next("update", UpdateResult(outcome=Outcome.UNKNOWN))

    again, is_new = open_payment_collection(resolved(order, amount="120"))

    assert (again.pk, is_new, again.amount) == (collection.pk, False, Decimal(120))


@pytest.mark.django_db
@pytest.mark.shows(
    "An order becomes free after its payment was begun",
    "Nothing can be paid for it any more: its unpaid collections are canceled, at the provider too; money that is held "
    "stays for the shop to decide",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_paid", [True, False])
def test_nothing_stays_payable_of_an_order_that_is_free(
    make_order: MakeOrder, script: Script, is_paid: bool
) -> None:
    order = make_order(total="100", currency_code="eur")
    collection, _is_new = open_payment_collection(resolved(order))
    session = services.create_payment_session(collection, provider_id="scripted")
    if is_paid:
        services.authorize_payment_session(session)
    order.total = Decimal(0)

    for _again in range(2):
        with pytest.raises(AmountError) as caught:
            open_payment_collection(resolved(order), by_payer=True)
        assert caught.value.code == "not_positive"

    session.refresh_from_db()
    collection.refresh_from_db()
    assert session.status == ("authorized" if is_paid else "canceled")
    assert collection.is_canceled is not is_paid
    assert len(script.requests("cancel")) == (not is_paid)


@pytest.mark.shows(
    "An order comes to cost less than is held for it, or something in another currency, while the rest is being paid",
    "Nothing more can be paid for it, until the shop has decided what becomes of what is held",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": "20"}, "amount_changed"),
        ({"amount": "0"}, "not_positive"),
        ({"amount": "100", "currency_code": "usd"}, "currency_changed"),
    ],
)
@pytest.mark.parametrize("is_split", [True, False])
def test_rest_is_not_payable_when_more_is_held_than_an_order_costs(
    make_order: MakeOrder, script: Script, change: dict[str, str], code: str, is_split: bool
) -> None:
    order = make_order(total="100", currency_code="eur")
    collection, _is_new = open_payment_collection(resolved(order))
    first = services.create_payment_session(collection, provider_id="scripted", amount="40")
    services.authorize_payment_session(first)
    amount = "60" if is_split else None
    rest = services.create_payment_session(collection, provider_id="scripted", amount=amount, by_payer=True)

    for _again in range(2):
        with pytest.raises(PaymentError) as caught:
            open_payment_collection(resolved(order, **change), by_payer=True)
        assert caught.value.code == code

    rest.refresh_from_db()
    collection.refresh_from_db()
    assert (rest.status, collection.amount) == ("canceled", Decimal(40))
    assert len(script.requests("cancel")) == 1
    with pytest.raises(PaymentError):
        services.create_payment_session(collection, provider_id="scripted", amount="60", by_payer=True)
    opened, _is_new = open_payment_collection(resolved(order))
    assert (opened, opened.amount) == (collection, Decimal(100))


@pytest.mark.django_db
def test_a_payable_that_is_gone_is_not_found(make_order: MakeOrder) -> None:
    order = make_order()
    Order.objects.all().delete()

    with pytest.raises(NotFoundError) as refusal:
        open_payment_collection(resolved(order))

    assert refusal.value.code == "unknown_payable"


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_run_inside_a_transaction(make_order: MakeOrder) -> None:
    order = make_order()

    with pytest.raises(OpenTransactionError), transaction.atomic():
        open_payment_collection(resolved(order))


def _returns_a_tuple(request: Any, reference: str) -> Any:
    return reference, 100


@pytest.mark.django_db
def test_a_resolver_that_returns_something_else_is_told_what_to_return(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PAYMENTS = {
        **settings.PAYMENTS,
        "PAYABLE_RESOLVER": "tests.api.storefront.test_payables._returns_a_tuple",
    }

    refused = Visitor().post("storefront/payment-collections/", {"reference": "A-1"})

    assert refused.error == (500, "server_error", "payable_misconfigured", [])
    assert "returned a tuple" in caplog.text


SEEN: list[Any] = []


def _remembers(request: Any, reference: str) -> None:
    SEEN.append((type(request).__name__, str(request.user), request.user.is_authenticated))


@pytest.mark.django_db
def test_a_resolver_gets_djangos_request_and_the_user(settings: Any, shopper: Any) -> None:
    SEEN.clear()
    settings.PAYMENTS = {
        **settings.PAYMENTS,
        "PAYABLE_RESOLVER": "tests.api.storefront.test_payables._remembers",
    }

    Visitor(user=shopper).post("storefront/payment-collections/", {"reference": "A-1"})
    Visitor().post("storefront/payment-collections/", {"reference": "A-1"})

    assert SEEN == [("WSGIRequest", "sam", True), ("WSGIRequest", "AnonymousUser", False)]


@pytest.mark.shows(
    "A payer opens an order in one currency while another of their windows opens it in another",
    "The late request is refused: no amount of one currency is asked for in another",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("late", "now"), [(("100", "eur"), ("16000", "jpy")), (("16000", "jpy"), ("100", "eur"))]
)
def test_no_amount_is_asked_for_in_another_currency(
    make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch, late: tuple[str, str], now: tuple[str, str]
) -> None:
    order = make_order(total=late[0], currency_code=late[1])
    find, is_first = payables._find_or_create, True

    def after_the_other(given: ResolvedPayable, **asker: Any) -> Any:
        nonlocal is_first
        if is_first:
            is_first = False
            open_payment_collection(resolved(order, amount=now[0], currency_code=now[1]))
        return find(given, **asker)

    monkeypatch.setattr(payables, "_find_or_create", after_the_other)
    with pytest.raises(OperationInProgressError):
        open_payment_collection(resolved(order), ask_again=lambda: resolved(order))

    collection = PaymentCollection.objects.open().get()
    assert (collection.amount, collection.currency_code) == (Decimal(now[0]), now[1])


@pytest.mark.shows(
    "An order changes hands while its former customer's opening waits for the provider",
    "409 for the former customer: they get no secret of the next one",
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_guest", [False, True])
def test_who_opens_what_changes_hands_meanwhile_gets_no_secret_of_the_next(
    make_order: MakeOrder, script: Script, is_guest: bool
) -> None:
    ann, bob = CustomerFactory.create(username="ann"), CustomerFactory.create(username="bob")
    order = make_order(total="100", currency_code="eur", customer=None if is_guest else ann)
    visitor = Visitor(user=None if is_guest else ann)
    body = {"reference": order.number}
    opened = visitor.post("storefront/payment-collections/", body).body
    payer = Visitor(user=visitor.user, secret=opened["client_secret"])
    payer.post(
        f"storefront/payment-collections/{opened['id']}/payment-sessions/", {"provider_id": "scripted"}
    )
    Order.objects.update(total=90)

    def changes_hands(request: Any) -> UpdateResult:
        Order.objects.update(customer=bob)
        assert Visitor(user=bob).post("storefront/payment-collections/", body).status in (200, 409)
        return UpdateResult(outcome=Outcome.SUCCEEDED, amount=request.amount, currency_code="eur")

    script.next("update", changes_hands)
    answer = visitor.post("storefront/payment-collections/", body)

    assert (answer.status, answer.body.get("code")) == (409, "operation_in_progress")
    assert "client_secret" not in answer.body
    assert PaymentCollection.objects.get().customer == bob
