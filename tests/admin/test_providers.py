"""Providers can be switched on and off, and nothing else about them can be changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from payments.exceptions import InputError
from payments.models import PaymentProvider
from payments.services import create_payment_session
from tests.admin.acting import act, action_url, told
from tests.admin.pages import html, listed, listing, page, text
from tests.admin.scenes import make_collection

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]


@pytest.fixture
def card() -> PaymentProvider:
    return PaymentProvider.objects.create(pk="card")


def test_configured_providers_are_listed_before_anybody_used_them(operator: Client) -> None:
    assert listed(operator, listing(PaymentProvider)) == ["card", "system"]
    words = text(html(operator, listing(PaymentProvider)))
    assert "Handled by the merchant" in words
    assert "partial capture" in words


def test_nobody_is_said_to_choose_pretend_money_where_a_shop_is_open(operator: Client, settings: Any) -> None:
    scripted = {"BACKEND": "payments.testing.scripted.ScriptedProvider"}
    for is_meant, words in ((False, "nobody: it moves no real money"), (True, "payers")):
        settings.PAYMENTS = {"PROVIDERS": {"scripted": scripted}, "ALLOW_PRETEND_MONEY": is_meant}
        assert words in text(html(operator, listing(PaymentProvider)))


def test_switching_off_asks_first_and_is_logged(card: PaymentProvider, operator: Client) -> None:
    assert "What it holds already can still be captured" in text(html(operator, action_url(card, "disable")))
    assert told(act(operator, card, "disable")) == "Scripted (card) is disabled."
    card.refresh_from_db()
    assert card.is_enabled is False
    assert "Disable a provider" in LogEntry.objects.get().get_change_message()
    with pytest.raises(InputError):
        create_payment_session(make_collection(), provider_id="card")


def test_switching_on_again_lets_sessions_use_it(card: PaymentProvider, operator: Client) -> None:
    act(operator, card, "disable")
    act(operator, card, "enable")
    assert create_payment_session(make_collection(), provider_id="card").status == "pending"


def test_nothing_can_be_typed_over(card: PaymentProvider, operator: Client) -> None:
    assert operator.post(page(card), {"id": "other", "created_at_0": "2000-01-01"}).status_code == 403
    assert list(PaymentProvider.objects.values_list("pk", flat=True)) == ["card"]
    assert operator.get(listing(PaymentProvider) + "add/").status_code == 403
    assert operator.post(page(card, action="delete"), {"post": "yes"}).status_code == 403


def test_provider_that_left_the_settings_stays_readable(operator: Client) -> None:
    gone = PaymentProvider.objects.create(pk="gone")
    assert "Not configured any more" in text(html(operator, page(gone)))
    assert "Not configured any more" in text(html(operator, listing(PaymentProvider)))


def test_provider_that_cannot_be_built_says_so_without_its_options(
    card: PaymentProvider, operator: Client, settings: Any
) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {
            "card": {
                "BACKEND": "payments.testing.scripted.ScriptedProvider",
                "OPTIONS": {"api_key": "sk_live_1"},
            }
        }
    }
    shown = html(operator, page(card))
    assert "Can't be built: run the system checks" in text(shown)
    assert "sk_live_1" not in shown
