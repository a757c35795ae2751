"""Providers can be switched on and off, and nothing else about them can be changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from payments.admin import providers as pages
from payments.exceptions import InputError
from payments.models import PaymentProvider
from payments.services import create_payment_session
from tests.admin.conftest import Viewer
from tests.admin.pages import html, listed, listing, page, text
from tests.admin.scenes import make_collection

pytestmark = pytest.mark.django_db


@pytest.fixture
def card() -> PaymentProvider:
    return PaymentProvider.objects.create(pk="card")


def test_configured_providers_are_listed_before_anybody_used_them(operator: Client) -> None:
    assert listed(operator, listing(PaymentProvider)) == ["card", "system"]
    words = text(html(operator, listing(PaymentProvider)))
    assert "Handled by the merchant" in words
    assert "partial capture" in words


def test_switching_off_goes_through_the_service_and_is_logged(
    card: PaymentProvider, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    switched: list[Any] = []
    monkeypatch.setattr(
        pages, "disable_provider", lambda provider: switched.append(_switch(provider, is_enabled=False))
    )
    assert operator.post(page(card), {}).status_code == 302
    assert len(switched) == 1
    card.refresh_from_db()
    assert card.is_enabled is False
    assert LogEntry.objects.get().get_change_message() == "Changed Enabled."
    with pytest.raises(InputError):
        create_payment_session(make_collection(), provider_id="card")


def test_switching_on_again_lets_sessions_use_it(card: PaymentProvider, operator: Client) -> None:
    operator.post(page(card), {})
    operator.post(page(card), {"is_enabled": "on"})
    assert create_payment_session(make_collection(), provider_id="card").status == "pending"


def test_only_the_switch_can_be_changed(card: PaymentProvider, operator: Client) -> None:
    operator.post(page(card), {"is_enabled": "on", "id": "other", "created_at_0": "2000-01-01"})
    assert list(PaymentProvider.objects.values_list("pk", flat=True)) == ["card"]
    assert operator.get(listing(PaymentProvider) + "add/").status_code == 403
    assert operator.post(page(card, action="delete"), {"post": "yes"}).status_code == 403


def test_view_permission_shows_the_switch_but_does_not_move_it(card: PaymentProvider, viewer: Viewer) -> None:
    client = viewer("view_paymentprovider")
    assert 'type="checkbox"' not in html(client, page(card))
    assert client.post(page(card), {}).status_code == 403
    card.refresh_from_db()
    assert card.is_enabled is True


def test_provider_that_left_the_settings_stays_readable(operator: Client) -> None:
    gone = PaymentProvider.objects.create(pk="gone")
    assert "Not configured any more" in text(html(operator, page(gone)))
    assert "Not configured any more" in text(html(operator, listing(PaymentProvider)))


def test_provider_that_cannot_be_built_says_so_without_its_options(
    card: PaymentProvider, operator: Client, settings: Any
) -> None:
    settings.PAYMENTS = {
        "PROVIDERS": {
            "card": {"BACKEND": "tests.admin.scripted.ScriptedProvider", "OPTIONS": {"api_key": "sk_live_1"}}
        }
    }
    shown = html(operator, page(card))
    assert "Can't be built: run the system checks" in text(shown)
    assert "sk_live_1" not in shown


def _switch(provider: PaymentProvider, *, is_enabled: bool) -> PaymentProvider:
    provider.is_enabled = is_enabled
    provider.save_fields("is_enabled")
    return provider
