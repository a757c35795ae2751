"""Keeping amounts and bare numbers apart in database expressions: a bare number gets the amounts' type, or is refused.

On SQLite an amount is stored as a whole number of ten-thousandths, so that a bare `Decimal("0.20")` next to a column of
amounts would count as 0.00002.

Text lookups (`contains`, `startswith`, `regex`) are left out: on SQLite they would search the stored integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.core.exceptions import FieldError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups
from django.db.models.aggregates import Avg, Max, Min, StdDev, Sum
from django.db.models.expressions import (
    Case,
    Col,
    Combinable,
    CombinedExpression,
    ExpressionList,
    ExpressionWrapper,
    Ref,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.functions import Abs, Cast, Coalesce, Greatest, Least, NullIf
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

if TYPE_CHECKING:
    _Base = lookups.BuiltinLookup[Any]
else:
    _Base = object


HINT: Final = "Write the number as Value(Decimal('0.20'), output_field=AmountField())."

# Expressions whose value is that of all their operands ...
_TRANSPARENT = (Case, Coalesce, ExpressionList, ExpressionWrapper, Greatest, Least, NullIf, Abs, Cast)
# ... or of the first one only: the others filter, order or partition.
_FIRST_OPERAND = (Sum, Min, Max, Avg, StdDev, Window)
ESTIMATES: Final = (Avg, StdDev)


class AmountExpressionError(TypeError, AttributeError):
    """An expression that mixes amounts with something else.

    It is an `AttributeError` as well: Django asks for the type of an unfinished expression, before its numbers can get
    their type, and ignores an `AttributeError` there. Django ignores a `FieldError` too, but also when it compiles for
    SQLite, where this error must be raised.
    """


class AmountUnits:
    """A mark of fields whose values are amounts, which spares this module the import of `AmountField`."""


def stores_integers(connection: BaseDatabaseWrapper) -> bool:
    """Return whether a database stores amounts as whole ten-thousandths, because it has no exact decimals."""
    return connection.vendor == "sqlite"


def type_literals(expression: Any, connection: BaseDatabaseWrapper, field: models.Field[Any, Any]) -> None:
    """Give each bare number in a resolved expression the type of `field`, in place.

    Raises `AmountExpressionError` for an expression that doesn't yield amounts on every database.
    """
    _Reader(strict=stores_integers(connection), field=field).read(expression)


def check_literals(expression: Any, connection: BaseDatabaseWrapper) -> None:
    """Raise `AmountExpressionError` unless a compiled expression yields amounts."""
    _Reader(strict=stores_integers(connection)).read(expression)


def yields_estimate(expression: Any) -> bool:
    """Return whether an expression contains an average, whose result isn't money."""
    if isinstance(expression, ESTIMATES):
        return True
    operands = expression.get_source_expressions()
    return any(yields_estimate(operand) for operand in operands if operand is not None)


class _Reader:
    """A walk down the operands from which an expression takes its value.

    With a `field`, bare numbers get its type; without one, they are refused. `strict` also refuses expressions that
    only a database with exact decimals evaluates correctly.
    """

    def __init__(self, *, strict: bool, field: models.Field[Any, Any] | None = None) -> None:
        self.strict = strict
        self.field = field

    def read(self, expression: Any) -> None:
        if expression is None:
            return
        if isinstance(expression, Value):
            self._read_value(expression)
        elif isinstance(expression, CombinedExpression):
            self._read_arithmetic(expression)
        elif isinstance(expression, (Query, Subquery)):
            self._read_query(expression)
        elif isinstance(expression, Col):
            self._read_column(expression)
        else:
            self._read_operands(expression)

    def _read_value(self, value: Value) -> None:
        if value.value is None or isinstance(_type_of(value), AmountUnits):
            return
        if self.field is None or not isinstance(value.value, (int, Decimal)):
            _forbid(f"{value.value!r} has no amount's type.", HINT)
        value.output_field = self.field

    def _read_arithmetic(self, expression: CombinedExpression) -> None:
        amounts = [expression.lhs, expression.rhs]
        if expression.connector == Combinable.MUL:
            amounts = [side for side in amounts if not isinstance(_type_of(side), models.IntegerField)]
            allowed = len(amounts) == 1
        else:
            allowed = expression.connector in {Combinable.ADD, Combinable.SUB}
        if not allowed or any(_is_of_another_type(side) for side in amounts):
            forbid_arithmetic()
        for side in amounts:
            self.read(side)

    def _read_query(self, expression: Query | Subquery) -> None:
        query: Query = expression.query if isinstance(expression, Subquery) else expression
        for selected in (*query.select, *query.annotation_select.values()):
            _Reader(strict=self.strict).read(selected)

    def _read_column(self, column: Col) -> None:
        if self.strict and not isinstance(column.output_field, AmountUnits):
            _forbid(
                f"{column.target} is not an AmountField.", "Make it one, or convert its values in Python."
            )

    def _read_operands(self, expression: Any) -> None:
        operands = _operands(expression)
        if operands is None:
            if self.strict:
                name = type(expression).__name__
                _forbid(f"{name} doesn't give an exact amount on SQLite.", "Compute it in Python.")
            return
        for operand in operands:
            self.read(operand)


def _operands(expression: Any) -> Sequence[Any] | None:
    """Return the operands from which an expression takes its value, or None for an unknown kind of expression."""
    sources: Sequence[Any] = expression.get_source_expressions()
    if isinstance(expression, When):
        return sources[1:]
    if isinstance(expression, (*_TRANSPARENT, Ref)):
        return sources
    return sources[:1] if isinstance(expression, _FIRST_OPERAND) else None


def _type_of(expression: Any) -> Any:
    """Return an expression's field, or None if it has none yet or mixes several."""
    try:
        return getattr(expression, "_output_field_or_none", None)
    except FieldError:
        return None


def _is_of_another_type(side: Any) -> bool:
    """Return whether an operand of a sum is neither an amount nor a number that can become one."""
    kind = _type_of(side)
    return not (
        kind is None or isinstance(kind, AmountUnits) or isinstance(side, (Value, CombinedExpression))
    )


def forbid_arithmetic() -> NoReturn:
    """Raise `AmountExpressionError` for an operation that amounts don't have."""
    _forbid(
        "Amounts can be added to amounts, subtracted from amounts and multiplied by whole numbers, nothing else.",
        HINT,
    )


def _forbid(what: str, instead: str) -> NoReturn:
    raise AmountExpressionError(f"{what} {instead}")


class _AmountLookup(_Base):
    """A comparison that gives bare numbers on either side the type of an amount."""

    def process_lhs(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, lhs: Any = None) -> Any:
        type_literals(lhs or self.lhs, connection, self.lhs.output_field)
        return super().process_lhs(compiler, connection, lhs)

    def process_rhs(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        if not self.rhs_is_direct_value():
            type_literals(self.rhs, connection, self.lhs.output_field)
        return super().process_rhs(compiler, connection)


class AmountExact(_AmountLookup, lookups.Exact):
    """Equality."""


class AmountGreaterThan(_AmountLookup, lookups.GreaterThan):
    """The comparison >."""


class AmountGreaterThanOrEqual(_AmountLookup, lookups.GreaterThanOrEqual):
    """The comparison >=."""


class AmountLessThan(_AmountLookup, lookups.LessThan):
    """The comparison <."""


class AmountLessThanOrEqual(_AmountLookup, lookups.LessThanOrEqual):
    """The comparison <=."""


class AmountIn(_AmountLookup, lookups.In):
    """An amount in a list or a subquery."""


class AmountRange(_AmountLookup, lookups.Range):
    """An amount between two others, both included."""


AMOUNT_LOOKUPS = (
    AmountExact,
    AmountGreaterThan,
    AmountGreaterThanOrEqual,
    AmountLessThan,
    AmountLessThanOrEqual,
    AmountIn,
    AmountRange,
)
LOOKUP_NAMES = frozenset({lookup.lookup_name for lookup in AMOUNT_LOOKUPS} | {lookups.IsNull.lookup_name})
