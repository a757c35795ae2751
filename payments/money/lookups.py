"""The comparisons that are exact on a column of amounts.

Text lookups (`contains`, `startswith`, `regex`) are left out: on SQLite they would search the stored integer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups
from django.db.models.sql.compiler import SQLCompiler

from payments.money.expressions import type_literals

if TYPE_CHECKING:
    _Base = lookups.BuiltinLookup[Any]
else:
    _Base = object


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
