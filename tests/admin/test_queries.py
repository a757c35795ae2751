"""How many queries a page takes doesn't depend on how much there is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.views.main import ChangeList
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.admin.changelist import LimitedPaginator
from payments.models import PaymentCollection
from payments.services import authorize_payment_session, create_installment_plan
from tests.admin.pages import INSPECTED, html, listed, listing, page, text
from tests.admin.scenes import (
    make_account_holder,
    make_collection,
    make_customer,
    make_eventful,
    make_webhook,
)

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

each_model = pytest.mark.parametrize("model", INSPECTED, ids=lambda model: model.__name__)


def _count(client: Client, url: str) -> int:
    html(client, url)  # content types are cached, unless a test has emptied the cache
    with CaptureQueriesContext(connection) as queries:
        html(client, url)
    return len(queries)


def _add(name: str) -> PaymentCollection:
    collection = make_eventful(actor=make_customer(name))
    PaymentCollection.objects.filter(pk=collection.pk).update(customer=make_customer(name))
    event = make_webhook(collection)
    type(event).objects.filter(pk=event.pk).update(event_id=f"evt_{name}")
    holder = make_account_holder(make_customer(name))
    type(holder).objects.filter(pk=holder.pk).update(provider_reference=f"cus_{name}")
    return collection


@each_model
def test_list_takes_the_same_number_of_queries_however_many_rows(
    model: type[models.Model], operator: Client
) -> None:
    _add("ben")
    few = _count(operator, listing(model))
    for name in ("cleo", "dora", "emil"):
        _add(name)
    assert _count(operator, listing(model)) == few
    assert few <= 10


def test_collection_page_takes_the_same_number_of_queries_however_eventful(operator: Client) -> None:
    quiet, eventful = make_eventful(), make_eventful()
    few = _count(operator, page(quiet))
    plan = make_collection("300.00", customer=make_customer())
    for session in create_installment_plan(plan, provider_id="card", count=12, interval="week")[:6]:
        authorize_payment_session(session)
    assert _count(operator, page(eventful)) == few
    assert _count(operator, page(plan)) <= few
    assert few <= 13


@each_model
def test_every_page_takes_a_bounded_number_of_queries(model: type[models.Model], operator: Client) -> None:
    _add("ben")
    for row in model._default_manager.all():
        assert _count(operator, page(row)) <= 13


@each_model
def test_lists_never_count_the_whole_table(
    model: type[models.Model], operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedPaginator, "limit", 2)
    _add("ben")
    _add("cleo")
    with CaptureQueriesContext(connection) as queries:
        html(operator, listing(model))
    counts = [
        query["sql"] for query in queries if "COUNT(" in query["sql"] and "GROUP BY" not in query["sql"]
    ]
    assert counts
    assert all("LIMIT 3" in sql for sql in counts), counts


def test_list_says_when_there_are_more_rows_than_it_pages_through(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "There are more than the list can page through"
    for _number in range(4):
        make_collection()
    assert told not in text(html(operator, listing(PaymentCollection)))
    monkeypatch.setattr(LimitedPaginator, "limit", 3)
    assert told in text(html(operator, listing(PaymentCollection)))


def test_pages_of_a_list_follow_each_other(operator: Client) -> None:
    keys = [make_collection().pk for _number in range(7)]
    first, second = (
        listed(operator, listing(PaymentCollection, site="ops")),
        listed(operator, listing(PaymentCollection, "?p=2", site="ops")),
    )
    assert first + second == keys[::-1]


def test_paginator_counts_plain_lists_too() -> None:
    paginator = LimitedPaginator([1, 2, 3], 2)
    assert (paginator.count, paginator.num_pages, paginator.is_limited) == (3, 2, False)


def test_facets_which_count_every_choice_are_off(operator: Client) -> None:
    make_collection()
    response: Any = operator.get(listing(PaymentCollection, "?_facets=True"))
    changelist: ChangeList = response.context["cl"]
    assert changelist.add_facets is False
