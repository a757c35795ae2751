"""What must never be false is refused by the database itself, whoever writes the row."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from payments.models import (
    AccountHolder,
    Capture,
    IdempotencyRecord,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    Refund,
    RefundReason,
    WebhookEvent,
)
from tests.models.conftest import Books, new_operation

CENT = Decimal("0.01")
NOW = timezone.now()

Values = dict[str, Any]

# The row of `Books`, what is written to it past the models, and the constraint that refuses it.
CHECKS: list[tuple[str, Values, str]] = [
    ("collection", {"status": "paid"}, "payments_collection_status_known"),
    ("collection", {"amount": Decimal(0)}, "payments_collection_amount_positive"),
    ("collection", {"amount": -CENT}, "payments_collection_amount_positive"),
    (
        "collection",
        {"authorized_amount": -CENT, "captured_amount": -CENT, "refunded_amount": -CENT},
        "payments_collection_authorized_gte_zero",
    ),
    ("collection", {"captured_amount": Decimal(70) + CENT}, "payments_collection_captured_lte_authorized"),
    (
        "collection",
        {"captured_amount": -CENT, "refunded_amount": -CENT},
        "payments_collection_captured_lte_authorized",
    ),
    ("collection", {"refunded_amount": Decimal(60) + CENT}, "payments_collection_refunded_lte_captured"),
    ("collection", {"refunded_amount": -CENT}, "payments_collection_refunded_lte_captured"),
    (
        "collection",
        {"charged_back_amount": Decimal(70) + CENT},
        "payments_collection_charged_back_lte_captured",
    ),
    ("collection", {"charged_back_amount": -CENT}, "payments_collection_charged_back_lte_captured"),
    ("collection", {"payable_id": "7"}, "payments_collection_payable_whole"),
    ("session", {"status": "paid", "authorized_at": None}, "payments_session_status_known"),
    ("session", {"amount": Decimal(0)}, "payments_session_amount_positive"),
    ("payment", {"status": "paid"}, "payments_payment_status_known"),
    (
        "payment",
        {"amount": Decimal(0), "captured_amount": 0, "refunded_amount": 0, "canceled_amount": 0},
        "payments_payment_amount_positive",
    ),
    (
        "payment",
        {"captured_amount": Decimal(100) + CENT, "canceled_amount": 0},
        "payments_payment_captured_lte_amount|payments_payment_canceled_lte_uncaptured",
    ),
    (
        "payment",
        {"captured_amount": -CENT, "refunded_amount": -CENT},
        "payments_payment_captured_lte_amount",
    ),
    ("payment", {"refunded_amount": Decimal(60) + CENT}, "payments_payment_refunded_lte_captured"),
    ("payment", {"refunded_amount": -CENT}, "payments_payment_refunded_lte_captured"),
    ("payment", {"canceled_amount": Decimal(40) + CENT}, "payments_payment_canceled_lte_uncaptured"),
    ("payment", {"canceled_amount": -CENT}, "payments_payment_canceled_lte_uncaptured"),
    ("payment", {"charged_back_amount": Decimal(60) + CENT}, "payments_payment_charged_back_lte_captured"),
    ("payment", {"charged_back_amount": -CENT}, "payments_payment_reinstated_lte_charged_back"),
    ("payment", {"reinstated_amount": CENT}, "payments_payment_reinstated_lte_charged_back"),
    ("payment", {"reinstated_amount": -CENT}, "payments_payment_reinstated_lte_charged_back"),
    ("capture", {"status": "done"}, "payments_capture_status_known"),
    ("capture", {"amount": Decimal(0)}, "payments_capture_amount_positive"),
    ("refund", {"status": "done"}, "payments_refund_status_known"),
    ("refund", {"amount": -CENT}, "payments_refund_amount_positive"),
    ("operation", {"status": "done", "in_flight_key": None}, "payments_operation_status_known"),
    ("operation", {"kind": "charge"}, "payments_operation_kind_known"),
    ("operation", {"amount": Decimal(0)}, "payments_operation_amount_positive"),
    ("operation", {"in_flight_key": None}, "payments_operation_in_flight_while_open"),
    (
        "operation",
        {"status": "succeeded", "finished_at": NOW},
        "payments_operation_in_flight_while_open",
    ),
    ("operation", {"status": "pending"}, "payments_operation_looked_at_while_waiting"),
    ("operation", {"status": "unknown"}, "payments_operation_looked_at_while_waiting"),
    ("webhook", {"status": "lost", "next_attempt_at": None}, "payments_webhook_status_known"),
    (
        "collection",
        {"status": "completed", "completed_at": NOW},
        "payments_collection_status_follows_amounts",
    ),
    ("collection", {"amount": Decimal(60)}, "payments_collection_status_follows_amounts"),
    ("collection", {"completed_at": NOW}, "payments_collection_completed_has_time"),
    ("session", {"authorized_at": None}, "payments_session_authorized_has_time"),
    ("session", {"status": "pending"}, "payments_session_authorized_has_time"),
    ("session", {"canceled_at": NOW}, "payments_session_canceled_has_time"),
    ("session", {"status": "canceled"}, "payments_session_canceled_has_time"),
    ("session", {"error_code": "declined"}, "payments_session_error_has_code"),
    ("payment", {"status": "captured"}, "payments_payment_status_follows_amounts"),
    (
        "payment",
        {"canceled_amount": Decimal(40), "refunded_amount": 0},
        "payments_payment_status_follows_amounts",
    ),
    ("capture", {"succeeded_at": NOW}, "payments_capture_succeeded_has_time"),
    ("capture", {"status": "failed"}, "payments_capture_failed_has_code"),
    ("capture", {"error_code": "declined"}, "payments_capture_failed_has_code"),
    ("refund", {"status": "succeeded"}, "payments_refund_succeeded_has_time"),
    ("refund", {"status": "failed", "succeeded_at": NOW}, "payments_refund_failed_has_code"),
    ("operation", {"finished_at": NOW}, "payments_operation_finished_has_time"),
    (
        "operation",
        {"status": "succeeded", "in_flight_key": None},
        "payments_operation_finished_has_time",
    ),
    (
        "operation",
        {"status": "declined", "in_flight_key": None, "finished_at": NOW},
        "payments_operation_refused_has_code",
    ),
    ("operation", {"status": "attention"}, "payments_operation_attention_has_detail"),
    ("webhook", {"status": "applied", "next_attempt_at": None}, "payments_webhook_applied_has_time"),
    ("webhook", {"applied_at": NOW}, "payments_webhook_applied_has_time"),
    ("webhook", {"status": "failed"}, "payments_webhook_waiting_has_next_attempt"),
    ("webhook", {"next_attempt_at": None}, "payments_webhook_waiting_has_next_attempt"),
]


@pytest.mark.parametrize(("name", "values", "constraint"), CHECKS)
def test_check_refuses_what_must_never_be(books: Books, name: str, values: Values, constraint: str) -> None:
    row = getattr(books, name)
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        models.QuerySet(type(row)).filter(pk=row.pk).update(**values)
    assert _names(refusal.value, constraint)
    for field, value in values.items():
        assert getattr(type(row).objects.get(pk=row.pk), field) != value


def test_unknown_source_of_an_event_is_refused(books: Books) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        models.QuerySet(type(books.event)).filter(pk=books.event.pk).update(source="rumour")
    assert _names(refusal.value, "payments_event_source_known")


def _session(books: Books, **values: Any) -> PaymentSession:
    return PaymentSession(collection=books.collection, provider=books.provider, amount=Decimal(1), **values)


def _payment(books: Books, session: PaymentSession, **values: Any) -> Payment:
    return Payment(
        collection=books.collection, session=session, provider=books.provider, amount=Decimal(1), **values
    )


def _second_reference(books: Books) -> models.Model:
    other = _session(books)
    other.save()
    return _payment(books, other, provider_reference="int_1")


def _second_holder(books: Books) -> models.Model:
    customer = get_user_model().objects.create_user("bob")
    AccountHolder.objects.create(provider=books.provider, provider_reference="cus_2", customer=customer)
    return AccountHolder(provider=books.provider, provider_reference="cus_3", customer=customer)


def _second_record(books: Books) -> models.Model:
    values = {"scope": "alice", "key": "k", "expires_at": books.collection.created_at}
    IdempotencyRecord.objects.create(**values)
    return IdempotencyRecord(**values)


def _second_reason(books: Books) -> models.Model:
    RefundReason.objects.create(label="Damaged")
    return RefundReason(label="Damaged")


TWINS: dict[str, Callable[[Books], models.Model]] = {
    "payments_session_provider_reference_unique": lambda books: _session(books, provider_reference="int_1"),
    "payments_session_installment_unique": lambda books: _session(books, installment=1),
    "payments_payment_provider_reference_unique": _second_reference,
    "one payment per session": lambda books: _payment(books, books.session),
    "payments_capture_provider_reference_unique": lambda books: Capture(
        payment=books.payment, amount=Decimal(1), provider_reference="cap_1"
    ),
    "payments_refund_provider_reference_unique": lambda books: Refund(
        payment=books.payment, amount=Decimal(1), provider_reference="ref_1"
    ),
    "one operation in flight per target and kind": lambda books: new_operation(books.session),
    "payments_webhook_event_unique": lambda books: WebhookEvent(
        provider=books.provider, event_id="evt_1", type="again"
    ),
    "payments_holder_provider_reference_unique": lambda books: AccountHolder(
        provider=books.provider, provider_reference="cus_1"
    ),
    "payments_holder_customer_unique": _second_holder,
    "payments_idempotency_key_unique": _second_record,
    "one reason per label": _second_reason,
}


@pytest.mark.parametrize("rule", TWINS)
def test_second_row_is_refused_where_there_may_be_one(books: Books, rule: str) -> None:
    twin = TWINS[rule](books)
    manager = type(twin)._default_manager
    before = manager.count()
    with pytest.raises(IntegrityError), transaction.atomic():
        twin.save(force_insert=True)
    assert manager.count() == before


def test_every_constraint_of_the_models_is_tried_here() -> None:
    declared = {
        constraint.name
        for model in apps.get_app_config("payments").get_models()
        for constraint in model._meta.constraints
    }
    tried = {*TWINS, "payments_event_source_known"}
    for _row, _values, names in CHECKS:
        tried.update(names.split("|"))
    assert declared <= tried


def test_rows_without_a_reference_do_not_meet(books: Books) -> None:
    for _count in range(2):
        _session(books).save()
        Capture.objects.create(payment=books.payment, amount=Decimal(1))
    assert Capture.objects.filter(provider_reference=None).count() == 2


def test_references_that_differ_in_case_are_two(books: Books) -> None:
    _session(books, provider_reference="INT_1").save()
    assert PaymentSession.objects.get(provider_reference="int_1").pk == books.session.pk


def test_target_is_free_for_another_operation_once_the_first_has_ended(books: Books) -> None:
    books.operation.decline(code="declined", message="")
    books.operation.save()
    again = new_operation(books.session)
    again.save()
    assert list(PaymentOperation.objects.open()) == [again]


def test_payable_needs_its_type_and_its_id(books: Books) -> None:
    payable_type = ContentType.objects.get_for_model(PaymentCollection)
    rows = PaymentCollection.objects.filter(pk=books.collection.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(payable_type=payable_type)
    assert rows.update(payable_type=payable_type, payable_id="7") == 1


def _names(error: IntegrityError, constraint: str) -> bool:
    """Return whether the error names a constraint; of two that are broken, each database names another.

    Where an amount can't be, the status doesn't follow from it either.
    """
    table = "_".join(constraint.split("_")[:2])
    names = [*constraint.split("|"), f"{table}_status_follows_amounts"]
    return any(name in str(error) for name in names)
