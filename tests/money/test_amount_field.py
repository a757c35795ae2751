"""Storing amounts: what goes in comes out, and what can't be held exactly doesn't go in."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import display_for_field
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.forms import DecimalField, ModelForm, modelform_factory
from django.test import RequestFactory
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import ModelSerializer

from payments.exceptions import AmountError
from payments.money import MAX_AMOUNT, AmountExpressionError, AmountField
from tests.money.ledgerapp.models import Entry

D = Decimal
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "0.0001",
        "0.10",
        "10",
        "-10.5",
        "99999999999999.9999",
        "-99999999999999.9999",
        "90071992547409.9301",
    ],
)
def test_amount_comes_back_as_it_was_saved(value: str) -> None:
    entry = Entry.objects.create(note=D(value))
    entry.refresh_from_db()
    assert isinstance(entry.note, Decimal)
    assert f"{entry.note:f}" == f"{D(value):.4f}"
    assert Entry.objects.get(note=D(value)) == entry


class AnyAmountTests(TestCase):
    """Any amount with four decimals."""

    @given(st.decimals(-MAX_AMOUNT, MAX_AMOUNT, places=4))
    def test_comes_back_as_it_was_saved(self, value: Decimal) -> None:
        entry = Entry.objects.create(note=value)
        assert Entry.objects.filter(note=value).values_list("note", flat=True).get(pk=entry.pk) == value


@pytest.mark.parametrize("value", ["10", 10, D("1E+1"), D("10.00000")])
def test_strings_and_whole_numbers_are_taken(value: Any) -> None:
    entry = Entry.objects.create(used=value)
    entry.refresh_from_db()
    assert str(entry.used) == "10.0000"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (D("1.00001"), "too_many_decimals"),
        (D("NaN"), "not_finite"),
        (D("Infinity"), "not_finite"),
        ("1e400", "too_large"),
        (D("1E+999999999"), "too_large"),
        (D("100000000000000"), "too_large"),
        (10**30, "too_large"),
        (0.1, "float_not_allowed"),
        (True, "invalid"),
        ("10,00", "invalid"),
        ("", "invalid"),
    ],
)
def test_what_can_not_be_held_exactly_is_refused(value: Any, code: str) -> None:
    entry = Entry.objects.create()
    for write in (
        lambda: Entry.objects.create(note=value),
        lambda: Entry.objects.bulk_create([Entry(note=value)]),
        lambda: Entry.objects.update(note=value),
        lambda: Entry.objects.filter(note=value).exists(),
    ):
        with pytest.raises(AmountError) as caught, transaction.atomic():
            write()
        assert (caught.value.code, caught.value.field) == (code, "note")
    assert Entry.objects.get().note is None
    entry.used = value
    with pytest.raises(ValidationError) as invalid:
        entry.clean_fields()
    assert list(invalid.value.error_dict) == ["used"]


def test_none_default_and_database_default() -> None:
    entry = Entry.objects.create()
    entry.refresh_from_db()
    assert (entry.note, entry.used, entry.fee) == (None, D(0), D("0.25"))
    assert entry.limit == MAX_AMOUNT
    assert Entry.objects.filter(fee=D("0.25"), note__isnull=True).count() == 1


def test_database_refuses_what_is_not_a_whole_number_of_units() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite would put anything into the column")
    entry = Entry.objects.create()
    for stored in ("'ten'", "10.5", "1000000000000000000", "9300000000000000000.0", "x'00'"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE ledger_entry SET note = {stored} WHERE id = %s", [entry.pk])  # noqa: S608


def test_column_is_exact_on_every_database() -> None:
    column = Entry._meta.get_field("used").db_type(connection)
    assert column == ("bigint" if connection.vendor == "sqlite" else "numeric(19, 4)")


def test_check_constraints_are_exact() -> None:
    Entry.objects.create(name="at the limit", limit=D("90071992547409.9301"), used=D("90071992547409.9301"))
    with pytest.raises(IntegrityError), transaction.atomic():
        Entry.objects.create(limit=D("90071992547409.9301"), used=D("90071992547409.9302"))
    with pytest.raises(IntegrityError), transaction.atomic():
        Entry.objects.create(limit=0)


def test_unique_constraint_holds() -> None:
    Entry.objects.create(name="a", note=D("10.0"))
    Entry.objects.create(name="a", note=D("10.0001"))
    with pytest.raises(IntegrityError), transaction.atomic():
        Entry.objects.create(name="a", note=D("10.0000"))


def test_full_clean_converts_and_checks_constraints() -> None:
    entry = Entry(name="a", limit="10", used="9.9", note="1.5")
    entry.full_clean()
    assert (entry.limit, entry.used, entry.note) == (D(10), D("9.9"), D("1.5"))
    entry.used = "10.0001"
    with pytest.raises(ValidationError, match="ledger_entry_used_lte_limit"):
        entry.full_clean()
    entry.used = "10,00"
    with pytest.raises(ValidationError) as caught:
        entry.full_clean()
    assert caught.value.error_dict["used"][0].code == "invalid"


def test_full_clean_finds_a_duplicate() -> None:
    Entry.objects.create(name="a", note=D("1.5"))
    with pytest.raises(ValidationError, match="already exists"):
        Entry(name="a", note=D("1.5000")).full_clean()


@pytest.mark.parametrize("format_name", ["json", "xml", "jsonl"])
def test_serializers_bring_amounts_back(format_name: str) -> None:
    entry = Entry.objects.create(limit=MAX_AMOUNT, used=D("0.0001"), note=None)
    text = serializers.serialize(format_name, [entry])
    assert "99999999999999.9999" in text
    Entry.objects.all().delete()
    for loaded in serializers.deserialize(format_name, text):
        loaded.save()
    assert Entry.objects.values_list("limit", "used", "note").get() == (MAX_AMOUNT, D("0.0001"), None)


def test_serializers_write_no_scientific_notation() -> None:
    text = serializers.serialize("xml", [Entry(used=D("1E+3"), fee=0)])
    assert "1000.0000" in text
    assert (
        json.loads(serializers.serialize("json", [Entry(used=D("1.5"), fee=0)]))[0]["fields"]["used"] == "1.5"
    )


# Forms and admin


def entry_form() -> type[ModelForm[Entry]]:
    return modelform_factory(Entry, fields=["used", "note"])


def test_form_brings_amounts_back() -> None:
    entry = Entry.objects.create(used=D("12.5"))
    form = entry_form()({"used": "12.50", "note": ""}, instance=entry)
    assert form.is_valid()
    assert not form.has_changed()
    form = entry_form()({"used": "12.51", "note": "0.0001"}, instance=entry)
    assert form.has_changed()
    form.save()
    assert Entry.objects.values_list("used", "note").get() == (D("12.51"), D("0.0001"))


@pytest.mark.parametrize("value", ["x", "1.00001", "100000000000000", "NaN", "1e400", "10,00"])
def test_form_names_the_field_it_refuses(value: str) -> None:
    form = entry_form()({"used": value, "note": ""})
    assert not form.is_valid()
    assert list(form.errors) == ["used"]


class EntrySerializer(ModelSerializer[Entry]):
    class Meta:
        model = Entry
        fields = ("used", "note")


def test_model_serializer_writes_and_reads_an_amount() -> None:
    serializer = EntrySerializer(data={"used": "12.51", "note": "0.0001"})
    assert serializer.is_valid(), serializer.errors
    entry = Entry.objects.get(pk=serializer.save().pk)
    assert (entry.used, entry.note) == (D("12.51"), D("0.0001"))
    assert JSONRenderer().render(EntrySerializer(entry).data) == b'{"used":"12.5100","note":"0.0001"}'


@pytest.mark.parametrize("value", ["x", "1.00001", "100000000000000", "NaN", "1e400", "10,00"])
def test_model_serializer_names_the_field_it_refuses(value: object) -> None:
    serializer = EntrySerializer(data={"used": value, "note": "1"})
    assert not serializer.is_valid()
    assert list(serializer.errors) == ["used"]


@pytest.mark.parametrize("model", list(apps.get_app_config("payments").get_models()))
def test_shop_can_serialize_each_model_by_itself(model: type[models.Model]) -> None:
    class Every(ModelSerializer[models.Model]):
        class Meta:
            fields = "__all__"

    Every.Meta.model = model
    written = Every(model()).data
    assert set(written) == {each.name for each in model._meta.fields}
    assert JSONRenderer().render(written)


def test_form_field_has_the_limits_of_the_column() -> None:
    form_field = Entry._meta.get_field("used").formfield()
    assert isinstance(form_field, DecimalField)
    assert (form_field.max_digits, form_field.decimal_places) == (19, 4)
    assert form_field.clean("-99999999999999.9999") == -MAX_AMOUNT
    for value in ("100000000000000", "-100000000000000"):
        with pytest.raises(ValidationError, match=re.escape(str(MAX_AMOUNT))):
            form_field.clean(value)


def test_form_reads_the_languages_separators() -> None:
    form_class = modelform_factory(Entry, fields=["used"], localized_fields=["used"])
    with translation.override("de"):
        form = form_class({"used": "1234,56"})
        assert form.is_valid(), form.errors
        assert form.cleaned_data["used"] == D("1234.56")
        assert 'value="1234,5000"' in str(form_class(instance=Entry(used=D("1234.5000"))))


def test_admin_shows_amounts_in_the_language() -> None:
    field = Entry._meta.get_field("used")
    with translation.override("de"):
        assert display_for_field(D("1234.5000"), field, "-") == "1234,5000"
    assert display_for_field(None, field, "-") == "-"


def test_admin_form_sees_only_real_changes(rf: RequestFactory) -> None:
    entry = Entry.objects.create(used=D("1.25"))
    form = admin.ModelAdmin(Entry, admin.AdminSite()).get_form(rf.get("/"), fields=["used", "note"])
    bound = form({"used": "1.2500", "note": "7"}, instance=entry)
    assert bound.is_valid()
    assert bound.changed_data == ["note"]


# Migrations


def test_field_is_named_by_its_public_path_and_nothing_needless() -> None:
    assert AmountField().deconstruct()[1:] == ("payments.money.AmountField", [], {})
    assert AmountField(null=True, default=D(0)).deconstruct()[3] == {"null": True, "default": D(0)}


def test_migration_text_is_readable_and_stable() -> None:
    text, imports = MigrationWriter.serialize(AmountField(default=D("0.25")))
    assert text == "payments.money.AmountField(default=Decimal('0.25'))"
    assert "import payments.money" in imports


def test_autodetector_sees_no_change_in_a_model_read_back() -> None:
    before, after = ProjectState(), ProjectState()
    for state in (before, after):
        state.add_model(ModelState.from_model(Entry, exclude_rels=True))
    assert MigrationAutodetector(before, after).changes(MigrationGraph()) == {}


@pytest.mark.django_db(transaction=True)
def test_migrations_add_alter_rename_and_index_a_column_of_amounts() -> None:
    start = ProjectState()
    create = migrations.CreateModel(
        "Jar", [("id", models.BigAutoField(primary_key=True)), ("a", AmountField())]
    )
    steps: list[Any] = [
        migrations.AddField("jar", "b", AmountField(default=D("1.5"))),
        migrations.AddField("jar", "c", AmountField(null=True)),
        migrations.AddField("jar", "d", AmountField(db_default=D("2.5"))),
        migrations.AlterField("jar", "c", AmountField(default=D("3.5"))),
        migrations.RenameField("jar", "b", "e"),
        migrations.AddIndex("jar", models.Index(fields=["a"], name="ledger_jar_a")),
        migrations.AddConstraint(
            "jar",
            models.CheckConstraint(
                condition=models.Q(a__gte=models.F("e") - D("1.4")), name="ledger_jar_a_gte_e"
            ),
        ),
        migrations.AlterField("jar", "d", AmountField(db_default=D("2.75"), db_index=True)),
    ]
    state = apply(create, start)
    jar = state.apps.get_model("ledger", "Jar")
    jar.objects.create(a=D("0.1"))
    try:
        for step in steps:
            state = apply(step, state)
        jar = state.apps.get_model("ledger", "Jar")
        assert jar.objects.values_list("a", "e", "c", "d").get() == (D("0.1"), D("1.5"), D("3.5"), D("2.5"))
        with pytest.raises(DatabaseError):
            jar.objects.create(a=D("0.0999"))
        assert jar.objects.create(a=D("0.1")).pk
        assert jar.objects.filter(d=D("2.75")).count() == 1
        with connection.cursor() as cursor:
            assert "ledger_jar_a_gte_e" in connection.introspection.get_constraints(cursor, "ledger_jar")
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(jar)


@pytest.mark.django_db(transaction=True)
def test_generated_column_is_exact_and_takes_no_bare_number() -> None:
    def create(expression: Any) -> migrations.CreateModel:
        total = models.GeneratedField(expression=expression, output_field=AmountField(), db_persist=True)
        columns: list[tuple[str, Any]] = [
            ("id", models.BigAutoField(primary_key=True)),
            ("a", AmountField()),
            ("total", total),
        ]
        return migrations.CreateModel("Sum", columns)

    state = apply(create(models.F("a") * 2), ProjectState())
    model = state.apps.get_model("ledger", "Sum")
    try:
        model.objects.create(a=D("45035996273704.9651"))
        assert model.objects.filter(total=D("90071992547409.9302")).values_list("total", flat=True).get()
        assert not model.objects.filter(total__lt=D("90071992547409.9302")).exists()
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(model)
    if connection.vendor == "sqlite":
        with pytest.raises(AmountExpressionError):
            apply(create(models.F("a") + D("0.2")), ProjectState())


def apply(operation: Any, state: ProjectState) -> ProjectState:
    after = state.clone()
    operation.state_forwards("ledger", after)
    with connection.schema_editor() as editor:
        operation.database_forwards("ledger", editor, state, after)
    return after
