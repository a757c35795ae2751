"""The staff's API in a browser: pages that lead on, and forms that do what they say."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from payments import services
from payments.models import Payment, RefundReason
from payments.testing.factories import WebhookEventFactory
from tests.api.client import ROOT
from tests.api.conftest import MakeStaff
from tests.api.routes import ROUTES, filled, keys_of

pytestmark = [pytest.mark.django_db, pytest.mark.database_independent]

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
TOKEN = "t" * 32
LISTS = sorted(
    route.path
    for route in ROUTES
    if route.method == "GET" and route.path.startswith("staff/") and "{" not in route.path
)


class Browser:
    """An operator's browser, which sends its cookies, and a CSRF token where a page's script would."""

    def __init__(self, user: Any) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(user)
        self.client.cookies["csrftoken"] = TOKEN

    def open(self, path: str, status: int = 200) -> str:
        """Return the page at an address."""
        response = self.client.get(f"{ROOT}/{path}", headers=BROWSER)
        assert (response.status_code, response["Content-Type"]) == (status, "text/html; charset=utf-8"), path
        return response.content.decode()

    def submit(self, page: str, content: Any, method: str = "POST", *, token: str = TOKEN) -> Any:
        """Send a page's form for a method as its script does: what is written into it, as the media type it names."""
        (form,) = (form for form in forms(page) if f">{method}<" in form.replace("\n", "").replace(" ", ""))
        action = re.search(r'<form action="([^"]+)"', form)
        media_type = re.search(r'<option value="([^"]+)"', form)
        assert action is not None
        assert media_type is not None
        assert 'name="_content"' in form
        return self.client.generic(
            method,
            unescape(action[1]),
            json.dumps(content),
            content_type=media_type[1],
            headers={**BROWSER, "X-CSRFToken": token},
        )


def forms(page: str) -> list[str]:
    """Return the forms of a page into which a body can be written."""
    return [form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if "<textarea" in form]


def links(page: str) -> set[str]:
    """Return the addresses of the API to which a page leads."""
    return {unescape(link) for link in re.findall(r'href="([^"#]+)"', page) if f"{ROOT}/staff/" in link}


@pytest.fixture
def browser(db: None) -> Browser:
    """Return the browser of who may do everything."""
    return Browser(get_user_model().objects.create_superuser("boss"))


@pytest.mark.parametrize("path", LISTS)
def test_a_list_without_rows_is_a_page(browser: Browser, path: str) -> None:
    page = browser.open(path)

    assert "HTTP 200 OK" in page
    assert "results" in page
    assert "server error" not in page.lower()


def test_lists_with_many_rows_are_pages_whose_links_all_lead_on(browser: Browser, payment: Payment) -> None:
    for number in range(12):
        RefundReason.objects.create(label=f"Reason {number}")
        WebhookEventFactory.create(session=payment.session)
        services.create_payment_collection(amount="1.00", currency_code="eur")

    for path in LISTS:
        page = browser.open(f"{path}?limit=5" if "payment-providers" not in path else path)
        for link in links(page):
            browser.open(link.removeprefix("http://testserver").removeprefix(f"{ROOT}/"))
    following = {link for link in links(browser.open("staff/refund-reasons/?limit=5")) if "cursor=" in link}
    assert len(following) == 1
    assert "Reason 6" in browser.open(following.pop().partition(f"{ROOT}/")[2])


def test_every_page_of_a_row_and_of_an_action_has_the_forms_of_its_methods(
    browser: Browser, payment: Payment
) -> None:
    keys = keys_of(payment)
    methods: dict[str, set[str]] = {}
    for route in ROUTES:
        if route.path.startswith("staff/"):
            methods.setdefault(route.path, set()).add(route.method)

    for path, known in methods.items():
        page = browser.open(filled(path, keys), status=200 if "GET" in known else 405)
        written = {method for method in ("POST", "PUT", "PATCH") if method in known}
        shown = "".join(forms(page)).replace("\n", "").replace(" ", "")
        assert {method for method in ("POST", "PUT", "PATCH") if f">{method}<" in shown} == written, path
        assert ('data-method="DELETE"' in page) == ("DELETE" in known), path


def test_forms_do_what_they_say(browser: Browser, payment: Payment) -> None:
    created = browser.submit(browser.open("staff/refund-reasons/"), {"label": "Late"})
    captured = browser.submit(
        browser.open(f"staff/payments/{payment.pk}/capture/", status=405), {"amount": "40.00"}
    )
    reason = RefundReason.objects.get()
    page = browser.open(f"staff/refund-reasons/{reason.pk}/")
    changed = browser.submit(page, {"description": "Too late"}, "PATCH")
    refused = browser.submit(page, {"label": ""}, "PUT")

    assert (created.status_code, captured.status_code, changed.status_code) == (201, 200, 200)
    assert "40.00" in captured.content.decode()
    assert (refused.status_code, "label" in refused.content.decode()) == (400, True)
    reason.refresh_from_db()
    assert (reason.label, reason.description) == ("Late", "Too late")
    payment.refresh_from_db()
    assert payment.captured_amount == 40


def test_a_form_without_the_csrf_token_does_nothing(browser: Browser, payment: Payment) -> None:
    page = browser.open(f"staff/payments/{payment.pk}/capture/", status=405)

    refused = browser.submit(page, {"amount": "40.00"}, token="")

    assert refused.status_code == 403
    payment.refresh_from_db()
    assert payment.captured_amount == 0


def test_who_may_only_look_is_offered_no_form(make_staff: MakeStaff, payment: Payment) -> None:
    browser = Browser(make_staff("view_refundreason", "view_payment").user)
    reason = RefundReason.objects.create(label="Late")

    for path in ("staff/refund-reasons/", f"staff/refund-reasons/{reason.pk}/"):
        page = browser.open(path)
        assert forms(page) == []
        assert 'data-method="DELETE"' not in page


def test_errors_are_pages_too(browser: Browser, payment: Payment) -> None:
    assert "not_found" in browser.open("staff/payments/pay_0/", status=404)
    assert "unknown_parameter" in browser.open("staff/payments/?nonsense=1", status=400)
    anonymous = Client().get(f"{ROOT}/staff/payments/", headers=BROWSER)
    assert (anonymous.status_code, "not_authenticated" in anonymous.content.decode()) == (401, True)
