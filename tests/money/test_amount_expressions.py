"""What would be silently wrong on some database is refused, with an error that says what to write."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import (
    Case,
    CharField,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    Q,
    Sum,
    Value,
    Variance,
    When,
)
from django.db.models.expressions import CombinedExpression, RawSQL
from django.db.models.functions import Cast, Coalesce, Floor, Round
from django.db.models.lookups import GreaterThan

from payments.exceptions import AmountError
from payments.money import AmountExpressionError, AmountField
from tests.money.ledgerapp.models import Entry

D = Decimal
pytestmark = pytest.mark.django_db
AMOUNT = AmountField()


@pytest.fixture(autouse=True)
def entry() -> Entry:
    return Entry.objects.create(name="a", used=D("10.5"), note=D("3"), price=D("1.5"), rate=0.5)


ARITHMETIC = {
    "plus a decimal column": F("used") + F("price"),
    "plus an integer column": F("used") + F("quantity"),
    "plus a float": F("used") + 0.1,
    "plus a float column": F("used") + F("rate"),
    "plus a string": F("used") + Value("0.1"),
    "times a decimal": F("used") * D("1.5"),
    "times a float": F("used") * 1.5,
    "times an amount": F("used") * F("note"),
    "divided by a number": F("used") / 2,
    "divided by an amount": F("used") / F("note"),
    "modulo": F("used") % 3,
    "power": F("used") ** 2,
    "a number divided by it": 2 / F("used"),
    "two numbers times each other": Value(2) * Value(3) + F("used"),
}
NUMBERS = {
    "plus a decimal": F("used") + D("0.2"),
    "plus a whole number": F("used") + 1,
    "a decimal minus it": D("20") - F("used"),
    "nested": F("used") + D("0.1") + D("0.1"),
    "deeply nested": F("used") + (F("note") - (F("used") + 1)),
}


@pytest.mark.parametrize("expression", ARITHMETIC.values(), ids=ARITHMETIC)
def test_arithmetic_that_amounts_do_not_have_is_refused_in_updates_and_filters(expression: Any) -> None:
    uses: list[Callable[[], Any]] = [
        lambda: Entry.objects.update(note=expression),
        lambda: Entry.objects.filter(note__lt=expression).exists(),
        lambda: Entry.objects.filter(note__in=[expression]).exists(),
    ]
    for use in uses:
        with pytest.raises((AmountExpressionError, AmountError)), transaction.atomic():
            use()
    assert Entry.objects.get().note == D("3")


@pytest.mark.parametrize("expression", [*ARITHMETIC.values(), *NUMBERS.values()], ids=[*ARITHMETIC, *NUMBERS])
def test_mixed_arithmetic_is_refused_in_annotations(expression: Any) -> None:
    with pytest.raises((AmountExpressionError, FieldError)) as caught:
        list(Entry.objects.annotate(x=expression))
    assert isinstance(caught.value, AmountExpressionError)
    assert "Value(Decimal('0.20'), output_field=AmountField())" in str(caught.value)
    with pytest.raises(AmountExpressionError):
        Entry.objects.aggregate(x=Sum(expression))


@pytest.mark.parametrize("expression", NUMBERS.values(), ids=NUMBERS)
def test_bare_numbers_are_never_silently_unscaled(expression: Any) -> None:
    """SQLite refuses; the databases with exact decimals compute as they always do."""
    uses: list[Callable[[], Any]] = [
        lambda: list(Entry.objects.order_by(expression)),
        lambda: list(Entry.objects.filter(GreaterThan(F("used"), expression))),
        lambda: list(Entry.objects.annotate(x=ExpressionWrapper(expression, output_field=AMOUNT))),
        lambda: list(Entry.objects.annotate(x=Cast(expression, FloatField()))),
        lambda: list(Entry.objects.filter(price__lt=expression)),
    ]
    for use in uses:
        if connection.vendor == "sqlite":
            with pytest.raises(AmountExpressionError):
                use()
        else:
            use()


MIXTURES = {
    "coalesce with a number": Coalesce("note", D("5"), output_field=AMOUNT),
    "coalesce with a decimal column": Coalesce("note", "price", output_field=AMOUNT),
    "case with numbers": Case(When(name="a", then=D("1")), default=5, output_field=AMOUNT),
    "cast of a whole number": Cast("quantity", AMOUNT),
    "cast of a number": Cast(Value(D("5")), AMOUNT),
    "wrapped column": ExpressionWrapper(F("quantity") * 1, output_field=AMOUNT),
    "floor": Floor("used"),
    "round": Round("used"),
    "unknown function": Func(F("used"), function="ABS", output_field=AMOUNT),
    "raw sql": RawSQL("1", [], output_field=AMOUNT),
    "sum of a mixture": Sum(Coalesce("note", D("5"), output_field=AMOUNT)),
    "variance": Variance("used"),
    "typed arithmetic": CombinedExpression(F("used"), "+", Value(1), output_field=AMOUNT),
}


@pytest.mark.parametrize("expression", MIXTURES.values(), ids=MIXTURES)
def test_mixtures_declared_to_be_amounts_are_not_read_as_such_on_sqlite(expression: Any) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("other databases have no scale to get wrong")
    for values in (Entry.objects.values("pk").annotate(x=expression), Entry.objects.annotate(x=expression)):
        with pytest.raises(AmountExpressionError):
            list(values)


def test_casts_and_other_functions_work_where_decimals_are_exact() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite refuses them")
    row = Entry.objects.annotate(
        x=Cast("quantity", AMOUNT), y=Floor("used"), z=Coalesce("note", "price", output_field=AMOUNT)
    )
    assert row.values_list("x", "y", "z").get() == (D("1"), D("10"), D("3"))


def test_mixed_types_without_a_declared_one_are_refused_everywhere() -> None:
    for expression in (
        Coalesce("note", D("5")),
        Case(When(name="a", then=F("used")), default=D("5")),
        Sum(Case(When(name="a", then="used"), default=0)),
        Coalesce(Sum("used"), 0),
    ):
        with pytest.raises(FieldError, match="You must set output_field"):
            list(Entry.objects.values("pk").annotate(x=expression))


@pytest.mark.parametrize(
    "condition",
    [
        Q(used__lt=F("price")),
        Q(used__in=Entry.objects.values("price")),
        Q(used=Floor("used")),
        Q(used=Entry.objects.values("quantity")[:1]),
        Q(used=Coalesce("note", "price", output_field=AMOUNT)),
    ],
    ids=["column", "in a query", "function", "equal to a query", "mixture"],
)
def test_comparison_of_amounts_with_other_columns_is_refused_on_sqlite(condition: Q) -> None:
    if connection.vendor == "sqlite":
        with pytest.raises(AmountExpressionError):
            Entry.objects.filter(condition).exists()
    else:
        Entry.objects.filter(condition).exists()


def test_mixture_on_the_left_of_a_comparison_is_typed() -> None:
    mixed = Entry.objects.alias(x=Coalesce("note", D("5"), output_field=AMOUNT))
    assert mixed.filter(x=D("3")).exists()
    Entry.objects.update(note=None)
    assert mixed.filter(x=D("5")).exists()


@pytest.mark.parametrize("literal", ["5", 0.5, True, b"5", D("1.00001"), D("NaN"), 10**30], ids=repr)
def test_literals_that_are_no_amounts_are_refused(literal: Any) -> None:
    uses: list[Callable[[], Any]] = [
        lambda: Entry.objects.update(note=Value(literal)),
        lambda: Entry.objects.update(note=F("used") - Value(literal)),
        lambda: Entry.objects.filter(note=Value(literal)).exists(),
    ]
    for use in uses:
        with pytest.raises((AmountExpressionError, AmountError)), transaction.atomic():
            use()


@pytest.mark.parametrize(
    "lookup", ["contains", "icontains", "startswith", "endswith", "regex", "iexact", "iregex"]
)
def test_text_lookups_are_refused(lookup: str) -> None:
    with pytest.raises(FieldError, match=f"Unsupported lookup '{lookup}' for AmountField"):
        Entry.objects.filter(**{f"used__{lookup}": "10"})


def test_sum_that_outgrows_sqlites_integers_is_an_error_and_not_a_float() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("numeric grows as needed")
    with pytest.raises(AmountExpressionError, match="not an exact amount"):
        list(Entry.objects.annotate(x=F("limit") * 1000))
    Entry.objects.bulk_create([Entry() for _ in range(100)])
    with pytest.raises(OperationalError, match="integer overflow"), transaction.atomic():
        Entry.objects.aggregate(x=Sum("limit"))
    with pytest.raises(IntegrityError, match="CHECK constraint failed"), transaction.atomic():
        Entry.objects.update(note=F("limit") * 1000)


def test_amount_as_text_is_documented_to_be_what_is_stored() -> None:
    """The one thing that Django lets no field decide; see the field's docstring."""
    text = Entry.objects.annotate(x=Cast("used", CharField(max_length=40))).values_list("x", flat=True).get()
    assert text == ("105000" if connection.vendor == "sqlite" else "10.5000")
