"""Creating a collection, changing its amount, canceling it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from payments import services
from payments.exceptions import (
    AmountError,
    DeclinedError,
    InputError,
    NotFoundError,
    NotSupportedError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.providers import UpdateResult, get_provider
from payments.testing import Script
from tests.services.results import declined
from tests.shop.models import Order

pytestmark = pytest.mark.django_db


def test_collection_belongs_to_a_row_of_the_shop_and_to_a_customer(rows: None, staff: Any) -> None:
    order = Order.objects.create(number="1001", total="12.50", currency_code="eur")
    collection = services.create_payment_collection(
        amount="12.50", currency_code="EUR", payable=order, customer=staff, metadata={"channel": "web"}
    )
    collection.refresh_from_db()
    assert (collection.amount, collection.currency_code, collection.status) == (
        Decimal("12.50"),
        "eur",
        "not_paid",
    )
    assert (collection.payable, collection.customer, collection.metadata) == (
        order,
        staff,
        {"channel": "web"},
    )
    assert PaymentCollection.objects.for_payable(order).get() == collection


def test_collection_is_born_and_dies_with_the_callers_transaction(rows: None) -> None:
    with transaction.atomic():
        services.create_payment_collection(amount=10, currency_code="eur")
        assert PaymentCollection.objects.exists()
        transaction.set_rollback(True)
    assert not PaymentCollection.objects.exists()


def test_a_row_that_is_not_saved_yet_is_nothing_to_pay_for(rows: None) -> None:
    with pytest.raises(InputError, match="isn't saved yet") as caught:
        services.create_payment_collection(amount=10, currency_code="eur", payable=Order(number="A-1"))
    assert (caught.value.code, caught.value.field) == ("payable_not_saved", "payable")
    assert not PaymentCollection.objects.exists()


def test_raised_amount_raises_the_session_that_covers_it(session: PaymentSession, card: Script) -> None:
    collection = services.update_payment_collection(session.collection, amount="120.00")
    session.refresh_from_db()
    assert (collection.amount, session.amount) == (Decimal(120), Decimal(120))
    (request,) = card.requests("update")
    assert (request.amount, request.session_id) == (Decimal(120), session.pk)
    assert request.provider_reference == session.provider_reference


def test_lowered_amount_leaves_splits_alone_and_shrinks_the_covering_session(
    collection: PaymentCollection, card: Script
) -> None:
    split = services.create_payment_session(collection, provider_id="card", amount="30.00")
    rest = services.create_payment_session(collection, provider_id="card")
    services.update_payment_collection(collection, amount="50.00")
    split.refresh_from_db()
    rest.refresh_from_db()
    assert (split.amount, rest.amount) == (Decimal(30), Decimal(20))
    assert [request.session_id for request in card.requests("update")] == [rest.pk]


def test_covering_session_is_canceled_where_nothing_is_left_for_it(
    collection: PaymentCollection, card: Script
) -> None:
    services.create_payment_session(collection, provider_id="card", amount="30.00")
    rest = services.create_payment_session(collection, provider_id="card")
    services.update_payment_collection(collection, amount="30.00")
    rest.refresh_from_db()
    assert rest.status == "canceled"
    assert [request.session_id for request in card.requests("cancel")] == [rest.pk]


def test_amount_that_stays_the_same_asks_no_provider(session: PaymentSession, card: Script) -> None:
    services.update_payment_collection(session.collection, amount="100.00")
    assert card.verbs == ["initiate"]


def test_amount_cannot_go_below_what_is_authorized(payment: Payment) -> None:
    with pytest.raises(AmountError) as refusal:
        services.update_payment_collection(payment.collection, amount="99.99")
    assert (refusal.value.code, refusal.value.field) == ("below_authorized", "amount")
    assert "100.00 EUR" in refusal.value.message
    services.cancel_payment(payment)
    collection = services.update_payment_collection(payment.collection, amount="99.99")
    assert collection.amount == Decimal("99.99")


def amounts_of(collection: PaymentCollection) -> dict[str, tuple[str, Decimal]]:
    """Return what each session of a collection has come to, by the id of the session."""
    rows = PaymentSession.objects.filter(collection=collection)
    return {row.pk: (row.status, row.amount) for row in rows}


def test_splits_that_stand_in_the_way_of_a_lower_amount_yield_to_it(collection: PaymentCollection) -> None:
    old, middle, new = (
        services.create_payment_session(collection, provider_id="card", amount=amount)
        for amount in ("30.00", "30.00", "40.00")
    )

    services.update_payment_collection(collection, amount="50.00")

    assert amounts_of(collection) == {
        old.pk: ("pending", Decimal(30)),
        middle.pk: ("pending", Decimal(20)),
        new.pk: ("canceled", Decimal(40)),
    }
    assert (collection.amount, collection.status) == (Decimal(50), "awaiting")


def test_a_split_yields_before_a_plan_and_a_plan_from_its_end(collection: PaymentCollection) -> None:
    split = services.create_payment_session(collection, provider_id="card", amount="10.00")
    first, second, third = services.create_installment_plan(
        collection, provider_id="card", count=3, interval="month"
    )
    newer = services.update_payment_collection(collection, amount="110.00")
    last_split = services.create_payment_session(newer, provider_id="card", amount="10.00")

    services.update_payment_collection(collection, amount="50.00")

    assert amounts_of(collection) == {
        split.pk: ("canceled", Decimal(10)),
        last_split.pk: ("canceled", Decimal(10)),
        first.pk: ("pending", Decimal(30)),
        second.pk: ("pending", Decimal(20)),
        third.pk: ("canceled", Decimal(30)),
    }


@pytest.mark.parametrize("cause", ["can't change", "odd amount"])
def test_a_split_that_cannot_be_changed_is_canceled_for_a_lower_amount(
    collection: PaymentCollection, card: Script, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = services.create_payment_session(collection, provider_id="card", amount="60.00")
    provider = get_provider("card")
    if cause == "can't change":
        monkeypatch.setattr(type(provider), "supports_update", False)
    else:
        monkeypatch.setattr(type(provider), "amount_step", lambda _self, _currency: Decimal(10))

    services.update_payment_collection(collection, amount="55.00")

    assert amounts_of(collection) == {split.pk: ("canceled", Decimal(60))}
    assert collection.amount == Decimal(55)


def test_completed_collection_can_be_raised_and_paid_up(captured: Payment) -> None:
    collection = services.update_payment_collection(captured.collection, amount="130.00")
    assert (collection.status, collection.completed_at) == ("partially_captured", None)
    rest = services.create_payment_session(collection, provider_id="wallet")
    assert rest.amount == Decimal(30)


def test_refused_change_at_the_provider_is_told(session: PaymentSession, card: Script) -> None:
    card.next("update", declined(UpdateResult))
    with pytest.raises(DeclinedError):
        services.update_payment_collection(session.collection, amount="120.00")
    session.refresh_from_db()
    session.collection.refresh_from_db()
    assert (session.collection.amount, session.amount) == (Decimal(120), Decimal(100))


def test_provider_that_cannot_change_a_session_refuses_the_new_amount(
    session: PaymentSession, card: Script
) -> None:
    card.lacks.add("update")
    with pytest.raises(NotSupportedError):
        services.update_payment_collection(session.collection, amount="120.00")
    assert PaymentCollection.objects.get().amount == Decimal(100)


def test_canceled_collection_takes_no_amount_and_no_session(collection: PaymentCollection) -> None:
    services.cancel_payment_collection(collection)
    for verb in (
        lambda: services.update_payment_collection(collection, amount=1),
        lambda: services.create_payment_session(collection, provider_id="card"),
        lambda: services.create_payment_session(collection, provider_id="card", amount=1),
        lambda: services.create_installment_plan(collection, provider_id="card", count=2, interval="month"),
        lambda: services.mark_payment_collection_as_paid(collection),
    ):
        with pytest.raises(TransitionError) as refusal:
            verb()
        assert refusal.value.code == "collection_canceled"
    assert not PaymentSession.objects.exists()


def test_canceling_a_collection_cancels_what_is_open_and_releases_what_is_held(
    collection: PaymentCollection, card: Script, wallet: Script
) -> None:
    held = services.create_payment_session(collection, provider_id="card", amount="60.00")
    services.authorize_payment_session(held)
    open_session = services.create_payment_session(collection, provider_id="wallet")
    services.cancel_payment_collection(collection)
    open_session.refresh_from_db()
    held.refresh_from_db()
    assert (collection.status, held.status, open_session.status) == ("canceled",) * 3
    assert collection.authorized_amount == 0
    assert held.payment is not None
    assert (held.payment.status, held.payment.canceled_amount) == ("canceled", Decimal(60))
    assert [request.amount for request in card.requests("cancel")] == [Decimal(60)]
    assert [request.session_id for request in wallet.requests("cancel")] == [open_session.pk]


def test_canceling_a_collection_again_changes_nothing(session: PaymentSession, card: Script) -> None:
    services.cancel_payment_collection(session.collection)
    canceled_at = session.collection.canceled_at
    services.cancel_payment_collection(session.collection)
    assert session.collection.canceled_at == canceled_at
    assert card.verbs == ["initiate", "cancel"]
    assert session.collection.events.filter(type="collection.canceled").count() == 1


def test_amount_that_is_recorded_is_not_said_to_be_unchanged(
    collection: PaymentCollection, card: Script
) -> None:
    services.create_payment_session(collection, provider_id="card")
    card.next("update", ProviderUnavailableError("connection refused"))
    with pytest.raises(ProviderUnavailableError, match="A part of this is done"):
        services.update_payment_collection(collection, amount="80.00")
    collection.refresh_from_db()
    assert collection.amount == Decimal(80)


def test_canceling_a_collection_goes_on_where_a_provider_could_not_be_reached(
    collection: PaymentCollection, card: Script, wallet: Script
) -> None:
    first = services.create_payment_session(collection, provider_id="card", amount="60.00")
    second = services.create_payment_session(collection, provider_id="wallet")
    card.next("cancel", ProviderUnavailableError("connection refused"))
    with pytest.raises(ProviderUnavailableError, match="A part of this is done"):
        services.cancel_payment_collection(collection)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("pending", "canceled")
    with pytest.raises(TransitionError):
        services.create_payment_session(collection, provider_id="card")
    with pytest.raises(TransitionError):
        services.authorize_payment_session(first)
    services.cancel_payment_collection(collection)
    first.refresh_from_db()
    assert (first.status, collection.status) == ("canceled", "canceled")


def test_collection_with_captured_money_is_refunded_before_it_is_canceled(captured: Payment) -> None:
    with pytest.raises(TransitionError) as refusal:
        services.cancel_payment_collection(captured.collection)
    assert refusal.value.code == "already_captured"
    services.refund_payment(captured)
    captured.collection.refresh_from_db()
    assert captured.collection.status == "canceled"
    assert services.cancel_payment_collection(captured.collection).is_canceled


def test_collection_is_not_canceled_while_an_outcome_is_unknown(
    session: PaymentSession, card: Script
) -> None:
    card.next("cancel", TimeoutError())
    with pytest.raises(OutcomeUnknownError):
        services.cancel_payment_session(session)
    with pytest.raises(OperationInProgressError):
        services.cancel_payment_collection(session.collection)
    assert not PaymentCollection.objects.get().is_canceled


def test_unknown_collection_is_named(collection: PaymentCollection) -> None:
    stray = PaymentCollection(id="pay_col_nowhere", amount=1, currency_code="eur")
    with pytest.raises(NotFoundError) as refusal:
        services.create_payment_session(stray, provider_id="card")
    assert (refusal.value.code, refusal.value.field) == ("unknown_collection", "collection_id")
