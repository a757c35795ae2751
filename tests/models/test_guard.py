"""A status is what the services made it: neither a manager, nor a model, nor raw SQL can say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, models, transaction
from django.db.models import QuerySet

from payments.exceptions import TransitionError
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentOperation,
    PaymentSession,
    Refund,
    WebhookEvent,
)
from payments.testing.factories import (
    CaptureFactory,
    PaymentCollectionFactory,
    PaymentFactory,
    PaymentOperationFactory,
    PaymentSessionFactory,
    RefundFactory,
    WebhookEventFactory,
)
from tests.models.conftest import Books

pytestmark = pytest.mark.django_db

# Which trait of which factory makes a row of each status; "" is the factory's plain row.
STATUSES: dict[Any, dict[str, str]] = {
    PaymentCollectionFactory: {
        "not_paid": "",
        "awaiting": "awaiting",
        "partially_authorized": "partially_authorized",
        "authorized": "authorized",
        "partially_captured": "partially_captured",
        "completed": "captured",
        "canceled": "canceled",
    },
    PaymentSessionFactory: {
        "pending": "",
        "requires_more": "requires_more",
        "authorized": "authorized",
        "error": "error",
        "canceled": "canceled",
    },
    PaymentFactory: {
        "authorized": "",
        "partially_captured": "partially_captured",
        "captured": "captured",
        "partially_refunded": "partially_refunded",
        "refunded": "refunded",
        "canceled": "canceled",
    },
    CaptureFactory: {"pending": "pending", "succeeded": "", "failed": "failed"},
    RefundFactory: {"pending": "pending", "succeeded": "", "failed": "failed"},
    PaymentOperationFactory: {
        "processing": "processing",
        "pending": "pending",
        "unknown": "unknown",
        "attention": "attention",
        "succeeded": "",
        "declined": "declined",
        "not_sent": "not_sent",
    },
    WebhookEventFactory: {
        "received": "",
        "deferred": "deferred",
        "applied": "applied",
        "ignored": "ignored",
        "failed": "failed",
    },
}
CASES = [
    pytest.param(factory, status, id=f"{factory._meta.model.__name__}-{status}")
    for factory, statuses in STATUSES.items()
    for status in statuses
]

ALIKE: list[dict[Any, set[str]]] = [
    {PaymentCollection: {"not_paid", "awaiting"}},  # whether a session waits is in another table
    {PaymentSession: {"pending", "requires_more"}},
    {PaymentOperation: {"pending", "unknown"}},
    {PaymentOperation: {"declined", "not_sent"}},
    {WebhookEvent: {"received", "deferred"}},
    {WebhookEvent: {"ignored", "failed"}},
]
"""Statuses that stand for the same columns, so that only the guards above the database tell them apart."""

LOOSER = {
    (PaymentOperation, "pending"): {"processing"},  # which may have been looked at, and may not
    (PaymentOperation, "unknown"): {"processing", "attention"},
    (PaymentOperation, "attention"): {"processing"},
}
"""Statuses that a row of another one has all the columns for."""


def _row(factory: Any, status: str) -> Any:
    trait = STATUSES[factory][status]
    row = factory.create(**({trait: True} if trait else {}))
    row.refresh_from_db()
    assert row.status == status
    return row


def _others(row: Any, *, in_columns: bool) -> list[str]:
    """Return the statuses that a row hasn't; `in_columns` leaves those out that its columns could stand for."""
    others = {str(value) for value, _label in row._meta.get_field("status").flatchoices} - {row.status}
    if in_columns:
        for alike in ALIKE:
            names = alike.get(type(row), set())
            others -= names if row.status in names else set()
        others -= LOOSER.get((type(row), str(row.status)), set())
    return sorted(others)


def _copied(row: Any, status: str) -> Any:
    """Return a new row like this one, said to have another status."""
    values = {each.attname: getattr(row, each.attname) for each in row._meta.concrete_fields}
    return type(row)(**{**values, "id": f"{row.pk[:-1]}-", "status": status})


def _update_asynchronously(row: Any, manager: Any, status: str) -> None:
    async_to_sync(manager.filter(pk=row.pk).aupdate)(status=status)


def _bulk_update(row: Any, manager: Any, status: str) -> None:
    vars(row)["status"] = status
    manager.bulk_update([row], ["status"])


MANAGERS: dict[str, Callable[[Any], Any]] = {
    "objects": lambda row: type(row).objects,
    "_base_manager": lambda row: type(row)._base_manager,
    "a queryset": lambda row: type(row).objects.filter(pk=row.pk).order_by(),
}
WAYS: dict[str, Callable[[Any, Any, str], object]] = {
    "update": lambda row, manager, status: manager.filter(pk=row.pk).update(status=status),
    "bulk_update": _bulk_update,
    "update_or_create": lambda row, manager, status: manager.update_or_create(
        pk=row.pk, defaults={"status": status}
    ),
}
NEW: dict[str, Callable[[Any, Any, str], object]] = {
    "bulk_create": lambda row, manager, status: manager.bulk_create([_copied(row, status)]),
    "create": lambda row, manager, status: manager.create(status=status),
    "get_or_create": lambda row, manager, status: manager.get_or_create(
        pk="nowhere", defaults={"status": status}
    ),
}


@pytest.mark.shows(
    "The shop's code writes a status or an amount with `update`, `bulk_update` or `update_or_create`",
    "Refused, on every model, in every status, by related managers too",
)
@pytest.mark.database_independent
@pytest.mark.parametrize(("factory", "status"), CASES)
def test_managers_refuse_to_write_a_status(factory: Any, status: str) -> None:
    row = _row(factory, status)
    with _nothing_written(row):
        for manager in MANAGERS.values():
            others = _others(row, in_columns=False)
            _refused(lambda: _update_asynchronously(row, manager(row), others[0]))  # noqa: B023 - runs at once
            for other in others:
                for way in WAYS.values():
                    _refused(lambda: way(row, manager(row), other))  # noqa: B023


@pytest.mark.database_independent
@pytest.mark.parametrize(("factory", "status"), CASES)
def test_managers_refuse_to_insert_another_status_than_the_first(factory: Any, status: str) -> None:
    row = _row(factory, status)
    first = row._meta.get_field("status").get_default()
    with _nothing_written(row):
        for manager in (MANAGERS["objects"], MANAGERS["_base_manager"]):
            for other in {*_others(row, in_columns=False), status} - {first}:
                for way in NEW.values():
                    _refused(lambda: way(row, manager(row), other))  # noqa: B023 - runs at once


def _refused(write: Callable[[], object]) -> None:
    with pytest.raises(TransitionError, match=r"payments\.services") as refusal:
        write()
    assert (refusal.value.code, refusal.value.field) == ("services_only", "status")


@contextmanager
def _nothing_written(row: Any) -> Iterator[None]:
    """Let nothing but SELECT and savepoints come to the database, and see the rows as they were afterwards."""

    def check(execute: Any, sql: str, *arguments: Any) -> Any:
        assert sql.startswith(("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK TO")), sql
        return execute(sql, *arguments)

    rows: QuerySet[Any] = QuerySet(type(row))
    before = list(rows.order_by("pk").values())
    with connection.execute_wrapper(check):
        yield
    assert list(rows.order_by("pk").values()) == before


def test_related_managers_refuse_to_write_a_status(books: Books) -> None:
    collection, session, payment = books.collection, books.session, books.payment
    related = (
        collection.sessions,
        collection.payments,
        collection.operations,
        session.operations,
        payment.captures,
        payment.refunds,
        books.provider.webhook_events,
        books.provider.sessions,
    )
    for manager in related:
        for write in (manager.update, manager.all().update, manager.create):
            with pytest.raises(TransitionError) as refusal:
                write(status="canceled")
            assert refusal.value.code == "services_only"


AMOUNTS = [
    pytest.param(factory, each.name, id=f"{factory._meta.model.__name__}-{each.name}")
    for factory in STATUSES
    for each in factory._meta.model._meta.concrete_fields
    if each.name.endswith("amount")
]


@pytest.mark.parametrize(("factory", "name"), AMOUNTS)
def test_managers_refuse_to_write_an_amount(factory: Any, name: str) -> None:
    row = factory.create()
    model = type(row)
    conflicting: dict[str, Any] = {"update_conflicts": True, "unique_fields": ["id"]}
    ways: tuple[Callable[[], object], ...] = (
        lambda: model.objects.update(**{name: Decimal(1)}),
        lambda: model.objects.bulk_update([row], [name]),
        lambda: model.objects.update_or_create(pk=row.pk, defaults={name: Decimal(1)}),
        lambda: model.objects.bulk_create([], update_fields=[name], **conflicting),
    )
    for write in ways:
        with pytest.raises(TransitionError) as refusal:
            write()
        assert (refusal.value.code, refusal.value.field) == ("services_only", name)


@pytest.mark.shows(
    "Raw SQL, or a row saved past its field, says another status than the row's facts",
    "The database refuses it: a status is tied to its times, codes and amounts",
)
@pytest.mark.parametrize(("factory", "status"), CASES)
def test_database_refuses_a_status_whose_facts_a_row_lacks(factory: Any, status: str) -> None:
    row = _row(factory, status)
    for other in _others(row, in_columns=True):
        for write in (_save_past_the_field, _update_plainly, _execute):
            with suppress(IntegrityError), transaction.atomic():
                write(type(row).objects.get(pk=row.pk), other)
            assert type(row).objects.get(pk=row.pk).status == status, other


def _save_past_the_field(row: Any, status: str) -> None:
    vars(row)["status"] = status
    row.save()


def _update_plainly(row: Any, status: str) -> None:
    QuerySet(type(row)).filter(pk=row.pk).update(status=status)


def _execute(row: Any, status: str) -> None:
    table = connection.ops.quote_name(row._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET status = %s WHERE id = %s", [status, row.pk])  # noqa: S608


HALF_DONE: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "authorized session": (PaymentSessionFactory.create, lambda row: row.authorize()),
    "canceled session": (PaymentSessionFactory.create, lambda row: row.cancel()),
    "captured payment": (PaymentFactory.create, lambda row: row.capture()),
    "canceled payment": (PaymentFactory.create, lambda row: row.cancel()),
    "authorized collection": (PaymentCollectionFactory.create, lambda row: row.authorize()),
    "completed collection": (
        lambda: PaymentCollectionFactory.create(authorized=True),
        lambda row: row.complete(),
    ),
    "canceled collection": (PaymentCollectionFactory.create, lambda row: row.cancel()),
    "succeeded capture": (lambda: CaptureFactory.create(pending=True), lambda row: row.succeed()),
    "succeeded refund": (lambda: RefundFactory.create(pending=True), lambda row: row.succeed()),
    "pending operation": (
        lambda: PaymentOperationFactory.create(processing=True),
        lambda row: row.await_provider(),
    ),
}


@pytest.mark.shows(
    "A transition is called on a row and saved, without the service that belongs to it",
    "The database refuses a session, payment or movement that only says it has been authorized or moved",
)
@pytest.mark.parametrize("name", HALF_DONE)
def test_transition_that_no_service_completes_is_not_stored(name: str) -> None:
    make, step = HALF_DONE[name]
    row = make()
    row.refresh_from_db()
    before = row.status
    step(row)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()
    assert type(row).objects.get(pk=row.pk).status == before


def test_refusal_without_a_code_is_stored_with_one(books: Books) -> None:
    books.capture.fail(code="", message="")
    books.capture.save()
    assert Capture.objects.get(pk=books.capture.pk).error_code == "failed"


def test_anything_else_is_still_written_in_bulk(books: Books) -> None:
    assert PaymentCollection.objects.update(metadata={"note": "x"}) == 1
    books.session.context = {"note": "y"}
    assert PaymentSession.objects.bulk_update([books.session], ["context"]) == 1
    row = WebhookEvent(provider=books.provider, event_id="evt_2", type="captured")
    assert WebhookEvent.objects.bulk_create([row]) == [row]


@pytest.mark.parametrize("model", [Payment, Capture, Refund, PaymentOperation, WebhookEvent, PaymentSession])
def test_rows_are_whole_for_django_s_own_validation(books: Books, model: type[models.Model]) -> None:
    rows: QuerySet[Any] = QuerySet(model)
    for row in rows:
        row.full_clean()


def test_rows_survive_being_dumped_and_loaded(books: Books) -> None:
    from django.core import serializers  # noqa: PLC0415

    rows = [books.collection, books.session, books.payment, books.capture, books.refund, books.operation]
    for loaded in serializers.deserialize("json", serializers.serialize("json", [*rows, books.webhook])):
        loaded.save()
    assert PaymentSession.objects.get().status == "authorized"
