"""Acting upon many rows: what the page says of each, and the results row by row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.db import models
from django.test import Client
from django.urls import reverse

from payments.admin.actions import bulk
from payments.exceptions import DeclinedError
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.services import capture_payment
from tests.admin.acting import told
from tests.admin.answers import answering
from tests.admin.conftest import Viewer
from tests.admin.pages import html, listing, text
from tests.admin.scenes import make_authorized, make_collection

pytestmark = pytest.mark.django_db


@pytest.fixture
def held() -> list[Payment]:
    return [make_authorized(make_collection(f"{amount}.00")) for amount in (10, 20, 30)]


def choose(client: Client, rows: list[Any], slug: str) -> Any:
    """Choose an action for rows in the menu of their list."""
    return client.post(
        listing(type(rows[0])), {"action": slug, ACTION_CHECKBOX_NAME: [row.pk for row in rows]}
    )


def bulk_url(model: type[models.Model], slug: str) -> str:
    """Return the address that a confirmed list is sent to."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_bulk_action", args=[slug])


def chosen(response: Any) -> list[str]:
    """Return what the confirmation page would send."""
    return [each.version for each in response.context["candidates"] if each.version]


def run(client: Client, model: type[models.Model], slug: str, versions: list[str]) -> str:
    """Confirm, and return the whole stream as text."""
    response: Any = client.post(bulk_url(model, slug), {"row": versions})
    assert response.streaming, response.status_code
    return b"".join(response.streaming_content).decode()


@pytest.mark.database_independent
def test_page_says_what_happens_to_each_row_and_in_all(held: list[Payment], operator: Client) -> None:
    capture_payment(held[0])
    response = choose(operator, held, "capture")
    words = text(response.content.decode())
    assert "In all: 50.00 EUR" in words
    assert "20.00 EUR will be taken from the payer" in words
    assert "Left out: This isn't possible now." in words
    assert "Yes, do it to 2 rows" in words
    assert len(chosen(response)) == 2


def test_each_row_has_its_own_result_and_its_own_entry_in_the_log(
    held: list[Payment], operator: Client
) -> None:
    versions = chosen(choose(operator, held, "capture"))
    with answering(DeclinedError("Try later.", code="processing_error")):
        shown = run(operator, Payment, "capture", versions)
    words = text(shown)
    assert words.count("The provider refused: Try later.") == 1
    assert words.count("was captured.") == 2
    assert "1/3" in words
    assert "3/3" in words
    assert "Finished: 1 row needs a look." in words
    assert shown.count("<progress") == 3
    assert sum(payment.captured_amount > 0 for payment in Payment.objects.all()) == 2
    assert LogEntry.objects.count() == 3


@pytest.mark.database_independent
def test_rows_that_were_sent_twice_are_done_once(held: list[Payment], operator: Client) -> None:
    versions = chosen(choose(operator, held, "capture"))
    run(operator, Payment, "capture", versions)
    assert text(run(operator, Payment, "capture", versions)).count("This was done already, by olivia.") == 3
    assert sum(payment.captured_amount for payment in Payment.objects.all()) == Decimal(60)


def test_row_that_has_changed_since_is_left_alone(held: list[Payment], operator: Client) -> None:
    versions = chosen(choose(operator, held, "cancel"))
    capture_payment(held[1], amount="5.00")
    words = text(run(operator, Payment, "cancel", versions))
    assert words.count("It has changed since you chose it, so nothing was done.") == 1
    assert words.count("was released.") == 2


def test_results_come_one_by_one(held: list[Payment], operator: Client) -> None:
    versions = chosen(choose(operator, held, "capture"))
    response: Any = operator.post(bulk_url(Payment, "capture"), {"row": versions})
    stream = response.streaming_content
    next(stream)
    for done in (1, 2, 3):
        assert f"{done}/3" in next(stream).decode()
        assert Payment.objects.filter(captured_amount__gt=0).count() == done


def test_collections_are_marked_as_paid_and_sessions_are_canceled(operator: Client) -> None:
    collections = [make_collection("10.00"), make_collection("20.00")]
    versions = chosen(choose(operator, collections, "mark-as-paid"))
    assert "all went well" in text(run(operator, PaymentCollection, "mark-as-paid", versions))
    assert {row.status for row in PaymentCollection.objects.all()} == {"completed"}
    sessions = [make_authorized(make_collection("5.00")).session]
    versions = chosen(choose(operator, sessions, "cancel"))
    assert "all went well" in text(run(operator, PaymentSession, "cancel", versions))


@pytest.mark.database_independent
def test_menu_offers_only_what_the_user_may_do(held: list[Payment], viewer: Viewer) -> None:
    client = viewer("view_payment", "capture_payment")
    shown = html(client, listing(Payment))
    assert 'value="capture"' in shown
    assert 'value="cancel"' not in shown
    assert "delete_selected" not in shown
    assert client.post(bulk_url(Payment, "cancel"), {"row": ["x:y"]}).status_code == 403
    assert choose(client, held, "cancel").status_code == 302
    assert Payment.objects.filter(status="authorized").count() == 3


@pytest.mark.database_independent
def test_viewer_sees_neither_menu_nor_check_boxes(held: list[Payment], viewer: Viewer) -> None:
    shown = html(viewer("view_payment", "view_refund"), listing(Payment))
    assert ACTION_CHECKBOX_NAME not in shown


@pytest.mark.database_independent
def test_too_many_rows_at_once_are_refused(
    held: list[Payment], operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LIMIT", 2)
    assert "Choose at most 2 rows at once." in told(choose(operator, held, "capture"))


@pytest.mark.database_independent
def test_refunds_are_not_offered_in_bulk(held: list[Payment], operator: Client) -> None:
    assert operator.post(bulk_url(Payment, "refund"), {"row": ["x:y"]}).status_code == 404
    assert operator.get(bulk_url(Payment, "capture")).status_code == 302
