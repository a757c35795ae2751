"""Saved payment methods in a browser: asked for and removed by keyboard, on a phone, in the dark, right to left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from payments.models import AccountHolder
from payments.providers.account_holders import ListMethodsResult, SavedPaymentMethod
from payments.services import create_account_holder
from payments.states import Outcome
from payments.testing import Script, scripted_provider
from tests.admin.acting import action_url
from tests.admin.browsing import Chromium, faults_in_every_look, log_in
from tests.admin.pages import page
from tests.admin.scenes import make_customer
from tests.admin.test_saved_methods import SLUG, saved_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.thorough,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]

CARDS = (
    SavedPaymentMethod(
        id="pm_1RkQx2LkdIwHu7ixhBvC9aTz", type="card", brand="visa", last4="4242", expires="2034-12"
    ),
    SavedPaymentMethod(id="pm_1RkQx2LkdIwHu7ixP0zYcQe4", type="sepa_debit", brand="", last4="3000"),
)
LISTED = ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=CARDS)


@pytest.fixture
def script() -> Iterator[Script]:
    """What the provider `scripted` answers and was asked."""
    with scripted_provider() as script:
        script.next("list_methods", *([LISTED] * 30))
        yield script


@pytest.fixture
def holder(transactional_db: None, script: Script) -> AccountHolder:
    """Return a customer's account with two saved payment methods."""
    return create_account_holder(make_customer("anna"), provider_id="scripted")


def test_a_method_is_asked_for_and_removed_by_keyboard(
    chromium: Chromium, live_server: Any, olivia: Any, holder: AccountHolder, script: Script
) -> None:
    def remove(window: Page) -> str:
        log_in(window, live_server.url, olivia.username)
        window.goto(live_server.url + page(holder))
        window.focus("text=Ask the provider")
        window.keyboard.press("Enter")
        window.wait_for_selector("text=•••• 4242")
        window.focus("text=Remove a payment method…")
        window.keyboard.press("Enter")
        window.focus("input[type=radio] >> nth=0")
        window.keyboard.press("ArrowDown")
        window.keyboard.press("Enter")
        window.wait_for_selector("text=Nothing brings it back")
        assert "sepa_debit •••• 3000" in window.inner_text("#content-main")
        window.focus("button.payments-primary")
        window.keyboard.press("Enter")
        return window.inner_text(".messagelist")

    told = chromium.do(remove, chromium.open())

    assert "has forgotten the payment method" in told
    [request] = script.requests("remove_method")
    assert request.method_id == CARDS[1].id


@pytest.mark.parametrize("locale", ["en", "ar"])
def test_pages_have_no_barriers(
    locale: str, chromium: Chromium, live_server: Any, olivia: Any, holder: AccountHolder
) -> None:
    urls = [page(holder), saved_page(holder), action_url(holder, SLUG)]

    def check(window: Page) -> dict[str, list[str]]:
        log_in(window, live_server.url, olivia.username)
        found = {}
        for url in urls:
            window.goto(live_server.url + url)
            found[url] = faults_in_every_look(window, locale)
        return {url: wrong for url, wrong in found.items() if wrong}

    assert chromium.do(check, chromium.open(locale=locale)) == {}
