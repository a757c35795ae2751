"""The factories: rows that the models accept, and aggregates that agree with the rows below them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django.utils import timezone

from payments.exceptions import TransitionError
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)
from payments.money import ZERO
from payments.services import (
    authorize_payment_session,
    cancel_payment,
    capture_payment,
    create_payment_session,
    refund_payment,
)
from payments.states import (
    CollectionStatus,
    MovementStatus,
    OperationKind,
    OperationStatus,
    PaymentStatus,
    SessionStatus,
    WebhookEventStatus,
)
from payments.testing import factories
from payments.testing.factories import (
    AccountHolderFactory,
    CaptureFactory,
    CustomerFactory,
    IdempotencyRecordFactory,
    PaymentCollectionFactory,
    PaymentEventFactory,
    PaymentFactory,
    PaymentOperationFactory,
    PaymentProviderFactory,
    PaymentSessionFactory,
    RefundFactory,
    RefundReasonFactory,
    WebhookEventFactory,
)
from payments.testing.factories.base import RowFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

OPEN = [SessionStatus.PENDING, SessionStatus.REQUIRES_MORE, SessionStatus.ERROR]

TRAITS: dict[type[RowFactory[Any]], list[str]] = {
    PaymentProviderFactory: [],
    PaymentCollectionFactory: [
        "awaiting",
        "requires_more",
        "error",
        "partially_authorized",
        "authorized",
        "partially_captured",
        "captured",
        "partially_refunded",
        "refunded",
        "canceled",
    ],
    PaymentSessionFactory: [
        "requires_more",
        "error",
        "canceled",
        "authorized",
        "uninitiated",
        "expired",
        "installment_due",
    ],
    PaymentFactory: [
        *("captured", "partially_captured", "refunded", "partially_refunded", "charged_back", "canceled")
    ],
    CaptureFactory: ["pending", "failed"],
    RefundFactory: ["pending", "failed"],
    RefundReasonFactory: [],
    PaymentOperationFactory: [
        *("processing", "pending", "unknown", "attention", "declined", "not_sent", "capturing", "refunding")
    ],
    PaymentEventFactory: ["unpublished"],
    WebhookEventFactory: ["applied", "deferred", "ignored", "failed"],
    IdempotencyRecordFactory: ["in_progress"],
    AccountHolderFactory: [],
    CustomerFactory: [],
}
CASES = [(factory, trait) for factory, traits in TRAITS.items() for trait in (None, *traits)]
FIRST = {(factory, trait) for factory, traits in TRAITS.items() for trait in (None, *traits[:1])}


def make(factory: type[RowFactory[Any]], trait: str | None, **values: Any) -> Any:
    return factory.create(**({trait: True} if trait else {}), **values)


def books_agree() -> None:
    """Check every aggregate there is against the rows below it, all read anew."""
    for payment in Payment.objects.all():
        assert payment.captured_amount == _sum(payment.captures.filter(status=MovementStatus.SUCCEEDED))
        assert payment.refunded_amount == _sum(payment.refunds.filter(status=MovementStatus.SUCCEEDED))
        assert payment.status == payment.derive_status()
        assert payment.collection_id == payment.session.collection_id
        assert payment.provider_id == payment.session.provider_id
        is_released = payment.canceled_amount == payment.amount
        assert payment.session.status == (SessionStatus.CANCELED if is_released else SessionStatus.AUTHORIZED)
        assert payment.amount <= payment.session.amount
    for session in PaymentSession.objects.all():
        assert (session.status == SessionStatus.AUTHORIZED) <= (session.payment is not None)
    for collection in PaymentCollection.objects.all():
        payments = list(collection.payments.all())
        assert collection.authorized_amount == sum(
            (row.amount - row.canceled_amount for row in payments), ZERO
        )
        assert collection.captured_amount == sum((row.captured_amount for row in payments), ZERO)
        assert collection.refunded_amount == sum((row.refunded_amount for row in payments), ZERO)
        has_open = collection.sessions.filter(status__in=OPEN).exists()
        assert collection.status == collection.derive_status(has_open_sessions=has_open)


def _sum(rows: Any) -> Decimal:
    return sum((row.amount for row in rows), ZERO)


def test_every_factory_and_every_trait_is_tried() -> None:
    assert {factory.__name__ for factory in TRAITS} == set(factories.__all__)
    for factory, traits in TRAITS.items():
        declared = {name for name, value in factory._meta.parameters.items() if hasattr(value, "overrides")}
        assert declared == set(traits), factory


@pytest.mark.parametrize(
    ("factory", "trait"),
    [case if case in FIRST else pytest.param(*case, marks=pytest.mark.thorough) for case in CASES],
)
def test_rows_are_valid_side_by_side_and_aggregates_agree(
    factory: type[RowFactory[Any]], trait: str | None
) -> None:
    rows: list[models.Model] = [make(factory, trait), make(factory, trait)]
    for row in rows:
        row.full_clean()
    for each in (*PaymentCollection.objects.all(), *PaymentSession.objects.all(), *Payment.objects.all()):
        each.full_clean()
    books_agree()


@pytest.mark.parametrize(("factory", "trait"), CASES)
def test_the_row_returned_is_as_it_is_stored(factory: type[RowFactory[Any]], trait: str | None) -> None:
    row: models.Model = make(factory, trait)
    stored = type(row)._default_manager.get(pk=row.pk)
    for field in row._meta.concrete_fields:
        if field.name != "updated_at":
            assert getattr(row, field.attname) == getattr(stored, field.attname), field.name


@pytest.mark.parametrize(("factory", "trait"), CASES)
def test_rows_can_be_built_without_a_database(
    factory: type[RowFactory[Any]], trait: str | None, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        row = factory.build(**({trait: True} if trait else {}))
    assert row._state.adding


@pytest.mark.parametrize(
    ("trait", "status"),
    [
        (None, CollectionStatus.NOT_PAID),
        ("awaiting", CollectionStatus.AWAITING),
        ("requires_more", CollectionStatus.AWAITING),
        ("error", CollectionStatus.AWAITING),
        ("partially_authorized", CollectionStatus.PARTIALLY_AUTHORIZED),
        ("authorized", CollectionStatus.AUTHORIZED),
        ("partially_captured", CollectionStatus.PARTIALLY_CAPTURED),
        ("captured", CollectionStatus.COMPLETED),
        ("partially_refunded", CollectionStatus.COMPLETED),
        ("refunded", CollectionStatus.CANCELED),
        ("canceled", CollectionStatus.CANCELED),
    ],
)
@pytest.mark.parametrize(("currency_code", "amount"), [("eur", "99.99"), ("jpy", "1001"), ("kwd", "7.125")])
def test_a_collection_s_trait_gives_its_status(
    trait: str | None, status: CollectionStatus, currency_code: str, amount: str
) -> None:
    collection = make(PaymentCollectionFactory, trait, currency_code=currency_code, amount=Decimal(amount))
    assert collection.status == status
    books_agree()


@pytest.mark.parametrize(
    ("trait", "status"),
    [
        (None, PaymentStatus.AUTHORIZED),
        ("captured", PaymentStatus.CAPTURED),
        ("partially_captured", PaymentStatus.PARTIALLY_CAPTURED),
        ("refunded", PaymentStatus.REFUNDED),
        ("partially_refunded", PaymentStatus.PARTIALLY_REFUNDED),
        ("charged_back", PaymentStatus.CAPTURED),
        ("canceled", PaymentStatus.CANCELED),
    ],
)
def test_a_payment_s_trait_gives_its_status_created_or_built(
    trait: str | None, status: PaymentStatus
) -> None:
    assert make(PaymentFactory, trait).status == status
    assert PaymentFactory.build(**({trait: True} if trait else {})).status == status


@pytest.mark.parametrize(
    ("trait", "status"),
    [
        (None, SessionStatus.PENDING),
        ("requires_more", SessionStatus.REQUIRES_MORE),
        ("error", SessionStatus.ERROR),
        ("canceled", SessionStatus.CANCELED),
        ("authorized", SessionStatus.AUTHORIZED),
    ],
)
def test_a_session_s_trait_gives_its_status(trait: str | None, status: SessionStatus) -> None:
    session = make(PaymentSessionFactory, trait)
    assert session.status == status
    assert (session.payment is not None) == (status == SessionStatus.AUTHORIZED)


def test_a_captured_payment_has_a_capture_and_a_completed_collection() -> None:
    payment = PaymentFactory.create(captured=True, amount=Decimal("59.90"))
    assert [capture.amount for capture in payment.captures.all()] == [Decimal("59.90")]
    assert payment.captured_at is not None
    assert payment.session.status == SessionStatus.AUTHORIZED
    assert payment.collection.status == CollectionStatus.COMPLETED
    assert payment.collection.completed_at is not None
    assert payment.collection.amount == payment.collection.captured_amount == Decimal("59.90")


def test_amounts_make_the_movements_that_explain_them() -> None:
    payment = PaymentFactory.create(
        amount=Decimal(60), captured_amount=Decimal(25), refunded_amount="10.00", canceled_amount=Decimal(35)
    )
    assert payment.captures.get().amount == 25
    assert payment.refunds.get().amount == 10
    assert payment.status == PaymentStatus.PARTIALLY_REFUNDED
    assert payment.collection.authorized_amount == 25
    books_agree()


def test_amounts_may_be_given_as_texts() -> None:
    payment = PaymentFactory.create(amount="100.00", captured_amount="60.00", refunded_amount="15.00")
    assert payment.collection.status == CollectionStatus.PARTIALLY_CAPTURED
    assert PaymentCollectionFactory.create(amount="10.00").amount == 10


def test_sessions_and_payments_fill_a_given_collection_up() -> None:
    collection = PaymentCollectionFactory.create()
    card = PaymentFactory.create(collection=collection, amount=Decimal("60.00"))
    assert str(collection.status) == CollectionStatus.PARTIALLY_AUTHORIZED
    assert card.session.is_split
    rest = PaymentSessionFactory.create(collection=collection)
    assert (rest.amount, rest.is_split) == (Decimal("40.00"), False)
    transfer = PaymentFactory.create(session=rest)
    assert transfer.amount == 40
    assert (transfer.collection, transfer.provider) == (collection, rest.provider)
    assert collection.status == CollectionStatus.AUTHORIZED
    books_agree()


def test_less_may_be_authorized_than_the_session_asked_for() -> None:
    session = PaymentSessionFactory.create(amount=Decimal(100))
    payment = PaymentFactory.create(session=session, amount=Decimal(60))
    assert session.status == SessionStatus.AUTHORIZED
    assert payment.amount == 60
    assert payment.collection.status == CollectionStatus.PARTIALLY_AUTHORIZED


def test_given_amounts_reach_the_rows_above_through_nested_factories_too() -> None:
    capture = CaptureFactory.create(payment__amount=Decimal("12.34"))
    assert capture.payment.collection.amount == capture.amount == Decimal("12.34")
    operation = PaymentOperationFactory.create(capturing=True, capture__payment__amount=Decimal(8))
    assert operation.amount == operation.session.amount == 8
    books_agree()


def test_captures_and_refunds_settle_the_payment_that_they_are_given() -> None:
    payment = PaymentFactory.create(amount=Decimal(100))
    CaptureFactory.create(payment=payment, amount=Decimal(25))
    CaptureFactory.create(payment=payment, amount=Decimal(35), pending=True)
    CaptureFactory.create(payment=payment, amount=Decimal(35), failed=True)
    RefundFactory.create(payment=payment, amount=Decimal(15))
    assert payment.captured_amount == 25
    assert payment.refunded_amount == 15
    assert payment.status == PaymentStatus.PARTIALLY_REFUNDED
    assert CaptureFactory.create(payment=payment).amount == 75
    assert payment.collection.status == CollectionStatus.COMPLETED
    books_agree()


@pytest.mark.parametrize("status", OperationStatus.values)
@pytest.mark.parametrize(("trait", "model"), [("capturing", Capture), ("refunding", Refund)])
def test_an_operation_s_movement_has_the_status_that_fits(
    status: str, trait: str, model: type[Capture | Refund]
) -> None:
    operation = make(PaymentOperationFactory, trait, status=OperationStatus(status))
    expected = {
        OperationStatus.SUCCEEDED: MovementStatus.SUCCEEDED,
        OperationStatus.DECLINED: MovementStatus.FAILED,
        OperationStatus.NOT_SENT: MovementStatus.FAILED,
    }.get(OperationStatus(status), MovementStatus.PENDING)
    movement = model.objects.get()
    assert (movement.status, operation.target_id) == (expected, movement.pk)
    assert operation.payment == movement.payment
    assert operation.is_open == (operation.in_flight_key is not None)
    books_agree()


def test_an_operation_can_be_of_any_kind() -> None:
    session = PaymentSessionFactory.create()
    payment = PaymentFactory.create()
    authorization = PaymentOperationFactory.create(
        kind=OperationKind.AUTHORIZE, session=session, unknown=True
    )
    release = PaymentOperationFactory.create(kind=OperationKind.CANCEL, payment=payment)
    assert (authorization.target_id, authorization.amount) == (session.pk, session.amount)
    assert (release.target_id, release.session, release.collection) == (
        payment.pk,
        payment.session,
        payment.collection,
    )


def test_rows_are_made_without_history_and_without_signals() -> None:
    PaymentFactory.create(refunded=True)
    assert not PaymentEvent.objects.exists()
    assert not PaymentOperation.objects.exists()


def test_a_status_that_the_rows_do_not_stand_for_is_refused() -> None:
    with pytest.raises(ValueError, match="the rows stand for “authorized”, not “captured”"):
        PaymentFactory.create(status=PaymentStatus.CAPTURED)
    with pytest.raises(ValueError, match="Use a trait or give amounts"):
        PaymentCollectionFactory.create(status=CollectionStatus.COMPLETED)
    with pytest.raises(ValueError, match="authorized=True"):
        PaymentSessionFactory.create(status=SessionStatus.AUTHORIZED)


def test_a_payment_of_another_collection_than_its_session_s_is_refused() -> None:
    session = PaymentSessionFactory.create()
    with pytest.raises(ValueError, match="give one of the two"):
        PaymentFactory.create(session=session, collection=PaymentCollectionFactory.create())


def test_statuses_stay_protected_after_construction() -> None:
    payment = PaymentFactory.create()
    with pytest.raises(AttributeError):
        payment.status = PaymentStatus.CAPTURED
    with pytest.raises(TransitionError):
        payment.delete()


def test_services_go_on_where_the_factories_ended() -> None:
    payment = PaymentFactory.create(partially_captured=True)
    capture_payment(payment, amount="10.00")
    cancel_payment(payment)
    refund_payment(payment)
    assert payment.captured_amount == payment.refunded_amount == payment.canceled_amount == 50
    books_agree()


def test_services_authorize_a_session_that_a_factory_made() -> None:
    session = PaymentSessionFactory.create(error=True)
    assert authorize_payment_session(session).status == SessionStatus.AUTHORIZED
    collection = PaymentCollectionFactory.create(awaiting=True)
    assert create_payment_session(collection, provider_id="system", amount="1.00").amount == 1
    books_agree()


def test_providers_are_found_again() -> None:
    first = PaymentProviderFactory.create(id="stripe", is_enabled=False)
    assert PaymentProviderFactory.create(id="stripe").pk == first.pk
    assert PaymentFactory.create(provider__id="stripe").session.provider == first


def test_times_and_details_follow_the_trait() -> None:
    assert PaymentSessionFactory.create(expired=True).is_expired(timezone.now())
    action = PaymentSessionFactory.create(requires_more=True).next_action
    assert action is not None
    assert action["type"] == "redirect"
    assert PaymentOperationFactory.create(processing=True).lease_expires_at is not None
    assert PaymentOperationFactory.create(attention=True).detail
    assert PaymentEventFactory.create(unpublished=True) in PaymentEvent.objects.unpublished()
    assert WebhookEventFactory.create(applied=True).status == WebhookEventStatus.APPLIED
    assert IdempotencyRecordFactory.create(in_progress=True).response_status is None


def test_a_customer_has_the_shop_s_own_user_model() -> None:
    customer = CustomerFactory.create()
    collection = PaymentCollectionFactory.create(customer=customer)
    assert collection.customer == customer
    assert not customer.has_usable_password()
