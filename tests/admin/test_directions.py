"""Where the language runs from right to left, amounts, ids and documents stay in one piece."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.utils.translation import override

from payments.admin.formatting import amount_text
from tests.admin.acting import action_url
from tests.admin.pages import html, page
from tests.admin.scenes import make_authorized, make_collection
from tests.admin.test_overview import overview

pytestmark = pytest.mark.database_independent


def test_amount_in_a_sentence_is_isolated_in_arabic_only() -> None:
    with override("en"):
        assert amount_text(Decimal("5.00"), "eur") == "5.00 EUR"
    with override("ar"):
        assert amount_text(Decimal("5.00"), "eur") == "\u20675,00 EUR\u2069"


@pytest.mark.django_db
def test_confirmation_isolates_amounts(operator: Client) -> None:
    payment = make_authorized(make_collection("60.00"))
    assert "\u206760,00 EUR\u2069" in _in_arabic(operator, action_url(payment, "cancel"))


@pytest.mark.django_db
def test_documents_run_from_left_to_right(operator: Client) -> None:
    collection = make_collection("60.00", metadata={"cart": "c_1"})
    assert '<pre class="payments-document" tabindex="0" role="group" dir="ltr"' in html(
        operator, page(collection)
    )


@pytest.mark.django_db
def test_days_are_counted_as_arabic_counts(operator: Client) -> None:
    shown = _in_arabic(operator, overview())
    assert "7 أيام" in shown
    assert "30 يومًا" in shown


def _in_arabic(client: Client, url: str) -> str:
    with override("en"):  # a request leaves its language behind
        return client.get(url, headers={"accept-language": "ar"}).content.decode()
