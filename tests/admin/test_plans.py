"""Installments and splits are visible as such: who pays what, when, and in what state it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from payments.services import authorize_payment_session, capture_payment, create_installment_plan
from tests.admin.conftest import Viewer
from tests.admin.pages import html, page, panel
from tests.admin.scenes import make_authorized, make_collection

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


def test_installments_are_listed_with_amount_due_date_and_state(operator: Client) -> None:
    collection = make_collection("100.00")
    first, _second, _third = create_installment_plan(
        collection, provider_id="card", count=3, interval="month", first_due_at=timezone.now()
    )
    payment = authorize_payment_session(first).payment
    assert payment is not None
    capture_payment(payment)
    words = panel(html(operator, page(collection)), "plan")
    assert "Installment 1" in words
    assert "33.34 EUR 33 %" in words
    assert words.count("Scripted (card)") == 3
    assert "✓ Captured 33.34 EUR" in words
    assert words.count("Not due yet") == 2


def test_overdue_installment_says_so(operator: Client) -> None:
    collection = make_collection("100.00")
    create_installment_plan(collection, provider_id="card", count=2, interval="month")
    collection.sessions.filter(installment=1).update(due_at=timezone.now() - timedelta(days=1))
    words = panel(html(operator, page(collection)), "plan")
    assert "× Overdue … Waits for the payer" in words


def test_split_shows_each_part_and_what_nobody_covers_yet(operator: Client) -> None:
    collection = make_collection("100.00")
    make_authorized(collection, amount="30.00")
    make_authorized(collection, provider_id="system", amount="50.00")
    words = panel(html(operator, page(collection)), "plan")
    assert "Not covered by any part yet: 20.00 EUR" in words
    assert "Part 1" in words
    assert "Handled by the merchant (system) 50.00 EUR 50 %" in words


def test_collection_that_is_paid_in_one_has_no_such_panel(operator: Client, viewer: Viewer) -> None:
    collection = make_collection("100.00")
    make_authorized(collection)
    assert 'id="plan"' not in html(operator, page(collection))
    create_installment_plan(make_collection("9.00"), provider_id="card", count=2, interval="month")
    assert 'id="plan"' not in html(viewer("view_paymentcollection"), page(collection))
