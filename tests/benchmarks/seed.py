"""Fills a PostgreSQL database with payments: a few orders are paid by the services, and their rows copied by SQL.

`seed(connection, payments)` makes so many payments, spread over a year, each with an order, its collection, a session,
operations, events, a webhook event, mostly a capture and now and then a refund; every fourth is another customer's.
With `unpaid`, there are so many unpaid orders besides.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.apps import apps
from django.contrib.auth.models import User
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from payments import ids, services
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
    WebhookEvent,
)
from payments.testing.factories import WebhookEventFactory
from tests.shop.models import Order

TEMPLATES: Final = 20
"""How many orders are paid by the services."""

UNPAID: Final = TEMPLATES
"""The number of the order of which the unpaid ones are copies."""

TABLES: Final[tuple[type[models.Model], ...]] = (
    User,
    Order,
    PaymentCollection,
    PaymentSession,
    Payment,
    Capture,
    Refund,
    PaymentOperation,
    WebhookEvent,
    PaymentEvent,
)
"""What is copied, in an order in which foreign keys hold."""

APART: Final = 1_000
"""How far the whole numbers that are keys of copies lie apart."""

BATCH: Final = 2_000
SECONDS: Final = 365 * 24 * 60 * 60
KEYS: Final = frozenset({"target_id", "in_flight_key"})
"""The columns, besides ids, that hold an id."""

TEXTS: Final = frozenset({"provider_reference", "event_id", "number", "username"})
"""The other columns that no two rows share."""


def seed(connection: BaseDatabaseWrapper, payments: int, *, unpaid: int = 0) -> None:
    """Fill an empty database with at least so many payments and unpaid orders, and tell how far it is."""
    for number in range(TEMPLATES):
        _pay(number)
    mark = ids.new_ulid()
    if unpaid:
        _pay(UNPAID)
    with connection.cursor() as cursor, _without_indexes(cursor):
        _copy_all(cursor, -(-payments // TEMPLATES) - 1, f"<= '{mark}'", range(TEMPLATES))
        if unpaid:
            _copy_all(cursor, unpaid - 1, f"> '{mark}'", range(UNPAID, UNPAID + 1))
        cursor.execute("SELECT setval('payments_paymentevent_id_seq', max(id)) FROM payments_paymentevent")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _copy_all(cursor: Any, copies: int, made: str, numbers: range) -> None:
    """Copy so many times what was made for the orders with these numbers, at a time that a ULID tells."""
    cursor.execute(
        "SET session_replication_role = replica"
    )  # what is copied needs no check of its foreign keys
    for model in TABLES:
        rows = copies // 4 if model is User else copies
        statement, keys = _copy(model, copies), _templates(cursor, model, made, numbers)
        for first in range(1, rows + 1, BATCH):
            cursor.execute(statement, [first, min(first + BATCH - 1, rows), keys])
            _tell(model._meta.db_table, min(first + BATCH - 1, rows) / rows)
    cursor.execute("RESET session_replication_role")


def _pay(number: int) -> None:
    """Pay an order: one in ten is only authorized, one in ten refunded, and one in twenty left unpaid."""
    customer = User.objects.create(
        username=f"customer{number}",
        email=f"customer{number}@shop.test",
        first_name="Ada",
        last_name="Lovelace",
    )
    order = Order.objects.create(
        number=f"SG-{number}", total=10 + number, currency_code="eur", customer=customer, email=customer.email
    )
    resolved = services.ResolvedPayable(
        payable=order, amount=order.total, currency_code="eur", customer=customer, description=order.number
    )
    collection, _is_new = services.open_payment_collection(resolved)
    session = services.create_payment_session(collection, provider_id="system")
    WebhookEventFactory.create(applied=True, session=session, provider=session.provider)
    if number in (0, UNPAID):
        return
    payment = services.authorize_payment_session(session).payment
    assert payment is not None
    if number in (1, 2):
        return
    services.capture_payment(payment)
    if number in (3, 4):
        services.refund_payment(payment, amount="5.00")


def _copy(model: type[models.Model], copies: int) -> str:
    """Return the statement that copies rows of a table once for each number between two parameters."""
    fields = [field for field in model._meta.concrete_fields if not _is_generated(model, field)]
    columns = ", ".join(str(field.column) for field in fields)
    values = ", ".join(_value(field, copies) for field in fields)
    table, key = model._meta.db_table, model._meta.pk.column
    return (
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, "  # noqa: S608
        f"generate_series(%s::int, %s::int) AS copy WHERE {key} = ANY(%s) ORDER BY copy, {key}"
    )


def _templates(cursor: Any, model: type[models.Model], made: str, numbers: range) -> list[Any]:
    """Return the keys of the rows to copy."""
    table, key = model._meta.db_table, model._meta.pk.column
    column = "collection_id" if model is PaymentEvent else key
    is_one = f"{column} !~ '_9[0-9]{{7}}' AND right({column}, 26) {made}"
    named = {User: ("username", "customer"), Order: ("number", "SG-")}
    if model in named:
        column, prefix = named[model]
        names = ", ".join(f"'{prefix}{number}'" for number in numbers)
        is_one = f"{column} IN ({names})"
    cursor.execute(f"SELECT {key} FROM {table} WHERE {is_one}")  # noqa: S608
    return [key for (key,) in cursor.fetchall()]


def _is_generated(model: type[models.Model], field: Any) -> bool:
    return model is PaymentEvent and bool(field.primary_key)


def _value(field: Any, copies: int) -> str:
    """Return what a copy has in a column."""
    column, is_text = field.column, isinstance(field, models.CharField)
    moved = f"{column}::bigint + copy * {APART}::bigint"
    if _is_customer(field):
        customer = f"{column}::bigint + copy %% {max(copies // 4, 1)} * {APART}::bigint"
        found = f"CASE WHEN {column}::text <> '' THEN {customer} END"
        return f"({found})::text" if is_text else found
    if column == "payable_id" or (field.primary_key and not is_text):
        return f"({moved})::text" if is_text else moved
    if column == "email":
        return f"copy || {column}"
    if _holds_id(field):
        return f"regexp_replace({column}, '_[0-9A-Z]{{8}}', '_9' || lpad(copy::text, 7, '0'))"
    if column in TEXTS:
        return f"{column} || '-' || copy"
    is_moment = isinstance(field, models.DateTimeField)
    return f"{column} - make_interval(secs => copy * {SECONDS / copies})" if is_moment else str(column)


def _is_customer(field: Any) -> bool:
    return field.column == "customer_key" or (field.is_relation and field.related_model is User)


def _holds_id(field: Any) -> bool:
    """Return whether a text is an id of `payments`, of which a copy has another time."""
    if field.is_relation:
        return field.related_model in TABLES
    return isinstance(field, models.CharField) and bool(field.primary_key or field.column in KEYS)


@contextmanager
def _without_indexes(cursor: Any) -> Iterator[None]:
    """Drop the indexes that no constraint needs, and create them again: at once that takes a fraction of the time."""
    tables = [model._meta.db_table for model in apps.get_app_config("payments").get_models()]
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname NOT IN "
        "(SELECT conname FROM pg_constraint) AND indexdef NOT LIKE 'CREATE UNIQUE%%'",
        [tables],
    )
    indexes = cursor.fetchall()
    for name, _definition in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    yield
    for number, (_name, definition) in enumerate(indexes, start=1):
        cursor.execute(definition)
        _tell("indexes", number / len(indexes))


def _tell(what: str, share: float) -> None:
    """Show how far the work is, in one line."""
    bar = "█" * round(share * 30)
    sys.stderr.write(f"\r{what:<28}{bar:░<30}{share:>5.0%}" + ("\n" if share == 1 else ""))
    sys.stderr.flush()
