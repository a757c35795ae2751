"""Lists: filters, pages, and a number of queries that doesn't grow with the rows."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import services
from payments.models import PaymentCollection, RefundReason
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(shopper: Any, make_order: MakeOrder) -> dict[str, PaymentCollection]:
    """Return three collections: the shopper's order in euros, a paid one in yen, and an open one with `system`."""
    order = make_order()
    card = services.create_payment_collection(
        amount="100", currency_code="eur", payable=order, customer=shopper
    )
    session = services.create_payment_session(card, provider_id="scripted")
    services.authorize_payment_session(session)
    paid = services.create_payment_collection(amount="1000", currency_code="jpy")
    services.mark_payment_collection_as_paid(paid)
    cash = services.create_payment_collection(amount="5", currency_code="eur")
    services.create_payment_session(cash, provider_id="system", amount="1")
    services.create_payment_session(cash, provider_id="system")
    return {"card": card, "paid": paid, "cash": cash}


FILTERS = [
    ("", {"card", "paid", "cash"}),
    ("status=completed", {"paid"}),
    ("status=completed&status=authorized", {"paid", "card"}),
    ("status=canceled", set()),
    ("provider=scripted", {"card"}),
    ("provider=system", {"paid", "cash"}),
    ("provider=nobody", set()),
    ("currency_code=EUR", {"card", "cash"}),
    ("currency_code=eur&provider=system", {"cash"}),
    ("payable=shop.order:{order}", {"card"}),
    ("payable=shop.order:0", set()),
    ("customer={shopper}", {"card"}),
    ("customer=0", set()),
    ("customer=99999999999999999999999999", set()),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_collections_are_filtered(
    boss: Visitor, shop: dict[str, PaymentCollection], query: str, expected: set[str]
) -> None:
    filled = query.format(order=shop["card"].payable_id, shopper=shop["card"].customer_id)

    rows = boss.get(f"staff/payment-collections/?{filled}").body["results"]

    assert sorted(row["id"] for row in rows) == sorted(shop[name].pk for name in expected)


@pytest.mark.parametrize("list_name", ["payment-sessions", "payments"])
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("provider=scripted", {"card"}),
        ("currency_code=jpy", {"paid"}),
        ("payable=shop.order:{order}", {"card"}),
        ("customer={shopper}", {"card"}),
        ("payment_collection={paid}", {"paid"}),
        ("status=canceled", set()),
    ],
)
def test_sessions_and_payments_are_filtered(
    boss: Visitor, shop: dict[str, PaymentCollection], list_name: str, query: str, names: set[str]
) -> None:
    card = shop["card"]
    filled = query.format(order=card.payable_id, shopper=card.customer_id, paid=shop["paid"].pk)

    rows = boss.get(f"staff/{list_name}/?{filled}").body["results"]

    assert {row["payment_collection_id"] for row in rows} == {shop[name].pk for name in names}


@pytest.mark.parametrize("list_name", ["payment-collections", "payment-sessions", "payments"])
@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("colour=red", "colour", "unknown_parameter"),
        ("status=paid", "status", "invalid_value"),
        ("status__in=authorized", "status__in", "unknown_parameter"),
        ("status=", "status", "invalid_value"),
        ("currency_code=xxy", "currency_code", "unknown_currency"),
        ("payable=12", "payable", "invalid_value"),
        ("payable=shop.parcel:1", "payable", "invalid_value"),
        ("payable=shop.order:one", "payable", "invalid_value"),
        ("customer=sam", "customer", "invalid_value"),
        ("provider=a%00b", "provider", "invalid_character"),
        ("limit=0", "limit", "invalid_limit"),
        ("limit=101", "limit", "invalid_limit"),
        ("limit=ten", "limit", "invalid_limit"),
        ("cursor=nonsense", "cursor", "invalid_cursor"),
        ("cursor=%E2%82%AC", "cursor", "invalid_cursor"),
        ("cursor=" + b64encode(b"p=yesterday").decode(), "cursor", "invalid_cursor"),
        ("cursor=" + b64encode(b"p=2026-99-99").decode(), "cursor", "invalid_cursor"),
    ],
)
def test_a_parameter_that_is_not_known_or_makes_no_sense_is_refused(
    boss: Visitor, list_name: str, query: str, field: str, code: str
) -> None:
    refused = boss.get(f"staff/{list_name}/?{query}")

    assert refused.error == (400, "invalid_request", code, [(field, code)])


def test_pages_go_through_all_rows_once_and_back(boss: Visitor) -> None:
    now = timezone.now()
    reasons = [RefundReason.objects.create(label=f"Reason {number}") for number in range(7)]
    for number, reason in enumerate(reasons):
        moment = now - timedelta(seconds=number // 3)  # some share a moment
        RefundReason.objects.filter(pk=reason.pk).update(created_at=moment)
    expected = list(RefundReason.objects.order_by("-created_at", "-id").values_list("pk", flat=True))

    seen, page = [], boss.get("staff/refund-reasons/?limit=2").body
    while page["next"]:
        seen += [row["id"] for row in page["results"]]
        page = boss.get(page["next"].removeprefix("http://testserver/payments/")).body
    seen += [row["id"] for row in page["results"]]
    back = boss.get(page["previous"].removeprefix("http://testserver/payments/")).body

    assert seen == expected
    assert [row["id"] for row in back["results"]] == expected[-3:-1]


@pytest.mark.parametrize("list_name", ["payment-collections", "payment-sessions", "payments"])
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(boss: Visitor, list_name: str) -> None:
    _fill_shop(1)
    few = _count_queries(boss, f"staff/{list_name}/")
    _fill_shop(4)
    many = _count_queries(boss, f"staff/{list_name}/")

    assert many == few
    assert len(boss.get(f"staff/{list_name}/").body["results"]) >= 5


def test_a_collection_takes_as_many_queries_for_many_sessions_as_for_few(
    guest: Visitor, collection: PaymentCollection
) -> None:
    path = f"storefront/payment-collections/{collection.pk}/"
    services.create_payment_session(collection, provider_id="scripted", amount="1")
    few = _count_queries(guest, path)
    for _number in range(5):
        services.create_payment_session(collection, provider_id="scripted", amount="1")
    many = _count_queries(guest, path)

    assert many == few == 2


def _fill_shop(count: int) -> None:
    reason, _created = RefundReason.objects.get_or_create(label="Damaged")
    for _number in range(count):
        collection = services.create_payment_collection(amount="10", currency_code="eur")
        services.create_payment_session(collection, provider_id="scripted", amount="4")
        session = services.create_payment_session(collection, provider_id="scripted")
        payment = services.authorize_payment_session(session).payment
        assert payment is not None
        services.capture_payment(payment, amount="2")
        services.refund_payment(services.capture_payment(payment, amount="2"), reason=reason, amount="1")


def _count_queries(visitor: Visitor, path: str) -> int:
    visitor.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert visitor.get(path).status == 200
    return len(queries)
