"""The overview: what it adds up, where it leads, what it exports, and who may see it."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from payments.admin.overview import figures
from payments.admin.overview.export import safe_cell
from payments.admin.overview.figures import Period, Sums
from payments.exceptions import DeclinedError
from payments.models import Capture, Payment, PaymentCollection, PaymentOperation, Refund
from payments.services import (
    authorize_payment_session,
    capture_payment,
    create_payment_session,
    refund_payment,
)
from tests.admin.answers import answering
from tests.admin.conftest import Viewer
from tests.admin.pages import html, listed, listing, text
from tests.admin.scenes import make_attention, make_authorized, make_collection

pytestmark = pytest.mark.django_db

SEES_IT = ("view_payment", "view_capture", "view_refund", "view_paymentoperation")


UNSEEN = "\xa0\u3000\u200b\ufeff\u2007\u202f\xad\u2060\u202e\0\x0b\u2028"
"""What a spreadsheet may leave out before a formula: it isn't seen, or only as a space."""


def overview(query: str = "") -> str:
    """Return the overview's address."""
    return reverse("admin:payments_overview") + query


@pytest.fixture
def moved() -> Payment:
    payment = capture_payment(make_authorized(make_collection("100.00")), amount="80.00")
    refund_payment(payment, amount="30.00")
    make_authorized(make_collection("7.00"), provider_id="system")
    make_authorized(make_collection("500", "jpy"))
    session = create_payment_session(make_collection("9.00"), provider_id="card")
    with answering(DeclinedError("No cover.", code="insufficient_funds")):
        authorize_payment_session(session)
    return payment


@pytest.mark.usefixtures("moved")
def test_amounts_are_added_up_per_provider_in_one_currency(operator: Client) -> None:
    words = text(html(operator, overview()))
    assert "Authorized 107.00 EUR" in words
    assert "Captured 80.00 EUR" in words
    assert "Refunded 30.00 EUR" in words
    assert "card 100.00 EUR 80.00 EUR 30.00 EUR" in words
    assert "system 7.00 EUR 0.00 EUR 0.00 EUR" in words
    assert "Authorized 500 JPY" in text(html(operator, overview("?currency=jpy")))


@pytest.mark.usefixtures("moved")
@pytest.mark.database_independent
def test_chart_says_in_words_what_it_shows(operator: Client) -> None:
    shown = html(operator, overview())
    assert shown.count('<svg class="payments-chart"') == 3
    assert 'aria-label="Captured per day from' in shown
    assert "80.00 EUR in all" in shown
    assert "nothing in this period" in html(operator, overview("?currency=jpy"))


@pytest.mark.usefixtures("moved")
def test_success_rate_and_refusals_by_code(operator: Client) -> None:
    words = text(html(operator, overview()))
    assert "card 67 %: 2 succeeded, 1 refused" in words
    assert "system 100 %: 1 succeeded, 0 refused" in words
    assert "Insufficient funds 1" in words


def test_links_lead_to_the_rows_that_were_counted(moved: Payment, operator: Client) -> None:
    response = operator.get(overview())
    context: Any = response.context
    urls = [strand.url for strand in context["strands"]]
    assert set(listed(operator, urls[0])) == set(
        Payment.objects.filter(collection__currency_code="eur").values_list("pk", flat=True)
    )
    assert listed(operator, urls[1]) == [Capture.objects.get().pk]
    assert listed(operator, urls[2]) == [Refund.objects.get().pk]
    (decline,) = context["declines"]
    assert listed(operator, decline.url) == [PaymentOperation.objects.get(status="declined").pk]
    assert moved.pk in listed(operator, context["day_rows"][0].url)


@pytest.mark.database_independent
def test_link_of_a_provider_leads_to_its_payments_in_the_chosen_currency(operator: Client) -> None:
    euros = make_authorized(make_collection("10.00"))
    dinars = make_authorized(make_collection("10.000", "kwd"))
    for currency, payment in (("eur", euros), ("kwd", dinars)):
        context: Any = operator.get(overview(f"?currency={currency}")).context
        (row,) = context["provider_rows"]
        assert listed(operator, row.url) == [payment.pk]


def test_unresolved_operations_are_counted_and_linked(operator: Client) -> None:
    operation = make_attention()
    context: Any = operator.get(overview()).context
    (attention, *_others) = context["unresolved"]
    assert attention.text == "1"
    assert listed(operator, attention.url) == [operation.pk]


def test_held_money_that_expires_soon_is_listed_most_urgent_first(operator: Client) -> None:
    payments = [make_authorized(make_collection("10.00")) for _ in range(3)]
    for payment, days in zip(payments, (5, 2, 30), strict=True):
        Payment.objects.filter(pk=payment.pk).update(expires_at=timezone.now() + timedelta(days=days))
    assert [row.pk for row in figures.expiring()] == [payments[1].pk, payments[0].pk]
    assert payments[1].pk in html(operator, overview())


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"])
def test_day_begins_at_midnight_in_the_shops_time_zone(zone: str, moved: Payment, settings: Any) -> None:
    settings.TIME_ZONE = zone
    with timezone.override("Europe/Berlin"):  # where the reader is
        period = Period.of({"days": "7"})
        midnight = period.start + timedelta(days=1)
        captures = Capture.objects.filter(payment=moved)
        for moment, day in ((midnight, 1), (midnight - timedelta(minutes=1), 0)):
            captures.update(succeeded_at=moment)
            (days,) = Sums(period).series("captured", "eur").amounts.values()
            assert list(days) == [period.dates[day]]
        captures.update(succeeded_at=period.start - timedelta(minutes=1))
        assert Sums(period).series("captured", "eur").amounts == {}


@pytest.mark.parametrize(
    "query",
    [
        "?days=1e9",
        "?days=-1",
        "?days=x",
        "?currency=zzz",
        "?days=٣",
        pytest.param(f"?days={'1' * 5000}", id="endless"),
    ],
)
@pytest.mark.database_independent
def test_nonsense_in_the_address_is_ignored(query: str, operator: Client) -> None:
    assert "Nothing in this period." in text(html(operator, overview(query)))


@pytest.mark.parametrize("missing", SEES_IT)
@pytest.mark.database_independent
def test_who_may_not_see_the_rows_does_not_see_their_sums(missing: str, viewer: Viewer) -> None:
    client = viewer(*(each for each in SEES_IT if each != missing))
    assert client.get(overview()).status_code == 403
    assert client.get(reverse("admin:payments_export")).status_code == 403


def test_viewer_sees_overview_and_export(viewer: Viewer) -> None:
    client = viewer(*SEES_IT)
    assert client.get(overview()).status_code == 200
    assert client.get(reverse("admin:payments_export")).status_code == 200


def _export(client: Client) -> list[list[str]]:
    response: Any = client.get(reverse("admin:payments_export") + "?days=7")
    assert response.streaming
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="payments-')
    return list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_export_has_every_movement_with_exact_amounts(moved: Payment, operator: Client) -> None:
    header, *rows = _export(operator)
    assert header[:6] == ["Time", "Kind", "Id", "Provider", "Amount", "Currency"]
    assert sorted((row[1], row[4], row[5]) for row in rows) == [
        ("Authorization", "100.00", "EUR"),
        ("Authorization", "500", "JPY"),
        ("Authorization", "7.00", "EUR"),
        ("Capture", "80.00", "EUR"),
        ("Refund", "30.00", "EUR"),
    ]
    assert {row[6] for row in rows if row[1] != "Authorization"} == {moved.pk}


@pytest.mark.database_independent
def test_export_has_no_cell_that_a_spreadsheet_would_run(moved: Payment, operator: Client) -> None:
    Payment.objects.filter(pk=moved.pk).update(provider_reference="=HYPERLINK(1)")
    PaymentCollection.objects.filter(pk=moved.collection_id).update(payable_id="@SUM(A1)")
    cells = [cell for row in _export(operator) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert "'@SUM(A1)" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize(
    "cell", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", " =1", "\uff1d1", *(f"{each}=1" for each in UNSEEN)]
)
@pytest.mark.database_independent
def test_beginning_of_a_formula_is_quoted(cell: str) -> None:
    assert safe_cell(cell) == f"'{cell}"


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("12;=1+1", "12;'=1+1"),
        ('12; "=1+1', "12;' \"=1+1"),
        ("12,@x\t-1", "12,'@x\t'-1"),
        ("\n=1+1", "'\n'=1+1"),
        ("a\r\n=1", "a\r\n'=1"),
        ("a\n\uff1d1", "a\n'\uff1d1"),
        *((f"a;{unseen}=1", f"a;'{unseen}=1") for unseen in UNSEEN),
        ("a;b, c\n2026-11-24T10:00:00+00:00", "a;b, c\n2026-11-24T10:00:00+00:00"),
    ],
)
@pytest.mark.database_independent
def test_formula_after_what_another_country_splits_cells_at_is_quoted(cell: str, safe: str) -> None:
    assert safe_cell(cell) == safe


@pytest.mark.database_independent
def test_list_says_how_many_operations_wait_and_leads_to_them(operator: Client, viewer: Viewer) -> None:
    assert "payments-queue" in html(operator, listing(PaymentCollection))
    assert (
        "needs attention" not in text(html(operator, listing(PaymentCollection))).split("Needs attention")[0]
    )
    operation = make_attention()
    response = operator.get(listing(PaymentCollection))
    assert "1 operation needs attention" in text(response.content.decode())
    assert listed(operator, response.context["cl"].payments_queue.url) == [operation.pk]
    assert "operation needs attention" not in text(
        html(viewer("view_paymentcollection"), listing(PaymentCollection))
    )


def test_app_index_leads_to_the_overview(operator: Client) -> None:
    assert f'href="{overview()}"' in html(operator, reverse("admin:app_list", args=["payments"]))
