"""Copies rows inside the database, for `tests.admin.bench_rows`: millions of them in a minute.

Each copy is told from its original by a suffix of its id and of whatever else is unique, and happens later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import connection, models

MINUTES: Final = 2
"""How much later each copy happened than the one before: all of them before the next original."""

UNIQUE: Final = frozenset(
    {"number", "provider_reference", "idempotency_key", "event_id", "in_flight_key", "target_id"}
)


def copy_rows(
    ordered: Sequence[type[models.Model]], *, copies: int, first_ulid: str, first_number: int, base: int
) -> None:
    """Copy the rows that are newer than an id, the models in the order in which they refer to each other."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE bench_copies (n integer, s varchar(4))")
        cursor.executemany(
            "INSERT INTO bench_copies VALUES (%s, %s)", [(n, f"{n:04}") for n in range(1, copies + 1)]
        )
        for model in ordered:
            cursor.execute(_statement(model, set(ordered), first_ulid, first_number, base))


def _statement(
    model: type[models.Model], copied: set[type[models.Model]], first_ulid: str, first_number: int, base: int
) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    fields = [field for field in model._meta.concrete_fields if not _is_counted(field)]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    values = ", ".join(_value(field, copied, base) for field in fields)
    key = model._meta.pk
    if isinstance(key, models.CharField):
        condition = f"substr(id, length(id) - 25) > '{first_ulid}'"
    elif _is_counted(key):
        condition = f"substr(collection_id, length(collection_id) - 25) > '{first_ulid}'"
    else:
        condition = f"id > {first_number}"
    return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, bench_copies WHERE {condition}"  # noqa: S608


def _is_counted(field: Any) -> bool:
    """Return whether the database numbers the rows, and nobody refers to the number."""
    return isinstance(field, models.AutoField) and field.model._meta.model_name == "paymentevent"


def _value(field: Any, copied: set[type[models.Model]], base: int) -> str:
    """Return what a copy has in a column, in SQL."""
    name = connection.ops.quote_name(field.column)
    if field.related_model is get_user_model():
        return f"{name} + n * {base // 4}"
    if field.related_model in copied or (field.primary_key and isinstance(field, models.CharField)):
        return f"{name} || s"
    if field.primary_key:
        return f"{name} + n * {base}"
    return _later(name) if isinstance(field, models.DateTimeField) else _told_apart(field.name, name, base)


def _told_apart(field_name: str, name: str, base: int) -> str:
    if field_name in UNIQUE:
        return f"{name} || '-' || s"
    if field_name == "payable_id":
        return f"CAST(CAST({name} AS integer) + n * {base} AS varchar(20))"
    return name


def _later(name: str) -> str:
    if connection.vendor == "sqlite":
        return f"strftime('%Y-%m-%d %H:%M:%f000', {name}, '+' || ({MINUTES} * n) || ' minutes')"
    return f"{name} + n * interval '{MINUTES} minutes'"
