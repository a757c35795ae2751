"""Queries on amounts are exact on every database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import (
    Avg,
    Case,
    Count,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import Abs, Coalesce, Greatest, Least, NullIf
from django.db.models.lookups import GreaterThan

from payments.money import MAX_AMOUNT, AmountField
from tests.money.ledgerapp.models import Account, Entry

D = Decimal
pytestmark = pytest.mark.django_db

# Neighbours that a 64-bit float can't tell apart.
BIG = D("90071992547409.9302")
BIG_BEFORE = D("90071992547409.9301")


def amount(value: str) -> Value:
    return Value(D(value), output_field=AmountField())


@pytest.fixture
def account() -> Account:
    return Account.objects.create(name="main")


@pytest.fixture
def entries(account: Account) -> list[Entry]:
    """Four entries: 0.10, 0.20, 0.30 and a large one."""
    return [
        Entry.objects.create(account=account, name=name, used=D(used), quantity=quantity, note=note)
        for name, used, quantity, note in [
            ("a", "0.10", 1, None),
            ("b", "0.20", 2, D("0.20")),
            ("c", "0.30", 3, D("1.00")),
            ("d", str(BIG), 4, None),
        ]
    ]


def names(**lookup: Any) -> str:
    return "".join(Entry.objects.filter(**lookup).order_by("name").values_list("name", flat=True))


@pytest.mark.parametrize(
    ("lookup", "value", "found"),
    [
        ("used", D("0.3"), "c"),
        ("used", "0.30", "c"),
        ("used", BIG, "d"),
        ("used", BIG_BEFORE, ""),
        ("used", 0, ""),
        ("used__exact", D("0.10000"), "a"),
        ("used__gt", D("0.20"), "cd"),
        ("used__gt", BIG_BEFORE, "d"),
        ("used__gte", D("0.20"), "bcd"),
        ("used__gte", BIG, "d"),
        ("used__lt", D("0.20"), "a"),
        ("used__lt", BIG, "abc"),
        ("used__lte", D("0.20"), "ab"),
        ("used__lte", BIG_BEFORE, "abc"),
        ("used__in", [D("0.1"), "0.20", 7], "ab"),
        ("used__in", (BIG_BEFORE,), ""),
        ("used__in", [], ""),
        ("used__range", (D("0.10"), D("0.20")), "ab"),
        ("used__range", (BIG, MAX_AMOUNT), "d"),
        ("note__isnull", True, "ad"),
        ("note__isnull", False, "bc"),
        ("note", None, "ad"),
    ],
)
def test_lookups_are_exact(entries: list[Entry], lookup: str, value: Any, found: str) -> None:
    assert names(**{lookup: value}) == found


def test_lookups_compare_columns(entries: list[Entry]) -> None:
    assert names(used=F("note")) == "b"
    assert names(used__lt=F("note")) == "c"
    assert names(note__in=[F("used"), D("1")]) == "bc"
    assert names(note__range=(F("used"), D("0.5"))) == "b"
    assert names(used__lt=F("note") - F("used")) == "c"
    assert names(used__gt=F("note") * 1, name="c") == ""
    assert "".join(e.name for e in Entry.objects.exclude(used__gt=D("0.20")).order_by("name")) == "ab"
    assert (
        "".join(e.name for e in Entry.objects.filter(Q(used=D("0.1")) | ~Q(used__lt=BIG)).order_by("name"))
        == "ad"
    )


def test_lookups_follow_relations(entries: list[Entry], account: Account) -> None:
    assert Account.objects.get(entries__used=BIG) == account
    assert not Account.objects.filter(entries__used=BIG_BEFORE).exists()


def test_aggregates_are_exact(entries: list[Entry]) -> None:
    small = Entry.objects.exclude(name="d")
    assert small.aggregate(x=Sum("used"))["x"] == D("0.60")
    assert Entry.objects.aggregate(x=Sum("used"))["x"] == BIG + D("0.60")
    assert Entry.objects.aggregate(x=Max("used"), y=Min("used"), n=Count("used")) == {
        "x": BIG,
        "y": D("0.1"),
        "n": 4,
    }
    assert Entry.objects.aggregate(x=Sum("used", filter=Q(name="a") | Q(name="b")))["x"] == D("0.3")
    assert Entry.objects.aggregate(x=Sum("used", distinct=True))["x"] == BIG + D("0.60")
    assert small.aggregate(x=Sum(F("used") * F("quantity")))["x"] == D("1.4")
    assert small.aggregate(x=Sum(F("limit") - F("used")))["x"] == 3 * MAX_AMOUNT - D("0.6")


def test_sum_of_nothing() -> None:
    assert Entry.objects.aggregate(x=Sum("used"))["x"] is None
    for nothing in (D(0), 0, amount("0")):
        total = Entry.objects.aggregate(x=Sum("used", default=nothing))["x"]
        assert (total, type(total)) == (0, Decimal)
    assert Entry.objects.aggregate(x=Sum("used", default=D("1.5")))["x"] == D("1.5")
    assert Entry.objects.aggregate(x=Coalesce(Sum("used"), amount("2.5")))["x"] == D("2.5")
    assert Entry.objects.none().aggregate(x=Sum("used", default=D("1.5")))["x"] == D("1.5")


def test_averages_are_estimates_in_major_units(entries: list[Entry]) -> None:
    small = Entry.objects.exclude(name="d")
    found = small.aggregate(x=Avg("used"), y=StdDev("used"), z=Avg("note", default=D("9")))
    assert all(isinstance(value, Decimal) for value in found.values())
    assert abs(found["x"] - D("0.2")) < D("0.000001")
    assert abs(found["y"] - D("0.0816497")) < D("0.0001")
    assert found["z"] == D("0.6")
    assert Account.objects.annotate(x=Avg("entries__used")).filter(x__gt=D("1")).count() == 1


def test_annotations_are_exact(entries: list[Entry]) -> None:
    def values(**annotation: Any) -> list[Any]:
        return list(Entry.objects.filter(name="c").annotate(**annotation).values_list(*annotation).get())

    assert values(x=F("note") - F("used")) == [D("0.7")]
    assert values(x=F("used") + F("note") + F("used")) == [D("1.6")]
    assert values(x=-F("used"), y=F("used") * 2, z=2 * F("used"), q=F("used") * F("quantity")) == [
        D("-0.3"),
        D("0.6"),
        D("0.6"),
        D("0.9"),
    ]
    assert values(x=F("used") + amount("0.20")) == [D("0.5")]
    assert values(x=amount("1.5")) == [D("1.5")]
    assert values(x=Coalesce("note", "used"), y=NullIf("note", "note")) == [D("1"), None]
    assert values(x=Greatest("used", "note"), y=Least("used", "note"), z=Abs(F("used") - F("note"))) == [
        D("1"),
        D("0.3"),
        D("0.7"),
    ]
    assert values(x=ExpressionWrapper(F("used") + F("used"), output_field=AmountField())) == [D("0.6")]
    assert values(x=Case(When(name="c", then=F("used")), default=F("note"))) == [D("0.3")]
    assert values(x=Case(When(name="x", then=F("used")), default=amount("7"))) == [D("7")]
    assert values(x=Case(When(name="x", then=F("used")))) == [None]


def test_annotations_can_be_filtered_ordered_and_summed(entries: list[Entry]) -> None:
    left = Entry.objects.annotate(left=F("limit") - F("used"))
    assert left.filter(left__gte=MAX_AMOUNT - D("0.20")).count() == 2
    assert left.filter(left=MAX_AMOUNT - BIG).get().name == "d"
    assert left.order_by("left").values_list("name", flat=True)[0] == "d"
    assert left.exclude(name="d").aggregate(x=Sum("left"))["x"] == 3 * MAX_AMOUNT - D("0.6")
    totals = Account.objects.annotate(total=Sum("entries__used"))
    assert totals.get(total=BIG + D("0.6")).total == BIG + D("0.6")
    assert not totals.filter(total__gt=BIG + D("0.6")).exists()
    assert Entry.objects.values("account").annotate(x=Sum("used")).values_list(
        "x", flat=True
    ).get() == BIG + D("0.6")


def test_subqueries_are_exact(entries: list[Entry], account: Account) -> None:
    largest = Entry.objects.filter(account=OuterRef("pk")).order_by("-used").values("used")[:1]
    assert Account.objects.annotate(x=Subquery(largest)).get().x == BIG
    assert Account.objects.annotate(x=Subquery(largest)).filter(x=BIG).exists()
    total = Entry.objects.filter(account=OuterRef("pk")).values("account").annotate(t=Sum("used")).values("t")
    assert Account.objects.annotate(x=Subquery(total)).get().x == BIG + D("0.6")
    assert names(used__in=Entry.objects.filter(name__in="ab").values("used")) == "ab"
    assert names(note=Subquery(Entry.objects.filter(name="b").values("used")[:1])) == "b"
    assert names(note__gte=Entry.objects.filter(name="b").values("used")[:1]) == "bc"
    twin = Entry.objects.filter(used=OuterRef("note"), used__lt=OuterRef("used") + D("0.0001"))
    assert "".join(e.name for e in Entry.objects.filter(Exists(twin))) == "b"


def test_windows_are_exact(entries: list[Entry]) -> None:
    running = Entry.objects.annotate(x=Window(Sum("used"), order_by=F("name").asc())).order_by("name")
    assert list(running.values_list("x", flat=True)) == [D("0.1"), D("0.3"), D("0.6"), D("0.6") + BIG]


def test_ordering_distinct_union_and_in_bulk(entries: list[Entry]) -> None:
    Entry.objects.create(name="e", used=D("0.3"))
    assert list(Entry.objects.order_by("-used", "name").values_list("name", flat=True)) == [
        "d",
        "c",
        "e",
        "b",
        "a",
    ]
    assert sorted(Entry.objects.values_list("used", flat=True).distinct()) == [
        D("0.1"),
        D("0.2"),
        D("0.3"),
        BIG,
    ]
    both = (
        Entry.objects.filter(name="a")
        .values_list("used")
        .union(Entry.objects.filter(name="d").values_list("used"))
    )
    assert sorted(both) == [(D("0.1"),), (BIG,)]
    assert Entry.objects.values_list("used", flat=True).get(pk=entries[0].pk) == D("0.1")
    assert [e.used for e in Entry.objects.filter(name="d").iterator()] == [BIG]
    assert Entry.objects.only("used").get(name="d").used == BIG


def test_bulk_create_and_bulk_update() -> None:
    Entry.objects.bulk_create([Entry(name=str(n), used=D(n) / 10, note=None if n else BIG) for n in range(5)])
    entries = list(Entry.objects.order_by("name"))
    assert [entry.used for entry in entries] == [D(n) / 10 for n in range(5)]
    for entry in entries:
        entry.used, entry.note = entry.used + D("0.0001"), BIG
    entries[4].used = F("used") + D("0.5")
    Entry.objects.bulk_update(entries, ["used", "note"])
    used = list(Entry.objects.order_by("name").values_list("used", flat=True))
    assert used == [D("0.0001"), D("0.1001"), D("0.2001"), D("0.3001"), D("0.9")]
    assert set(Entry.objects.values_list("note", flat=True)) == {BIG}


def test_bulk_create_that_meets_an_existing_row() -> None:
    account = Account.objects.create(name="main")
    entry = Entry.objects.create(account=account, used=D("0.1"))
    entry.used = D("0.3")
    unique = {} if connection.vendor == "mysql" else {"unique_fields": ["pk"]}
    Entry.objects.bulk_create([entry], update_conflicts=True, update_fields=["used"], **unique)  # type: ignore[arg-type]
    assert Entry.objects.get().used == D("0.3")


# Updates


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (F("used") + D("0.20"), "0.50"),
        (F("used") + D("0.1") + D("0.1"), "0.50"),
        (D("1") - F("used"), "0.70"),
        (F("used") + 1, "1.30"),
        (1 + F("used"), "1.30"),
        ((F("used") + 1) * 2, "2.60"),
        (F("used") - F("note") + D("2"), "1.30"),
        (F("used") * 3, "0.90"),
        (F("used") * F("quantity"), "0.90"),
        (F("used") + amount("0.20"), "0.50"),
        (F("note"), "1.00"),
        (Value(5), "5.00"),
        (Value(D("0.2")), "0.20"),
        (Coalesce("note", D("0.5")), "1.00"),
        (Coalesce("note", D("0.5")) + F("used") * 2, "1.60"),
        (Coalesce("note", D("0.5")) * 2, "2.00"),
        (Coalesce(NullIf("note", "note"), D("0.5")), "0.50"),
        (Greatest(F("used"), D("0.5")), "0.50"),
        (Case(When(name="c", then=D("0.2")), default=D("9")), "0.20"),
        (Case(When(name="x", then=D("0.2")), default=F("used") - D("0.1")), "0.20"),
        (Case(When(used__gt=F("note") + D("0.1"), then=D("1")), default=2), "2.00"),
        (ExpressionWrapper(F("used") + D("0.2"), output_field=AmountField()), "0.50"),
        (D("0.25"), "0.25"),
        ("0.25", "0.25"),
    ],
)
def test_update_types_bare_numbers(entries: list[Entry], change: Any, result: str) -> None:
    assert Entry.objects.filter(name="c").update(used=change) == 1
    assert Entry.objects.get(name="c").used == D(result)
    assert Entry.objects.filter(name="c", used=D(result)).exists()
    entry = entries[1]
    if not isinstance(change, (Decimal, str)):
        entry.used = change
        entry.save(update_fields=["used"])
        entry.refresh_from_db()
        assert isinstance(entry.used, Decimal)


def test_update_from_a_subquery(entries: list[Entry]) -> None:
    source = Entry.objects.filter(name="d").values("used")[:1]
    Entry.objects.filter(name="a").update(used=Subquery(source))
    assert Entry.objects.get(name="a").used == BIG


def test_three_additions_reach_the_limit_exactly_and_no_fourth_passes_it() -> None:
    entry = Entry.objects.create(limit=D("0.30"))
    for _ in range(3):
        Entry.objects.filter(pk=entry.pk).update(used=F("used") + D("0.10"))
    entry.refresh_from_db()
    assert entry.used == D("0.30")
    with pytest.raises(IntegrityError), transaction.atomic():
        Entry.objects.filter(pk=entry.pk).update(used=F("used") + D("0.0001"))
    assert not Entry.objects.filter(pk=entry.pk, used__lte=F("limit") - D("0.0001")).update(used=F("limit"))


def test_conditional_update_reserves_only_what_is_left() -> None:
    entry = Entry.objects.create(limit=D("0.30"), used=D("0.10"))
    row = Entry.objects.filter(pk=entry.pk)
    assert row.filter(limit__gte=F("used") + D("0.21")).update(used=F("used") + D("0.21")) == 0
    assert row.filter(limit__gte=F("used") + D("0.20")).update(used=F("used") + D("0.20")) == 1
    assert row.get().used == D("0.30")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Q(note__gte=F("used") + D("0.70")), "c"),
        (Q(note__gte=F("used") + D("0.7001")), ""),
        (Q(note__lte=F("used") + D("0.1") + D("0.1")), "b"),
        (Q(note__gt=D("1.2") - F("used")), "c"),
        (Q(note=F("used") * 1), "b"),
        (Q(note=Coalesce(F("note"), 1)), "bc"),
        (Q(used__in=[F("note"), Value(D("0.3"))]), "bc"),
        (Q(used__range=(F("note") - D("0.1"), Value(5))), "b"),
        (Q(used=Value(D("0.3"))), "c"),
        (Q(used=Case(When(name="a", then=D("0.1")), default=D("0.3"))), "ac"),
    ],
)
def test_filters_type_bare_numbers(entries: list[Entry], condition: Q, found: str) -> None:
    queryset = Entry.objects.filter(condition).order_by("name")
    assert "".join(entry.name for entry in queryset) == found
    assert queryset.count() == len(found)
    assert "".join(entry.name for entry in queryset.all()) == found


def test_filter_leaves_the_callers_expression_alone(entries: list[Entry]) -> None:
    literal, number = Value(D("0.3")), Value(D("0.70"))
    assert Entry.objects.filter(note__gte=F("used") + number, used=literal).get().name == "c"
    Entry.objects.filter(name="a").update(used=literal)
    assert isinstance(literal.output_field, DecimalField)
    assert isinstance(number.output_field, DecimalField)


def test_lookup_objects_are_exact_on_typed_numbers(entries: list[Entry]) -> None:
    assert Entry.objects.filter(GreaterThan(F("used"), amount("0.20"))).count() == 2
    assert Entry.objects.filter(GreaterThan(F("used"), F("note"))).count() == 0
