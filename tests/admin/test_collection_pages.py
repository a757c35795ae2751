"""An operator whose customer calls sees within seconds what happened."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from payments import models, services
from payments.admin.tables import LIMIT
from payments.providers import SessionFact
from payments.services.payments import capture_payment
from payments.testing.factories.base import refresh_collection
from tests.admin.pages import html, listed, listing, page, panel, text
from tests.admin.scenes import make_attention, make_authorized, make_collection, make_customer
from tests.shop.models import Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def eventful(collection: models.PaymentCollection) -> models.PaymentCollection:
    return collection


@pytest.mark.database_independent
def test_summary_tells_the_totals_and_how_they_divide(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    shown = html(operator, page(eventful))
    words = text(shown)
    assert "Amount 100.00 EUR Authorized 100.00 EUR Captured 60.00 EUR Refunded 15.00 EUR" in words
    parts = "Received (net) 45.00 EUR; Refunded 15.00 EUR; Authorized, not captured 40.00 EUR; Not paid yet 0.00 EUR"
    bar = f"Of 100.00 EUR: {parts}"
    assert f'role="img" aria-label="{bar}"' in shown
    assert 'class="payments-kept" x="0.000%" width="45.000%"' in shown
    assert 'class="payments-refunded" x="45.000%" width="15.000%"' in shown
    assert "Partially captured" in words
    assert "Partially refunded" in words


@pytest.mark.database_independent
def test_summary_tells_what_banks_took_back(operator: Client) -> None:
    collection = make_collection("100.00")
    payment = make_authorized(collection, amount="70.00")
    capture_payment(payment)
    services.refund_payment(payment, amount="60.00")
    capture_payment(make_authorized(collection))
    assert "Charged back" not in html(operator, page(collection))
    QuerySet(models.Payment).filter(pk=payment.pk).update(
        charged_back_amount="80.00", reinstated_amount="10.00"
    )
    refresh_collection(collection)
    shown = html(operator, page(collection))
    assert "Captured 100.00 EUR Refunded 60.00 EUR Charged back 70.00 EUR" in text(shown)
    bar = (
        "Received (net) 30.00 EUR; Refunded 60.00 EUR; Charged back 70.00 EUR; Authorized, not captured 0.00 EUR; "
        "Not paid yet 0.00 EUR"
    )
    assert f'aria-label="Of 100.00 EUR: {bar}"' in shown


@pytest.mark.database_independent
def test_what_was_charged_back_is_shown_as_such_whoever_has_acknowledged_it(operator: Client) -> None:
    payment = capture_payment(make_authorized(make_collection("100.00")))
    never = capture_payment(make_authorized(make_collection("100.00")))
    for taken, returned, words in (
        ("40.00", "0.00", "Partially charged back"),
        ("100.00", "0.00", "Charged back"),
    ):
        fact = SessionFact(
            currency_code="eur", charged_back_amount=Decimal(taken), reinstated_amount=Decimal(returned)
        )
        services.record_fact(payment.session, fact, origin=services.Origin())
        for operation in models.PaymentOperation.objects.filter(status="attention"):
            services.resolve_operation(operation, has_happened=True, reason="The dispute was answered.")
        for shown in (
            page(payment.collection),
            listing(models.PaymentCollection),
            page(payment),
            listing(models.Payment),
        ):
            assert words in text(html(operator, shown))
    found = html(operator, listing(models.PaymentCollection, "?charged_back=yes"))
    assert payment.collection_id in found
    assert never.collection_id not in found

    won = SessionFact(currency_code="eur", charged_back_amount=Decimal(100), reinstated_amount=Decimal(100))
    services.record_fact(payment.session, won, origin=services.Origin())
    assert payment.collection_id not in html(operator, listing(models.PaymentCollection, "?charged_back=yes"))


@pytest.mark.database_independent
def test_sessions_are_shown_with_provider_status_and_reference(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    shown = panel(html(operator, page(eventful)), "sessions")
    session = eventful.sessions.get(provider="card")
    assert session.pk[-8:] in shown
    assert str(session.provider_reference) in shown
    assert "60.00 EUR" in shown
    assert "Authorized" in shown
    assert "system" in shown


def test_each_payment_is_followed_by_its_captures_and_refunds_in_order(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    shown = panel(html(operator, page(eventful)), "payments")
    payment = eventful.payments.get(provider="card")
    other = eventful.payments.get(provider="system")
    expected = [payment.pk, *_keys(payment.captures), *_keys(payment.refunds), other.pk]
    places = [shown.index(key[-8:]) for key in expected]
    assert places == sorted(places)
    assert "Damaged in transit The cup is broken." in shown
    assert "Try again later. processing_error" in shown


@pytest.mark.database_independent
def test_operations_are_shown_with_their_errors(eventful: models.PaymentCollection, operator: Client) -> None:
    shown = panel(html(operator, page(eventful)), "operations")
    assert "Declined 35.00 EUR" in shown
    assert "Try again later. processing_error" in shown
    assert "Outcome unknown 5.00 EUR" in shown
    assert "Admin · olivia" in shown


def test_history_tells_every_change_in_order_and_in_words(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    shown = panel(html(operator, page(eventful)), "history")
    told = [
        "Collection created",
        "Provider's answer recorded Initiate",
        "Waiting for the customer (3-D Secure) … Pending to → … Waiting for the customer (3-D Secure)",
        "Session authorized",
        "Money captured … Pending to → ✓ Succeeded",
        "Capture failed processing_error",
        "Money refunded",
    ]
    for words in told:
        assert words.replace(" to →", " →") in shown, (words, shown)
    places = [shown.index(words.replace(" to →", " →")) for words in told]
    assert places == sorted(places)
    assert "Admin · olivia" in shown


@pytest.mark.database_independent
def test_pages_are_linked_with_each_other(eventful: models.PaymentCollection, operator: Client) -> None:
    shown = html(operator, page(eventful))
    rows = [*eventful.sessions.all(), *eventful.payments.all(), *eventful.operations.all()]
    rows += [*models.Capture.objects.all(), *models.Refund.objects.all()]
    for row in rows:
        assert f'href="{page(row)}"' in shown
        assert f'href="{page(eventful)}"' in html(operator, page(row))
    order = Order.objects.get()
    assert f'href="{page(order, site="ops")}"' in html(operator, page(eventful, site="ops"))


@pytest.mark.database_independent
def test_payable_without_admin_page_is_named_only(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    for url in (page(eventful), listing(models.PaymentCollection)):
        shown = html(operator, url)
        assert "Order 1" in text(shown)
        assert "/shop/order/" not in shown


def test_payable_that_is_gone_is_named_by_its_id(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    order = Order.objects.get()
    key = order.pk
    order.delete()
    assert f"Order {key} (no longer there)" in text(html(operator, listing(models.PaymentCollection)))


def test_payable_whose_model_or_key_is_gone_hides_no_money(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    stale = ContentType.objects.create(app_label="gone", model="voucher")
    models.PaymentCollection.objects.filter(pk=eventful.pk).update(payable_type=stale, payable_id="x")
    assert "Voucher x (no longer there)" in text(html(operator, page(eventful)))
    order_type = ContentType.objects.get_for_model(Order)
    models.PaymentCollection.objects.filter(pk=eventful.pk).update(
        payable_type=order_type, payable_id="not-a-number"
    )
    assert "Order not-a-number (no longer there)" in text(html(operator, listing(models.PaymentCollection)))


@pytest.mark.database_independent
def test_amounts_have_the_decimals_of_their_currency(operator: Client) -> None:
    make_collection("1000", "jpy")
    make_collection("1.250", "kwd")
    make_collection("1234.50", "eur")
    words = text(html(operator, listing(models.PaymentCollection)))
    assert "1,000 JPY" in words
    assert "1.250 KWD" in words
    assert "1,234.50 EUR" in words


@pytest.mark.database_independent
def test_fully_refunded_collection_says_so(operator: Client) -> None:
    collection = make_collection("30.00")
    payment = capture_payment(make_authorized(collection))
    services.refund_payment(payment)
    words = text(html(operator, page(collection)))
    assert "Refunded" in words
    assert "Refunded" in text(html(operator, listing(models.PaymentCollection)))


@pytest.mark.database_independent
def test_installments_show_their_number_due_date_and_whether_they_are_overdue(operator: Client) -> None:
    collection = make_collection("90.00")
    first = timezone.now() - timedelta(days=40)
    services.create_installment_plan(
        collection, provider_id="card", count=3, interval="month", first_due_at=first
    )
    shown = panel(html(operator, page(collection)), "sessions")
    assert "Installment 1 due" in shown
    assert "Installment 3 due" in shown
    assert shown.count("Overdue") == 2


@pytest.mark.database_independent
def test_operation_that_needs_attention_is_announced_on_page_and_list(operator: Client) -> None:
    operation = make_attention()
    shown = html(operator, page(operation.collection))
    assert "An operation of this collection needs attention." in text(shown)
    assert f"collection__id__exact={operation.collection_id}&amp;status__exact=attention" in shown
    assert "Needs attention" in text(html(operator, listing(models.PaymentCollection)))


@pytest.mark.database_independent
def test_more_rows_than_fit_are_cut_with_a_link_to_all_of_them(operator: Client) -> None:
    collection = make_collection("500.00")
    services.create_installment_plan(collection, provider_id="card", count=LIMIT + 5, interval="month")
    shown = html(operator, page(collection))
    assert panel(shown, "sessions").count("Installment ") == LIMIT
    url = listing(models.PaymentSession, f"?collection__id__exact={collection.pk}")
    assert f'href="{url}"' in shown
    assert len(listed(operator, url)) == LIMIT + 5


def test_long_history_keeps_its_newest_part(operator: Client) -> None:
    collection = make_collection()
    for number in range(70):
        models.PaymentEvent(type=f"note.{number:02}", collection=collection, source="system").save(
            force_insert=True
        )
    shown = panel(html(operator, page(collection)), "history")
    assert "Earlier events don't fit here. All events" in shown
    assert "note.09" not in shown
    assert shown.index("note.10") < shown.index("note.69")


def test_canceled_sessions_come_after_those_that_count(operator: Client) -> None:
    collection = make_collection()
    replaced = services.create_payment_session(collection, provider_id="card")
    current = services.create_payment_session(collection, provider_id="system")
    shown = panel(html(operator, page(collection)), "sessions")
    assert shown.index(current.pk[-8:]) < shown.index(replaced.pk[-8:])


def test_search_finds_the_collection_by_any_id_reference_or_customer(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    make_collection()
    payment = eventful.payments.get(provider="card")
    terms = [
        eventful.pk,
        eventful.pk[:20],
        *_keys(eventful.sessions),
        payment.pk,
        *_keys(payment.captures),
        *_keys(payment.refunds),
        *_keys(eventful.operations),
        payment.provider_reference,
        payment.captures.filter(status="succeeded")[0].provider_reference,
        eventful.payable_id,
        "anna",
        "ANNA@shop.ex",
        f"  {payment.pk}  ",
    ]
    for term in terms:
        found = [
            row.pk
            for row in operator.get(listing(models.PaymentCollection), {"q": term}).context["cl"].result_list
        ]
        assert found == [eventful.pk] or (term == eventful.pk[:20] and eventful.pk in found), (term, found)
    assert not operator.get(listing(models.PaymentCollection), {"q": "nobody"}).context["cl"].result_list


def test_search_finds_a_customers_collections_beside_those_that_the_shops_own_search_finds(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    make_collection()
    named = make_collection(number="Anna 1")
    found = operator.get("/ops/payments/paymentcollection/", {"q": "anna"}).context["cl"].result_list
    assert {row.pk for row in found} == {eventful.pk, named.pk}
    numbered = make_collection(number=f"No. {eventful.payable_id}")
    found = operator.get("/ops/payments/paymentcollection/", {"q": eventful.payable_id}).context["cl"]
    assert {eventful.pk, numbered.pk} <= {row.pk for row in found.result_list}


def test_search_for_an_id_of_another_kind_finds_nothing_wrong(operator: Client) -> None:
    collection = make_collection()
    assert listed(operator, listing(models.PaymentCollection, "?q=pay_0000")) == []
    assert listed(operator, listing(models.PaymentCollection, f"?q={collection.pk}")) == [collection.pk]


def test_list_is_filtered_by_status_currency_provider_and_open_operations(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    yen = make_collection("1000", "jpy")
    attention = make_attention()
    canceled = make_collection("5.00")
    services.cancel_payment_collection(canceled)
    yesterday = timezone.now() - timedelta(days=1)
    expected: dict[str, set[str]] = {
        "?status__exact=canceled": {canceled.pk},
        "?currency=jpy": {yen.pk},
        "?provider=system": {eventful.pk},
        "?provider=card": {eventful.pk, attention.collection_id},
        "?operations=attention": {attention.collection_id},
        "?operations=open": {eventful.pk, attention.collection_id},
        f"?created_at__gte={yesterday:%Y-%m-%d+00:00:00%%2B00:00}&currency=jpy": {yen.pk},
        f"?created_at__lt={yesterday:%Y-%m-%d+00:00:00%%2B00:00}": set(),
    }
    for query, keys in expected.items():
        assert set(listed(operator, listing(models.PaymentCollection, query))) == keys, query


@pytest.mark.database_independent
def test_customer_is_linked_and_named_by_email_and_user_name(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    customer = get_user_model().objects.get(username="anna")
    shown = html(operator, page(eventful))
    assert f'href="{page(customer)}"' in shown
    assert "anna@ shop.example anna" in text(shown)


def test_collection_without_customer_payable_or_session_is_shown(operator: Client) -> None:
    collection = make_collection()
    models.PaymentCollection.objects.filter(pk=collection.pk).update(payable_type=None, payable_id=None)
    words = text(html(operator, page(collection)))
    assert "No session has been opened." in words
    assert "Nothing has been authorized." in words


@pytest.mark.database_independent
def test_list_shows_a_collection_in_a_currency_that_is_not_known_any_more(operator: Client) -> None:
    collection = make_collection()
    models.PaymentCollection.objects.filter(pk=collection.pk).update(currency_code="xxq")
    assert "XXQ" in text(html(operator, listing(models.PaymentCollection)))


@pytest.mark.database_independent
def test_headings_tables_and_regions_are_labelled(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    shown = html(operator, page(eventful))
    for slug in ("sessions", "payments", "operations", "history", "metadata"):
        assert f'<h2 id="{slug}-heading">' in shown
        assert f'aria-labelledby="{slug}-heading"' in shown
        assert f'href="#{slug}"' in shown
    assert shown.count('scope="col"') >= 15
    assert 'scope="row"' in shown
    assert '<pre class="payments-document" tabindex="0"' in shown


@pytest.mark.database_independent
def test_lists_of_sessions_payments_and_operations_lead_back_to_the_collection(
    eventful: models.PaymentCollection, operator: Client
) -> None:
    for model in (
        models.PaymentSession,
        models.Payment,
        models.PaymentOperation,
        models.Capture,
        models.Refund,
        models.PaymentEvent,
    ):
        assert f'href="{page(eventful)}"' in html(operator, listing(model))


def _keys(rows: Any) -> list[str]:
    return [row.pk for row in rows.order_by("created_at", "pk")]


def test_customer_of_any_name_is_found_only_once(operator: Client) -> None:
    collection = make_collection(customer=make_customer("ben"))
    services.create_payment_session(collection, provider_id="card", amount="10.00")
    services.create_payment_session(collection, provider_id="card", amount="20.00")
    assert listed(operator, listing(models.PaymentCollection, "?q=ben")) == [collection.pk]
