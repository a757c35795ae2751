"""Rows of every kind as what is paid for: found again, one collection for one row, or refused at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DataError, models
from django.http import Http404, HttpRequest
from django.test import RequestFactory
from django.test.utils import isolate_apps

from payments import services
from payments.admin import PayableAdminMixin
from payments.admin.changelist import collections_for
from payments.admin.links import Links
from payments.admin.payables import load_payables
from payments.exceptions import InputError, NotFoundError
from payments.models import PaymentCollection
from payments.services import ResolvedPayable, open_payment_collection
from tests.api.client import Visitor
from tests.projects.stall.models import (
    Booking,
    CodedBooking,
    CompositeRow,
    DateRow,
    DecimalRow,
    EarlyBooking,
    LinkedRow,
    MobileBooking,
    Shelf,
    TextRow,
    UuidRow,
    WebBooking,
)

pytestmark = pytest.mark.django_db

KEY = UUID("0190f5ae-0000-7000-8000-000000000001")
STAFF = "staff/payment-collections/"


def opened(row: Any) -> PaymentCollection:
    collection, _is_new = open_payment_collection(
        ResolvedPayable(payable=row, amount="10.00", currency_code="eur")
    )
    return collection


def _saved(row: models.Model) -> models.Model:
    row.save()
    return row


ROWS: dict[str, Callable[[], models.Model]] = {
    "integer": lambda: Shelf.objects.create(name="A"),
    "uuid": lambda: UuidRow.objects.create(id=KEY),
    "uuid as a text": lambda: UuidRow.objects.create(id=KEY.hex),
    "text": lambda: TextRow.objects.create(id="A/1 é"),
    "date": lambda: DateRow.objects.create(id=date(2026, 11, 29)),
    "decimal": lambda: DecimalRow.objects.create(id=Decimal("1.50")),
    "decimal in a shorter form": lambda: DecimalRow.objects.create(id=Decimal("1.5")),
    "another row's": lambda: LinkedRow.objects.create(row=UuidRow.objects.create(id=KEY)),
    "a proxy": lambda: EarlyBooking.objects.create(name="A"),
    "a child": lambda: MobileBooking.objects.create(name="A"),
    "a child with its own": lambda: _saved(CodedBooking(name="A", code="C-1")),
}


@pytest.mark.parametrize("make", ROWS.values(), ids=ROWS)
def test_row_with_any_kind_of_key_is_found_again(make: Callable[[], models.Model]) -> None:
    row = make()
    again = type(row)._base_manager.get()

    collection = opened(row)

    assert opened(again).pk == collection.pk
    assert PaymentCollection.objects.get().payable == again
    assert PaymentCollection.objects.for_payable(again).get() == collection


@isolate_apps("tests.projects.stall")
def _binary() -> models.Model:
    """Return a row with bytes for a key, which not every database can have."""

    class BinaryRow(models.Model):
        id = models.BinaryField(primary_key=True)

        class Meta:
            app_label = "stall"

        def __str__(self) -> str:
            return "binary"

    return BinaryRow(id=b"ab\0")


@pytest.mark.parametrize("row", [CompositeRow(tenant=1, number="A"), _binary()], ids=["composite", "binary"])
def test_key_that_can_not_be_a_text_is_refused(row: models.Model) -> None:
    for make in (
        opened,
        lambda row: services.create_payment_collection(amount="1", currency_code="eur", payable=row),
    ):
        with pytest.raises(InputError) as refusal:
            make(row)
        assert (refusal.value.code, refusal.value.field) == ("payable_key_unsupported", "payable")
    assert not PaymentCollection.objects.for_payable(row).exists()
    assert PaymentCollection.objects.count() == 0


def _family(kind: type[Booking]) -> list[Booking]:
    """Return a booking of a kind under all of the names that it has."""
    extra = {"code": "C-1"} if kind is CodedBooking else {}
    row = kind.objects.create(name="A", **extra)
    id_ = Booking.objects.get().pk
    lower: list[Any] = [model for model in (WebBooking, Booking) if model in kind.__mro__]
    return [row, EarlyBooking.objects.get(), *(model.objects.get(id=id_) for model in lower)]


@pytest.mark.shows(
    "An order that other models inherit from is opened under several of its names, as an `Order` and as a `WebOrder`",
    "It has one open collection, which is found under each",
)
@pytest.mark.parametrize("kind", [WebBooking, MobileBooking, CodedBooking])
def test_one_row_has_one_collection_under_all_its_names(kind: type[Booking]) -> None:
    names = _family(kind)

    for first in names:
        collection = opened(first)
        assert {opened(each).pk for each in names} == {collection.pk}
        for each in names:
            assert PaymentCollection.objects.for_payable(each).open().get() == collection
        services.cancel_payment_collection(collection)


def test_rows_of_one_family_are_not_mixed_up() -> None:
    rows = [
        WebBooking.objects.create(name="A"),
        WebBooking.objects.create(name="B"),
        TextRow.objects.create(id="1"),
    ]

    assert len({opened(row).pk for row in rows}) == 3


@pytest.mark.parametrize("other", ["AB", "äb", "ａb"])
def test_rows_with_similar_keys_are_not_mixed_up(other: str) -> None:
    services.create_payment_collection(amount="10.00", currency_code="eur", payable=TextRow(pk="ab"))
    assert PaymentCollection.objects.for_payable(TextRow(pk="ab")).exists()
    assert not PaymentCollection.objects.for_payable(TextRow(pk=other)).exists()


def test_a_child_that_is_gone_is_not_opened() -> None:
    child = WebBooking.objects.create(name="A")
    child.delete(keep_parents=True)
    child.pk = Booking.objects.get().pk

    with pytest.raises(NotFoundError):
        opened(child)


def test_pages_of_the_shop_show_the_collections_of_all_names(admin_user: Any) -> None:
    row, *_names = _family(WebBooking)
    collection = opened(Booking.objects.get())
    other = opened(WebBooking.objects.create(name="B"))
    request: Any = RequestFactory().get("/")
    request.user = admin_user

    class BookingAdmin(PayableAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
        list_display = ("payment_collections",)

    for model in (WebBooking, Booking):
        model_admin = BookingAdmin(model, admin.site)
        shown = model_admin.payment_collections(model_admin.get_object(request, str(row.pk)))
        assert shown is not None
        assert str(collection.pk)[-8:] in shown
        assert str(other.pk)[-8:] not in shown


def test_search_finds_what_is_paid_under_the_name_that_has_a_page(admin_user: Any) -> None:
    row, *_names = _family(WebBooking)
    collection = opened(row)
    opened(WebBooking.objects.create(name="other"))
    request: Any = RequestFactory().get("/")
    request.user = admin_user

    class Searched(admin.ModelAdmin):  # type: ignore[type-arg]
        search_fields = ("name",)

    site = admin.AdminSite()
    site.register(Booking, Searched)
    site.register(MobileBooking, admin.ModelAdmin)
    found = collections_for(Links(site=site, request=request), "A")

    assert [str(key["pk"]) for keys in found for key in keys] == [collection.pk]


def test_list_for_operators_finds_the_collection_under_any_name(admin_user: Any) -> None:
    row, *_names = _family(WebBooking)
    collection = opened(row)
    visitor = Visitor(user=admin_user)

    for label in ("booking", "webbooking", "mobilebooking"):
        found = visitor.get(STAFF, payable=f"stall.{label}:{row.pk}").body["results"]
        assert [each["id"] for each in found] == [collection.pk], label
    assert visitor.get(STAFF, payable="stall.compositerow:x").status == 400


class _OtherPlace:
    """Have the stall's rows live in another database."""

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str | None:
        return "elsewhere" if model._meta.app_label == "stall" else None


def test_row_is_asked_for_where_routers_have_it_written(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Shelf.objects.create(name="A")
    collection = opened(row)
    asked: list[str | None] = []

    def using(rows: Any, alias: str | None) -> Any:
        asked.append(alias)
        return rows.all()

    monkeypatch.setattr(models.Manager, "using", using, raising=False)
    assert PaymentCollection.objects.get(pk=collection.pk).payable == row
    settings.DATABASE_ROUTERS = [_OtherPlace()]
    assert PaymentCollection.objects.get(pk=collection.pk).payable == row
    assert asked == ["default", "elsewhere"]


def test_row_model_or_kind_of_key_that_is_gone_is_none() -> None:
    collection = opened(Shelf.objects.create(name="A"))
    Shelf.objects.all().delete()
    assert PaymentCollection.objects.get().payable is None

    PaymentCollection.objects.filter(pk=collection.pk).update(payable_id="no number")
    assert PaymentCollection.objects.get().payable is None

    kind = collection.payable_type
    assert kind is not None
    type(kind).objects.filter(pk=kind.pk).update(model="gone")
    type(kind).objects.clear_cache()
    assert PaymentCollection.objects.get().payable is None
    type(kind).objects.clear_cache()


# What operators may name


@pytest.fixture
def clerk() -> Visitor:
    """Return an operator who may create collections, and nothing else."""
    user = get_user_model().objects.create_user("clerk", is_staff=True)
    codenames = ("add_paymentcollection", "view_paymentcollection")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return Visitor(user=user)


def named(visitor: Visitor, label: str, key: object) -> Any:
    body = {"amount": "1.00", "currency_code": "eur", "payable": {"type": label, "id": str(key)}}
    return visitor.post(STAFF, body)


def test_operator_names_only_rows_that_they_may_view(clerk: Visitor) -> None:
    row = Shelf.objects.create(name="secret")
    refusals = [
        named(clerk, "stall.shelf", row.pk),
        named(clerk, "stall.shelf", 10**30),
        named(clerk, "auth.user", clerk.user.pk),
        named(clerk, "stall.nothing", 1),
        named(clerk, "nonsense", 1),
    ]

    assert {each.status for each in refusals} == {400}
    assert len({each.raw for each in refusals}) == 1

    clerk.user.user_permissions.add(Permission.objects.get(codename="view_shelf"))
    assert named(clerk, "stall.shelf", row.pk).status == 201
    assert named(clerk, "stall.shelf", 10**30).raw == refusals[0].raw


def test_setting_says_which_models_operators_may_name(clerk: Visitor, settings: Any) -> None:
    settings.PAYMENTS = {**settings.PAYMENTS, "PAYABLE_MODELS": ["stall.Shelf"]}
    row, user = Shelf.objects.create(name="A"), clerk.user
    user.user_permissions.add(Permission.objects.get(codename="view_textrow"))

    assert named(clerk, "stall.shelf", row.pk).status == 201
    for label, key in (("stall.textrow", TextRow.objects.create(id="T").pk), ("auth.user", user.pk)):
        assert named(clerk, label, key).error[2] == "unknown_payable"


def test_pages_name_a_row_only_to_who_may_view_it(clerk: Visitor, admin_user: Any) -> None:
    collection = opened(Shelf.objects.create(name="secret name"))
    request: Any = RequestFactory().get("/")
    shown = {}
    for user in (clerk.user, admin_user):
        request.user = user
        payable = load_payables([collection])[collection.pk]
        shown[user] = payable.html(Links(site=admin.site, request=request))

    assert "secret name" in shown[admin_user]
    assert "secret name" not in shown[clerk.user]
    assert str(collection.payable_id) in shown[clerk.user]


# What the shop's resolver makes of a reference


ERROR: list[BaseException] = []


def _raising(request: HttpRequest, reference: str) -> Any:
    raise ERROR[0]


@pytest.mark.parametrize(
    "error",
    [
        ValidationError("“x” is not a valid UUID."),
        ValueError("Field 'id' expected a number but got 'x'."),
        ObjectDoesNotExist(),
        Shelf.DoesNotExist(),
        Http404(),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
        DataError("integer out of range"),
    ],
    ids=lambda error: type(error).__qualname__,
)
def test_reference_that_a_lookup_stumbles_over_is_unknown(
    settings: Any, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    path = "storefront/payment-collections/"
    unknown = Visitor().post(path, {"reference": "nothing"})
    ERROR[:] = [error]
    settings.PAYMENTS = {**settings.PAYMENTS, "PAYABLE_RESOLVER": f"{__name__}._raising"}

    answer = Visitor().post(path, {"reference": "nonsense"})

    assert answer.raw == unknown.raw
    assert answer.error[2] == "unknown_reference"
    assert "_raising" in caplog.text


@pytest.mark.parametrize(
    "error", [TypeError("a mistake"), AttributeError("a mistake"), KeyError("a mistake")]
)
def test_mistake_of_the_resolver_stays_one(settings: Any, error: Exception) -> None:
    ERROR[:] = [error]
    settings.PAYMENTS = {**settings.PAYMENTS, "PAYABLE_RESOLVER": f"{__name__}._raising"}

    with pytest.raises(type(error), match="a mistake"):
        Visitor().post("storefront/payment-collections/", {"reference": "A-1"})
