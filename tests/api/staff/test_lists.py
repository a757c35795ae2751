"""Lists: filters, pages, and a number of queries that doesn't grow with the rows."""

from __future__ import annotations

import datetime as dt
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import services
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession, RefundReason
from payments.services import search
from payments.testing.factories import WebhookEventFactory
from tests.api.client import Visitor
from tests.api.conftest import MakeOrder

pytestmark = pytest.mark.django_db

OTHER_ZONE = "" if settings.USE_TZ else "Z"
"""What a moment has at its end, where rows don't have it."""


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


COLLECTION_FILTERS = [
    ("", "card paid cash"),
    ("status=completed", "paid"),
    ("status=completed&status=authorized", "paid card"),
    ("status=canceled", ""),
    ("provider=scripted", "card"),
    ("provider=system", "paid cash"),
    ("provider=nobody", ""),
    ("provider_reference=scripted_{session}", "card"),
    ("provider_reference=scripted_", ""),
    ("currency_code=EUR", "card cash"),
    ("currency_code=eur&provider=system", "cash"),
    ("payable=shop.order:{order}", "card"),
    ("payable=shop.order:0", ""),
    ("customer={shopper}", "card"),
    ("customer=0", ""),
    ("customer=99999999999999999999999999", ""),
    ("amount=100", "card"),
    ("amount=100.00&amount=5", "card cash"),
    ("amount_gte=100", "card paid"),
    ("amount_gte=100.01", "paid"),
    ("amount_lte=99.9999", "cash"),
    ("amount_gte=5&amount_lte=100", "card cash"),
    ("created_at_gte=2026-02-01", "card paid cash"),
    ("created_at_gte=2026-02-01T00:00:00.000001Z", "card cash"),
    ("created_at_lt=2026-02-01T01:00:00%2B01:00", ""),
    ("created_at_lt=2026-02-02", "paid"),
    ("created_at_gte=0001-01-01&created_at_lt=9999-12-31", "card paid cash"),
    ("q={card}", "card"),
    ("q={session}", "card"),
    ("q=scripted_{session}", "card"),
    ("q=sam@SHOPPER", "card"),
    ("q=am", "card"),
    ("q=%20{card}%20", "card"),
    ("q=nothing", ""),
    ("q=", "card paid cash"),
]
SESSION_FILTERS = [
    ("provider=scripted", "card"),
    ("provider_reference=scripted_{session}", "card"),
    ("currency_code=jpy", "paid"),
    ("payable=shop.order:{order}", "card"),
    ("customer={shopper}", "card"),
    ("payment_collection={paid}", "paid"),
    ("amount_gte=1000", "paid"),
    ("created_at_lt=2026-02-02", "paid"),
    ("status=canceled", ""),
    ("q={card}", "card"),
    ("q={session}", "card"),
    ("q=scripted_{session}", "card"),
    ("q=sam", "card"),
]


@pytest.fixture
def values(shop: dict[str, PaymentCollection]) -> dict[str, Any]:
    """Return what the queries are filled with; the paid collection and its rows are of the start of February."""
    february = datetime(2026, 2, 1, tzinfo=UTC)
    for model in (PaymentSession, Payment, PaymentOperation):
        model._default_manager.filter(collection=shop["paid"]).update(created_at=february)
    PaymentCollection.objects.filter(pk=shop["paid"].pk).update(created_at=february)
    card = shop["card"]
    return {
        "order": card.payable_id,
        "shopper": card.customer_id,
        "session": card.sessions.get().pk,
        "card": card.pk,
        "paid": shop["paid"].pk,
    }


def test_collections_are_filtered_and_searched(
    boss: Visitor, shop: dict[str, PaymentCollection], values: dict[str, Any]
) -> None:
    found = {
        query: {
            row["id"]
            for row in boss.get(f"staff/payment-collections/?{query.format(**values)}").body["results"]
        }
        for query, _names in COLLECTION_FILTERS
    }

    assert found == {query: {shop[name].pk for name in names.split()} for query, names in COLLECTION_FILTERS}


def test_filters_on_the_sessions_of_a_collection_are_about_one_of_them(boss: Visitor) -> None:
    collection = services.create_payment_collection(amount="10", currency_code="eur")
    services.create_payment_session(collection, provider_id="system", amount="4")
    scripted = services.create_payment_session(collection, provider_id="scripted", amount="6")
    reference = f"provider_reference={scripted.provider_reference}"
    queries = {
        f"provider=system&{reference}": 0,
        f"{reference}&provider=system&currency_code=eur": 0,
        f"provider=scripted&{reference}": 1,
        f"provider=system&provider=scripted&{reference}": 1,
        f"{reference}&provider_reference=other": 1,
        "provider=system": 1,
    }

    for list_name in ("payment-collections", "payment-sessions"):
        found = {query: len(boss.get(f"staff/{list_name}/?{query}").body["results"]) for query in queries}
        assert found == queries


@pytest.mark.parametrize("list_name", ["payment-sessions", "payments", "operations"])
def test_sessions_payments_and_operations_are_filtered_and_searched(
    boss: Visitor, shop: dict[str, PaymentCollection], values: dict[str, Any], list_name: str
) -> None:
    filters = [row for row in SESSION_FILTERS if "canceled" not in row[0] or list_name != "operations"]
    found = {
        query: {
            row["payment_collection_id"]
            for row in boss.get(f"staff/{list_name}/?{query.format(**values)}").body["results"]
        }
        for query, _names in filters
    }

    assert found == {query: {shop[name].pk for name in names.split()} for query, names in filters}


def test_the_parent_of_a_row_is_a_filter(boss: Visitor, shop: dict[str, PaymentCollection]) -> None:
    session = shop["card"].sessions.get()
    payment = session.payment
    assert payment is not None
    queries = {
        f"payments/?payment_session={session.pk}": [payment.pk],
        "payments/?payment_session=payses_0": [],
        f"payments/?q={payment.pk}": [payment.pk],
        f"payment-sessions/?q={payment.pk}": [session.pk],
        f"payment-collections/?q={payment.pk}": [shop["card"].pk],
        f"operations/?payment_session={session.pk}&kind=authorize": [
            session.operations.get(kind="authorize").pk
        ],
        f"operations/?payment={payment.pk}": [],
        "operations/?kind=refund&kind=capture&status=declined": [],
    }

    found = {query: [row["id"] for row in boss.get(f"staff/{query}").body["results"]] for query in queries}

    assert found == queries


def test_webhook_events_are_filtered_and_searched(boss: Visitor, shop: dict[str, PaymentCollection]) -> None:
    session = shop["card"].sessions.get()
    ours = WebhookEventFactory.create(
        session=session, type="intent.captured", provider_reference="in_1", event_id="evt_ours", applied=True
    )
    other = WebhookEventFactory.create(type="intent.authorized", event_id="evt_other", failed=True)
    both = {ours.pk, other.pk}
    queries = {
        "": both,
        "status=failed": {other.pk},
        "status=failed&status=applied": both,
        "provider=scripted": {ours.pk},
        "type=intent.captured": {ours.pk},
        "event_id=evt_other": {other.pk},
        f"payment_session={session.pk}": {ours.pk},
        f"payment_collection={shop['card'].pk}": {ours.pk},
        f"payable=shop.order:{shop['card'].payable_id}": {ours.pk},
        f"customer={shop['card'].customer_id}": {ours.pk},
        "currency_code=jpy": set(),
        "provider_reference=in_1": {ours.pk},
        "created_at_lt=2026-01-01": set(),
        f"q={ours.pk}": {ours.pk},
        f"q={session.pk}": {ours.pk},
        "q=evt_other": {other.pk},
        "q=in_1": {ours.pk},
    }

    found = {
        query: {row["id"] for row in boss.get(f"staff/webhook-events/?{query}").body["results"]}
        for query in queries
    }

    assert found == queries


BAD_QUERIES = [
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
    ("amount=ten", "amount", "invalid"),
    ("amount_gte=1e400", "amount_gte", "too_large"),
    ("amount_lte=0.00001", "amount_lte", "too_many_decimals"),
    ("amount_lte=NaN", "amount_lte", "not_finite"),
    ("created_at_gte=yesterday", "created_at_gte", "invalid_value"),
    ("created_at_gte=2026-13-01", "created_at_gte", "invalid_value"),
    ("created_at_gte=2026-W01", "created_at_gte", "invalid_value"),
    ("created_at_gte=2026-W01-1T09:30:00Z", "created_at_gte", "invalid_value"),
    ("created_at_gte=20260201", "created_at_gte", "invalid_value"),
    ("created_at_lt=2026-01-01T00:00:00+01:00", "created_at_lt", "invalid_value"),  # the + has become a space
    ("created_at_lt=0001-01-01T00:00:00%2B14:00", "created_at_lt", "invalid_value"),
    ("q=a%00b", "q", "invalid_character"),
    ("q=one&q=two", "q", "invalid_value"),
    ("q=" + "x" * 256, "q", "invalid_value"),
    ("order=status", "order", "invalid_order"),
    ("order=-created_at,id", "order", "invalid_order"),
    ("limit=0", "limit", "invalid_limit"),
    ("limit=101", "limit", "invalid_limit"),
    ("limit=ten", "limit", "invalid_limit"),
    *(
        (f"cursor={cursor}", "cursor", "invalid_cursor")
        for cursor in (
            "",
            "nonsense",
            "%E2%82%AC",
            urlsafe_b64encode(b"p=yesterday").decode(),
            urlsafe_b64encode(b'["yesterday","pay_1",false]').decode(),
            urlsafe_b64encode(b'["2026-99-99T00:00:00Z","pay_1",false]').decode(),
            urlsafe_b64encode(f'["2026-01-01T00:00:00{OTHER_ZONE}","pay_1",false]'.encode()).decode(),
            urlsafe_b64encode(b'["0001-01-01T00:00:00+14:00","pay_1",false]').decode(),
            urlsafe_b64encode(b'["2026-01-01T00:00:00Z","a\\u0000b",false]').decode(),
            urlsafe_b64encode(b'["2026-01-01T00:00:00Z","pay_1",0]').decode(),
            urlsafe_b64encode(b'["2026-01-01T00:00:00Z","pay_1"]').decode(),
            urlsafe_b64encode(b'["10.00","pay_1",false]').decode(),
            urlsafe_b64encode(b"[" * 400).decode(),
            "A" * 4000,
        )
    ),
]


@pytest.mark.parametrize("list_name", ["payment-collections", "payment-sessions", "payments", "operations"])
@pytest.mark.database_independent
def test_a_parameter_that_is_not_known_or_makes_no_sense_is_refused(boss: Visitor, list_name: str) -> None:
    for query, field, code in BAD_QUERIES:
        refused = boss.get(f"staff/{list_name}/?{query}")

        assert refused.error == (400, "invalid_request", code, [(field, code)]), query


@pytest.mark.parametrize("offset", [0, 330, -720])
def test_rows_are_found_by_their_time_of_creation_in_any_zone(boss: Visitor, offset: int) -> None:
    made = boss.post("staff/refund-reasons/", {"label": "Late"}).body
    zone = dt.timezone(timedelta(minutes=offset))
    now = datetime.now(zone)
    before, after = (now + timedelta(minutes=minutes) for minutes in (-5, 5))

    assert before < datetime.fromisoformat(made["created_at"]) < after
    for name, moment, count in (
        ("created_at_gte", before, 1),
        ("created_at_gte", after, 0),
        ("created_at_lt", before, 0),
        ("created_at_lt", after, 1),
    ):
        found = boss.get("staff/refund-reasons/", **{name: moment.isoformat()})
        assert len(found.body["results"]) == count, name


def test_rows_that_are_equal_are_paged_through_in_every_order_without_a_count(boss: Visitor) -> None:
    for amount in ("5", "10", "10", "10", "10", "20"):
        services.create_payment_collection(amount=amount, currency_code="eur")
    rows = PaymentCollection.objects.all()
    rows.update(created_at=timezone.now())
    for order in ("created_at", "-created_at", "amount", "-amount"):
        sign = "-" if order.startswith("-") else ""
        expected = list(rows.order_by(order, f"{sign}id").values_list("pk", flat=True))

        with CaptureQueriesContext(connection) as queries:
            forwards, page = _pages(boss, f"staff/payment-collections/?limit=2&order={order}", "next")
            backwards, first = _pages(boss, page["previous"], "previous")

        assert forwards == [expected[:2], expected[2:4], expected[4:]]
        assert backwards == [expected[2:4], expected[:2]]
        assert first["previous"] is None
        assert not any("COUNT(" in query["sql"] for query in queries)


def _pages(visitor: Visitor, address: str, direction: str) -> tuple[list[list[str]], Any]:
    """Follow a list's links; return the ids on each page, and the last page."""
    pages = []
    while True:
        page = visitor.get(address.removeprefix("http://testserver/payments/")).body
        pages.append([row["id"] for row in page["results"]])
        if page[direction] is None:
            return pages, page
        address = page[direction]


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
    assert boss.get("staff/refund-reasons/?limit=7").body["next"] is None
    assert boss.get("staff/refund-reasons/?created_at_gte=2100-01-01").body == {
        "next": None,
        "previous": None,
        "results": [],
    }


@pytest.mark.parametrize("list_name", ["payment-collections", "payment-sessions", "payments", "operations"])
@pytest.mark.database_independent
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(boss: Visitor, list_name: str) -> None:
    _fill_shop(1)
    few = _count_queries(boss, f"staff/{list_name}/")
    _fill_shop(2)
    many = _count_queries(boss, f"staff/{list_name}/")

    assert many == few
    assert len(boss.get(f"staff/{list_name}/").body["results"]) >= 3


@pytest.mark.database_independent
def test_a_collection_takes_as_many_queries_for_many_sessions_as_for_few(
    guest: Visitor, collection: PaymentCollection
) -> None:
    path = f"storefront/payment-collections/{collection.pk}/"
    services.create_payment_session(collection, provider_id="scripted", amount="1")
    few = _count_queries(guest, path)
    for _number in range(3):
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


def test_customers_are_searched_only_where_nothing_else_matches(
    boss: Visitor, shop: dict[str, PaymentCollection], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []

    def customers(term: str) -> list[int]:
        searched.append(term)
        return []

    monkeypatch.setattr(search, "_customers", customers)
    session = shop["card"].sessions.get()
    for term in (session.pk, session.provider_reference, "nobody"):
        boss.get(f"staff/payment-collections/?q={term}")
    assert searched == ["nobody"]
