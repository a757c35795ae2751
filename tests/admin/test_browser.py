"""What an operator does in a browser, from logging in to reading the message."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from playwright.sync_api import Page

from payments.models import Payment, PaymentCollection, Refund
from payments.services import capture_payment, create_installment_plan, refund_payment
from tests.admin.acting import action_url
from tests.admin.browsing import Chromium, faults_in_every_look, log_in
from tests.admin.pages import listing, page
from tests.admin.scenes import make_attention, make_authorized, make_collection, make_customer, make_eventful
from tests.admin.test_overview import overview

pytestmark = [
    pytest.mark.browser,
    pytest.mark.thorough,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
]

CONFIRM = "button.payments-primary"


@pytest.fixture
def desk(chromium: Chromium, live_server: Any, olivia: Any) -> Page:
    """Return the window of a superuser who has logged in."""
    window = chromium.open()
    chromium.do(lambda page: log_in(page, live_server.url, olivia.username), window)
    return window


def _messages(page: Page) -> str:
    return page.inner_text(".messagelist")


def test_collection_is_found_by_email_and_captured_in_part(
    chromium: Chromium, desk: Page, live_server: Any
) -> None:
    make_authorized(make_collection("10.00", customer=make_customer("ben")))
    payment = make_authorized(make_collection("60.00", customer=make_customer("anna")))

    def capture(page: Page) -> str:
        page.goto(live_server.url + listing(PaymentCollection))
        page.fill("#searchbar", "anna@shop")
        page.press("#searchbar", "Enter")
        page.click("#result_list tbody tr th a")
        page.click("#payments >> text=Capture…")
        page.fill("#id_amount", "25")
        page.click(CONFIRM)
        assert "25.00 EUR will be taken from the payer" in page.inner_text("#content-main")
        page.click(CONFIRM)
        assert "/paymentcollection/" in page.url
        return _messages(page)

    assert chromium.do(capture, desk) == "25.00 EUR was captured. 35.00 EUR is still held."
    payment.refresh_from_db()
    assert payment.captured_amount == Decimal("25.00")


def test_double_click_refunds_once(chromium: Chromium, desk: Page, live_server: Any) -> None:
    payment = capture_payment(make_authorized(make_collection("60.00")))

    def refund(window: Page) -> str:
        window.goto(live_server.url + action_url(payment, "refund"))
        window.fill("#id_amount", "10.00")
        window.click(CONFIRM)
        window.dblclick(CONFIRM)
        window.wait_for_url(f"**{page(payment)}")
        return _messages(window)

    assert chromium.do(refund, desk)
    assert [refund.amount for refund in Refund.objects.all()] == [Decimal("10.00")]


def test_page_that_is_old_is_refused(chromium: Chromium, desk: Page, live_server: Any) -> None:
    payment = capture_payment(make_authorized(make_collection("60.00")))

    def review(window: Page) -> None:
        window.goto(live_server.url + action_url(payment, "refund"))
        window.click(CONFIRM)
        window.wait_for_selector("text=60.00 EUR will go back")

    def confirm(window: Page) -> str:
        window.click(CONFIRM)
        return window.inner_text("[role=alert]")

    chromium.do(review, desk)
    refund_payment(payment, amount="5.00")
    assert "This has changed since you opened the page" in chromium.do(confirm, desk)
    assert Refund.objects.count() == 1


def test_two_operators_at_once(chromium: Chromium, desk: Page, live_server: Any) -> None:
    payment = make_authorized(make_collection("60.00"))
    get_user_model().objects.create_superuser("carl", password="password")
    other = chromium.open()
    chromium.do(lambda window: log_in(window, live_server.url, "carl"), other)
    for window in (desk, other):
        chromium.do(lambda each: each.goto(live_server.url + action_url(payment, "cancel")), window)

    def confirm(window: Page) -> str:
        window.click(CONFIRM)
        window.wait_for_url(f"**{page(payment)}")
        return _messages(window)

    assert chromium.do(confirm, desk) == "60.00 EUR was released."
    assert chromium.do(confirm, other) == (
        "Olivia has already acted on this. You changed nothing. 60.00 EUR was released."
    )


def test_attention_is_found_and_resolved(chromium: Chromium, desk: Page, live_server: Any) -> None:
    operation = make_attention()

    def resolve(window: Page) -> str:
        window.goto(live_server.url + listing(PaymentCollection))
        window.click("text=1 operation needs attention")
        window.click("#result_list tbody tr th a")
        window.click("text=Resolve…")
        window.check("input[name=has_happened][value=no]")
        window.fill("#id_reason", "Not in the dashboard.")
        window.click(CONFIRM)
        window.click(CONFIRM)
        return _messages(window)

    assert chromium.do(resolve, desk) == "The operation is resolved. Status: Declined."
    operation.refresh_from_db()
    assert operation.resolution_reason == "Not in the dashboard."


def test_viewer_sees_no_buttons_and_is_turned_away(chromium: Chromium, live_server: Any) -> None:
    payment = capture_payment(make_authorized(make_collection("60.00")), amount="20.00")
    vic = get_user_model().objects.create_user("vic", password="password", is_staff=True)
    vic.user_permissions.set(
        Permission.objects.filter(content_type__app_label="payments", codename__startswith="view_")
    )
    window = chromium.open()
    urls = [page(payment), page(payment.collection)]

    def look(page_: Page) -> list[int]:
        log_in(page_, live_server.url, "vic")
        for url in urls:
            page_.goto(live_server.url + url)
            assert page_.locator("a.payments-button").count() == 0
        answers = [page_.goto(live_server.url + action_url(payment, slug)) for slug in ("capture", "refund")]
        return [answer.status for answer in answers if answer is not None]

    assert chromium.do(look, window) == [403, 403]


def test_many_rows_are_captured_with_a_result_each(chromium: Chromium, desk: Page, live_server: Any) -> None:
    for amount in ("10.00", "20.00", "30.00"):
        make_authorized(make_collection(amount))

    def capture(window: Page) -> tuple[int, int]:
        window.goto(live_server.url + listing(Payment))
        window.check("#action-toggle")
        window.select_option("select[name=action]", "capture")
        window.click("button[name=index]")
        assert "60.00 EUR" in window.inner_text(".payments-total")
        window.click(CONFIRM)
        window.wait_for_selector("text=Finished: all went well.")
        return window.locator(".payments-result").count(), window.locator("progress:visible").count()

    assert chromium.do(capture, desk) == (3, 1)


def test_action_can_be_taken_with_the_keyboard_alone(
    chromium: Chromium, desk: Page, live_server: Any
) -> None:
    payment = make_authorized(make_collection("60.00"))

    def capture(window: Page) -> str:
        window.goto(live_server.url + action_url(payment, "capture"))
        window.focus("#id_amount")
        window.keyboard.press("Enter")
        window.wait_for_selector("input[name=confirmed]", state="attached")
        window.focus(CONFIRM)
        window.keyboard.press("Enter")
        window.wait_for_url(f"**{page(payment)}")
        return _messages(window)

    assert chromium.do(capture, desk) == "60.00 EUR was captured."


@pytest.mark.parametrize("locale", ["en", "ar"])
def test_pages_have_no_barriers(locale: str, chromium: Chromium, live_server: Any, olivia: Any) -> None:
    collection = make_eventful(actor=olivia)
    plan = make_collection("100.00")
    create_installment_plan(plan, provider_id="card", count=3, interval="month")
    payment = collection.payments.get(provider="card")
    attention = make_attention()
    urls = [
        listing(PaymentCollection),
        page(collection),
        page(plan),
        page(payment),
        page(attention),
        action_url(payment, "refund"),
        action_url(attention, "resolve"),
        action_url(plan, "cancel"),
        overview(),
    ]

    def check(window: Page) -> dict[str, list[str]]:
        log_in(window, live_server.url, olivia.username)
        found = {}
        for url in urls:
            window.goto(live_server.url + url)
            found[url] = faults_in_every_look(window, locale)
            assert window.get_attribute("html", "dir") == ("rtl" if locale == "ar" else "ltr")
        return {url: wrong for url, wrong in found.items() if wrong}

    assert chromium.do(check, chromium.open(locale=locale)) == {}
