"""A model field that holds an amount exactly on every database.

This room stores and reads amounts; it knows no currency, for the column's scale is the same for all, and no rule about
who may pay what.

PostgreSQL and MariaDB keep an amount as numeric(19, 4). SQLite has no exact decimals, so there it is a whole number of
ten-thousandths, with a CHECK that it is a whole number. In Python it is a `Decimal` everywhere.

Django gives a field no say in these, which therefore see that whole number on SQLite; don't use them on amounts:
* an expression that turns an amount into another type: `Cast("amount", FloatField())`, `Concat`, `JSONObject`;
* a lookup of another field, `filter(decimal_column=F("amount"))`, or one built by hand around a bare number,
  `GreaterThan(F("amount"), Decimal(1))` (write `Q(amount__gt=Decimal(1))`);
* `order_by(Coalesce("amount", Decimal(1)))` and other functions of bare numbers, where only the order is used;
* a `union` whose first query has something else than an amount in that place, and raw SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, Combinable, register_combinable_fields
from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError
from payments.money.amounts import MAX_AMOUNT, MAX_DIGITS, SCALE, exact_decimal
from payments.money.expressions import (
    AmountExpressionError,
    AmountUnits,
    check_literals,
    forbid_arithmetic,
    stores_integers,
    type_literals,
    yields_estimate,
)
from payments.money.lookups import AMOUNT_LOOKUPS, LOOKUP_NAMES

if TYPE_CHECKING:
    from django.db.models.sql.compiler import SQLCompiler

    _Field = models.Field
else:

    class _Field(models.Field):
        """The base field with the type parameters that it has in Django's stubs only."""

        def __class_getitem__(cls, parameters):
            return cls


# What may be assigned, and what is read; Django's mypy plugin makes them optional with `null=True`.
_SetType = TypeVar("_SetType")
_GetType = TypeVar("_GetType")

_CONTEXT = Context(prec=60)
_MAX_STORED: Final = int(MAX_AMOUNT.scaleb(SCALE))


class AmountField(AmountUnits, _Field[_SetType, _GetType]):
    """An amount in major units, with four decimals, from -99999999999999.9999 to 99999999999999.9999.

    It takes a `Decimal`, an `int` or a string of digits, and refuses to save what it can't hold exactly: floats, NaN,
    more than four decimals, numbers that are too large. Whether an amount may be zero or negative, and how many
    decimals its currency has, is for `parse_amount` and for CHECK constraints to say.

    Queries are exact: comparisons, `Sum`, `Min`, `Max`, sums and differences of amounts, products with whole numbers.
    `Avg` and `StdDev` are estimates, not money. A bare number next to an amount takes its type in `update()` and in
    filters and constraints on an `AmountField`; elsewhere it raises `AmountExpressionError`, which says what to write.
    """

    _pyi_private_set_type: Decimal | int | str | Combinable
    _pyi_private_get_type: Decimal
    _pyi_lookup_exact_type: Decimal | int | str

    description = _("Amount of money")
    max_digits: ClassVar[int] = MAX_DIGITS
    decimal_places: ClassVar[int] = SCALE

    def deconstruct(self) -> Any:
        """Name the field in migrations by its public path."""
        name, path, args, kwargs = super().deconstruct()
        return name, path.replace("payments.money.fields.", "payments.money."), args, kwargs

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the type of the column."""
        return "bigint" if stores_integers(connection) else f"numeric({MAX_DIGITS}, {SCALE})"

    def cast_db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the type for CAST, where MariaDB doesn't know the word numeric."""
        return self.db_type(connection).replace("numeric", "decimal")

    def db_check(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return a CHECK for SQLite, which would put any value into the column."""
        name: str | None = getattr(self, "column", None)  # a GeneratedField's output field has none
        if name is None or not stores_integers(connection):
            return None
        column = connection.ops.quote_name(name)
        return (
            f"typeof({column}) IN ('integer', 'null') AND {column} BETWEEN -{_MAX_STORED} AND {_MAX_STORED}"
        )

    def to_python(self, value: Any) -> Decimal | None:
        """Return a deserialized or entered value as an exact `Decimal`, or raise `ValidationError`."""
        try:
            return self.get_prep_value(value)
        except AmountError as error:
            raise ValidationError(error.message, code=error.code) from error

    def get_prep_value(self, value: Any) -> Decimal | None:
        """Return a value as an exact `Decimal`, or raise `AmountError` naming this field."""
        value = super().get_prep_value(value)
        return None if value is None else exact_decimal(value, field=getattr(self, "name", None) or "amount")

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        """Return a value for the database. A `Decimal` goes as it is: MariaDB compares strings as floats."""
        if hasattr(value, "as_sql"):
            return value
        # `prepared` is not believed: Django says so of values that it compared with an expression, too.
        amount = self.get_prep_value(value)
        if amount is None or not stores_integers(connection):
            return amount
        return int(amount.scaleb(SCALE, _CONTEXT))

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Decimal | None:
        """Return what a query found as a `Decimal`; raise `AmountExpressionError` if it isn't an amount."""
        if value is None or not stores_integers(connection):
            return value if value is None or isinstance(value, Decimal) else Decimal(str(value))
        if not isinstance(expression, Col):
            check_literals(expression, connection)
        if not isinstance(value, int) and not yields_estimate(expression):
            raise AmountExpressionError(f"SQLite computed {value!r}, which is not an exact amount.")
        return Decimal(str(value)).scaleb(-SCALE, _CONTEXT)

    def get_placeholder_sql(
        self, value: Any, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, Sequence[Any]]:
        """Compile a value for INSERT and UPDATE, its bare numbers typed (Django 6.1 and later)."""
        if not hasattr(value, "as_sql"):
            return "%s", (value,)
        type_literals(value, connection, self)
        return compiler.compile(value)

    def get_placeholder(self, value: Any, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> str:
        """Type the bare numbers of an expression that Django compiles next (before Django 6.1)."""
        if hasattr(value, "as_sql"):
            type_literals(value, connection, self)
        return "%s"

    def get_lookup(self, lookup_name: str) -> Any:
        """Return a lookup, or None for those that make no sense on amounts."""
        return super().get_lookup(lookup_name) if lookup_name in LOOKUP_NAMES else None

    def value_to_string(self, obj: models.Model) -> str:
        """Return an object's amount for a serializer, never in scientific notation."""
        value: Any = self.value_from_object(obj)
        return "" if value is None else f"{exact_decimal(value):f}"

    def formfield(self, **kwargs: Any) -> Any:
        """Return a decimal form field with this field's limits."""
        limits = {"min_value": -MAX_AMOUNT, "max_value": MAX_AMOUNT}
        digits = {"max_digits": MAX_DIGITS, "decimal_places": SCALE}
        return super().formfield(**{"form_class": forms.DecimalField, **limits, **digits, **kwargs})


class RefusedArithmetic(AmountField[_SetType, _GetType]):
    """The type of an arithmetic that amounts don't have; Django makes one when it infers the type."""

    def __init__(self) -> None:
        forbid_arithmetic()


def _register_arithmetic() -> None:
    nothing, anything = type(None), models.Field
    sums: list[tuple[Any, Any]] = [(AmountField, AmountField), (AmountField, nothing), (nothing, AmountField)]
    products: list[tuple[Any, Any]] = [(AmountField, models.IntegerField), (models.IntegerField, AmountField)]
    refused: list[tuple[Any, Any]] = [(AmountField, anything), (anything, AmountField)]
    refused += [(AmountField, nothing), (nothing, AmountField)]
    allowed = {Combinable.ADD: sums, Combinable.SUB: sums, Combinable.MUL: products}
    # Django takes the first pair that fits, so what is allowed comes first.
    for connector in (*allowed, Combinable.DIV, Combinable.MOD, Combinable.POW):
        for left, right in allowed.get(connector, ()):
            register_combinable_fields(left, connector, right, AmountField)
        for left, right in refused:
            register_combinable_fields(left, connector, right, RefusedArithmetic)


for _lookup in AMOUNT_LOOKUPS:
    AmountField.register_lookup(_lookup)
_register_arithmetic()
