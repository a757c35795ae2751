"""A model field that holds an amount exactly on every database, with one scale for all currencies."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, Combinable, register_combinable_fields
from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError
from payments.money.amounts import MAX_AMOUNT, MAX_DIGITS, SCALE, exact_decimal
from payments.money.expressions import (
    AMOUNT_LOOKUPS,
    LOOKUP_NAMES,
    AmountExpressionError,
    AmountUnits,
    check_literals,
    forbid_arithmetic,
    stores_integers,
    type_literals,
    yields_estimate,
)

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
    more than four decimals, numbers that are too large. `parse_amount` and CHECK constraints decide whether an amount
    may be zero or negative, and how many decimals its currency has.

    PostgreSQL and MariaDB store an amount as numeric(19, 4). SQLite has no exact decimals, so it stores a whole number
    of ten-thousandths, which a CHECK enforces. In Python an amount is a `Decimal` everywhere.

    Queries are exact: comparisons, `Sum`, `Min`, `Max`, sums and differences of amounts, products with whole numbers.
    `Avg` and `StdDev` are estimates, not money. A bare number next to an amount takes its type in `update()` and in
    filters and constraints on an `AmountField`; elsewhere it raises `AmountExpressionError`, which says what to write.

    Django lets no field control the following, which see the whole number on SQLite. Don't use them on amounts:
    * an expression that turns an amount into another type: `Cast("amount", FloatField())`, `Concat`, `JSONObject`;
    * a lookup of another field, `filter(decimal_column=F("amount"))`, or one built by hand around a bare number,
      `GreaterThan(F("amount"), Decimal(1))` (write `Q(amount__gt=Decimal(1))`);
    * `order_by(Coalesce("amount", Decimal(1)))` and other functions of bare numbers, where only the order is used;
    * a `union` whose first query has something other than an amount in that column, and raw SQL.
    """

    _pyi_private_set_type: Decimal | int | str | Combinable
    _pyi_private_get_type: Decimal
    _pyi_lookup_exact_type: Decimal | int | str

    description = _("Amount of money")
    empty_strings_allowed = False
    default_validators = [MinValueValidator(-MAX_AMOUNT), MaxValueValidator(MAX_AMOUNT)]
    max_digits: ClassVar[int] = MAX_DIGITS
    decimal_places: ClassVar[int] = SCALE

    def deconstruct(self) -> Any:
        """Return the field's arguments, with its public path for migrations."""
        name, path, args, kwargs = super().deconstruct()
        return name, path.replace("payments.money.fields.", "payments.money."), args, kwargs

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the type of the column."""
        return "bigint" if stores_integers(connection) else f"numeric({MAX_DIGITS}, {SCALE})"

    def cast_db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the type for CAST, in which MariaDB doesn't accept the word numeric."""
        return self.db_type(connection).replace("numeric", "decimal")

    def db_check(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return a CHECK for SQLite, which would otherwise store any value in the column."""
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
        """Return a value for the database: a `Decimal` unchanged, since MariaDB compares strings as floats."""
        if hasattr(value, "as_sql"):
            return value
        # `prepared` is ignored: Django also sets it for values that it compares with an expression.
        amount = self.get_prep_value(value)
        if amount is None or not stores_integers(connection):
            return amount
        return int(amount.scaleb(SCALE, _CONTEXT))

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Decimal | None:
        """Return a value from the database as a `Decimal`; raise `AmountExpressionError` if it isn't an amount."""
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
        """Compile a value for INSERT and UPDATE, with types for its bare numbers (Django 6.1 and later)."""
        if not hasattr(value, "as_sql"):
            return "%s", (value,)
        type_literals(value, connection, self)
        return compiler.compile(value)

    def get_placeholder(self, value: Any, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> str:
        """Give types to the bare numbers of an expression that Django compiles next (before Django 6.1)."""
        if hasattr(value, "as_sql"):
            type_literals(value, connection, self)
        return "%s"

    def get_lookup(self, lookup_name: str) -> Any:
        """Return a lookup, or None for lookups that aren't exact on amounts."""
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
    """The type of an operation that amounts don't have; Django creates one when it infers the type, which raises."""

    def __init__(self) -> None:
        forbid_arithmetic()


def _register_arithmetic() -> None:
    nothing, anything = type(None), models.Field
    sums: list[tuple[Any, Any]] = [(AmountField, AmountField), (AmountField, nothing), (nothing, AmountField)]
    products: list[tuple[Any, Any]] = [(AmountField, models.IntegerField), (models.IntegerField, AmountField)]
    refused: list[tuple[Any, Any]] = [(AmountField, anything), (anything, AmountField)]
    refused += [(AmountField, nothing), (nothing, AmountField)]
    allowed = {Combinable.ADD: sums, Combinable.SUB: sums, Combinable.MUL: products}
    # Django takes the first pair of types that matches, so the allowed ones are registered first.
    for connector in (*allowed, Combinable.DIV, Combinable.MOD, Combinable.POW):
        for left, right in allowed.get(connector, ()):
            register_combinable_fields(left, connector, right, AmountField)
        for left, right in refused:
            register_combinable_fields(left, connector, right, RefusedArithmetic)


for _lookup in AMOUNT_LOOKUPS:
    AmountField.register_lookup(_lookup)
_register_arithmetic()
