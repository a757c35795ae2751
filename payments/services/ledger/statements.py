"""The statements with which books are opened and closed, each compiled once per database.

Only these write statuses and amounts: they use plain querysets, since the models' managers refuse that, and send
neither `pre_save` nor `post_save`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Generic, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Model, QuerySet
from django.db.models.functions import Now

from payments.conf import compiles_statements

logger = logging.getLogger("payments.ledger")

ModelT = TypeVar("ModelT", bound=Model)

# Django builds the text of a query anew each time it runs, which takes longer than most of these queries do. Here its
# compiler builds each SELECT once, with markers that later give way to values. INSERT and UPDATE are written from the
# model's fields, whose own methods prepare the values. If a release of Django has changed the internals used here, or
# the setting `COMPILE_STATEMENTS` is False, the same statements go through the plain ORM.

_CHANGED: Final = (AttributeError, LookupError, TypeError, ValueError)
"""The errors that show that a release of Django has changed the internals used here."""


class DatabaseNow(Now):
    """The database's own time; on MariaDB and MySQL in UTC, unaffected by daylight saving time."""

    def as_mysql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """Return the function that ignores the connection's time zone."""
        return "UTC_TIMESTAMP(6)", ()


@dataclass(frozen=True, kw_only=True)
class _Joined:
    """Which columns of a SELECT are a row of another model, and how the two rows are told of each other."""

    model: type[Model]
    names: tuple[str, ...]
    positions: tuple[int, ...]
    tell: Callable[[Model, Model | None], None]
    tell_back: Callable[[Model, Model], None]

    @classmethod
    def of(cls, select: Sequence[Any], info: Mapping[str, Any]) -> _Joined:
        """Read it off what Django's compiler knows of a join."""
        positions = tuple(info["select_fields"])
        return cls(
            model=info["model"],
            names=tuple(select[at][0].target.attname for at in positions),
            positions=positions,
            tell=info["local_setter"],
            tell_back=info["remote_setter"],
        )

    def join(self, instance: Model, row: Sequence[Any], alias: str) -> None:
        """Make the other row, if there is one, and tell the two of each other."""
        values = [row[at] for at in self.positions]
        if values[self.names.index(self.model._meta.pk.attname)] is None:
            self.tell(instance, None)
            return
        other = self.model.from_db(alias, self.names, values)
        self.tell(instance, other)
        self.tell_back(other, instance)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The text of a SELECT; each marker in `values` is replaced by a parameter."""

    text: str
    values: tuple[Any, ...]
    converters: Sequence[tuple[int, Sequence[Callable[..., Any]], Any]]
    annotations: Mapping[str, int]
    joined: Sequence[_Joined]

    def rows(self, connection: BaseDatabaseWrapper, parameters: Mapping[str, str]) -> list[list[Any]]:
        """Run the SELECT and return its rows, each value converted as the ORM does."""
        with connection.cursor() as cursor:
            cursor.execute(self.text, [parameters.get(value, value) for value in self.values])
            found = [list(row) for row in cursor.fetchall()]
        for row in found:
            for position, converters, expression in self.converters:
                for converter in converters:
                    row[position] = converter(row[position], expression, connection)
        return found


def database_time(alias: str, rows: QuerySet[Any]) -> datetime:
    """Return the time of the database's own clock, read with the first of these rows."""
    found: datetime = (
        rows.using(alias).annotate(database_time=DatabaseNow()).values_list("database_time", flat=True)[0]
    )
    return found


class Select(Generic[ModelT]):
    """A SELECT of whole rows of one model, which `build` filters by text parameters, annotates, and joins to others."""

    def __init__(self, model: type[ModelT], build: Callable[..., QuerySet[ModelT]], *parameters: str) -> None:
        self._model = model
        self._build = build
        self._markers = {name: f"«{name}»" for name in parameters}

    def __call__(self, alias: str, **parameters: str) -> list[ModelT]:
        """Return the matching rows; a SELECT that locks rows needs a transaction."""
        connection = connections[alias]
        plan = _plan(self, alias, connection.vendor) if compiles_statements() else None
        if plan is None:
            return list(self._rows(alias, parameters))
        values = {self._markers[name]: value for name, value in parameters.items()}
        names = _names(self._model)
        found = []
        for row in plan.rows(connection, values):
            instance = self._model.from_db(alias, names, row[: len(names)])
            for joined in plan.joined:
                joined.join(instance, row, alias)
            for name, position in plan.annotations.items():
                setattr(instance, name, row[position])
            found.append(instance)
        return found

    def _rows(self, alias: str, parameters: Mapping[str, str]) -> QuerySet[ModelT]:
        return self._build(QuerySet(self._model, using=alias).order_by(), **parameters)

    def compiled(self, alias: str) -> _Plan | None:
        """Compile the query with markers for its parameters; return None if the result isn't as expected."""
        try:
            compiler = _compiler(self._rows(alias, self._markers))
            text, values = compiler.as_sql()
            columns = [expression for expression, _sql, _name in compiler.select]
            names = tuple(column.target.attname for column in columns[: len(_names(self._model))])
            plan = _Plan(
                text=text,
                values=tuple(values),
                converters=[
                    (at, tuple(each), column)
                    for at, (each, column) in compiler.get_converters(columns).items()
                ],
                annotations=dict(compiler.annotation_col_map or {}),
                joined=[
                    _Joined.of(compiler.select, info)
                    for info in compiler.klass_info.get("related_klass_infos", ())
                ],
            )
        except _CHANGED:
            _warn("SELECT", self._model)
            return None
        # Rows are rebuilt by position, so the first columns must be exactly the model's; and a marker that isn't among
        # the values, for instance because Django has put it into the text, could never be replaced.
        if names != _names(self._model) or not set(self._markers.values()) <= set(values):
            _warn("SELECT", self._model)
            return None
        return plan


@cache
def _plan(select: Select[Any], alias: str, vendor: str) -> _Plan | None:
    return select.compiled(alias)


def _compiler(rows: QuerySet[Any]) -> Any:
    return rows.query.get_compiler(rows.db)


def _warn(verb: str, model: type[Model]) -> None:
    """Log that a statement is built anew each time, which is slower but otherwise equivalent."""
    logger.warning("This %s of %s can't be compiled, so it goes through the ORM.", verb, model.__name__)


def insert(alias: str, rows: Sequence[Model], *, stamped: tuple[str, ...] = ()) -> None:
    """Insert rows of one model in one statement; the `stamped` columns (attribute names) get the database's time.

    Neither the stamped columns nor a key that the database generates are read back.
    """
    text = _insert_text(alias, type(rows[0]), stamped) if compiles_statements() else None
    if text is not None:
        _insert_compiled(alias, rows, stamped, *text)
    else:
        _insert_with_orm(alias, rows, stamped)
    for row in rows:
        row._state.adding = False
        row._state.db = alias


def update(alias: str, row: Model, names: Sequence[str], **guard: Any) -> bool:
    """Write some columns (attribute names) of a row; return whether the row was found unchanged.

    `guard` gives the stored values, by attribute name, that the row must still have in other columns. A `DatabaseNow`
    writes the database's own time.
    """
    is_stamped = any(isinstance(getattr(row, name), DatabaseNow) for name in names)
    if is_stamped or not compiles_statements():
        values = {name: getattr(row, name) for name in names}
        return QuerySet(type(row), using=alias).filter(pk=row.pk, **guard).update(**values) == 1
    connection = connections[alias]
    fields = _fields(type(row))
    parameters = [fields[name].get_db_prep_save(getattr(row, name), connection) for name in names]
    with connection.cursor() as cursor:
        cursor.execute(
            _update_text(alias, type(row), tuple(names), tuple(guard)), [*parameters, row.pk, *guard.values()]
        )
        return bool(cursor.rowcount == 1)


def update_many(alias: str, rows: Sequence[Model], names: Iterable[str]) -> None:
    """Write the same columns (attribute names) of several rows of one model in one statement."""
    model, written = type(rows[0]), set(names)
    fields = [each.name for each in model._meta.concrete_fields if each.attname in written]
    queryset: QuerySet[Any] = QuerySet(model, using=alias)
    queryset.bulk_update(rows, fields)


@cache
def _fields(model: type[Model]) -> Mapping[str, Any]:
    """Return a model's stored fields by attribute name."""
    return {field.attname: field for field in model._meta.concrete_fields}


@cache
def _names(model: type[Model]) -> tuple[str, ...]:
    return tuple(_fields(model))


@cache
def _written(model: type[Model]) -> list[Any]:
    return [field for field in _fields(model).values() if not isinstance(field, AutoField)]


def _insert_compiled(
    alias: str, rows: Sequence[Model], stamped: tuple[str, ...], start: str, group: str
) -> None:
    connection = connections[alias]
    given = [field for field in _written(type(rows[0])) if field.attname not in stamped]
    values = ((field, field.pre_save(row, True)) for row in rows for field in given)
    parameters = [
        None if value is None else field.get_db_prep_save(value, connection) for field, value in values
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"{start} {', '.join([group] * len(rows))}", parameters)


def _insert_with_orm(alias: str, rows: Sequence[Model], stamped: tuple[str, ...]) -> None:
    for row in rows:
        vars(row).update(dict.fromkeys(stamped, DatabaseNow()))
    queryset: Any = QuerySet(type(rows[0]), using=alias)
    queryset.bulk_create(rows)
    for row in rows:
        vars(row).update(dict.fromkeys(stamped))


@cache
def _insert_text(alias: str, model: type[Model], stamped: tuple[str, ...]) -> tuple[str, str] | None:
    """Return an INSERT up to its values, and the placeholders of one row; None if Django can't compile it."""
    quote = connections[alias].ops.quote_name
    try:
        now = str(_compiler(QuerySet(model, using=alias)).compile(DatabaseNow())[0])
    except _CHANGED:
        _warn("INSERT", model)
        return None
    fields = _written(model)
    columns = ", ".join(quote(field.column) for field in fields)
    group = ", ".join(now if field.attname in stamped else "%s" for field in fields)
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES", f"({group})"


@cache
def _update_text(alias: str, model: type[Model], names: tuple[str, ...], guards: tuple[str, ...]) -> str:
    quote = connections[alias].ops.quote_name
    key = str(_fields(model)[model._meta.pk.attname].column)
    columns = ", ".join(f"{quote(_fields(model)[name].column)} = %s" for name in names)
    conditions = " AND ".join(f"{quote(name)} = %s" for name in (key, *guards))
    return f"UPDATE {quote(model._meta.db_table)} SET {columns} WHERE {conditions}"  # noqa: S608 - our own names
