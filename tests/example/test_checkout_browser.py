"""The checkout in a browser, with more than one window on the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.admin.browsing import Chromium, running_chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.thorough,
    pytest.mark.database_independent,
    pytest.mark.xdist_group("example"),
]

FORM = "#payment:not([hidden])"
IDLE = "#checkout[aria-busy=false]"
ELSEWHERE = "#messages >> text=This was paid in another window."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def window(chromium: Chromium) -> Iterator[Page]:
    yield chromium.open()
    chromium.close_all()


def _order(window: Page, shop_url: str) -> str:
    """Order as a guest, and return the address of the checkout."""
    window.goto(f"{shop_url}/shop/")
    window.click("form[action$='/beacon/'] button")
    window.fill("#id_email", "guest@example.com")
    window.click("form[action$='cart/order/'] button")
    window.wait_for_selector(FORM)
    return window.url


def _second(window: Page, checkout: str) -> Page:
    """Open the checkout in a second tab of the same window."""
    tab = window.context.new_page()
    tab.goto(checkout)
    tab.wait_for_selector(FORM)
    tab.wait_for_selector(IDLE)
    return tab


def _pay(tab: Page) -> None:
    tab.evaluate("document.getElementById('pay').click()")


def _drop(tab: Page) -> None:
    tab.evaluate("document.querySelector('#parts button').click()")


def _come_back(tab: Page) -> None:
    tab.evaluate("window.dispatchEvent(new Event('focus'))")


def _approve(tab: Page) -> None:
    tab.fill("input[name=code]", "123456")
    tab.click("text=Approve")


def _is_confirmed(tab: Page, checkout: str) -> None:
    tab.wait_for_url(checkout.removesuffix("pay/"))
    assert tab.inner_text(".chip >> nth=0") == "Confirmed"


@pytest.mark.parametrize("act", [_pay, _come_back])
def test_window_that_is_old_says_that_another_has_paid(
    act: Callable[[Page], None], chromium: Chromium, window: Page, shop_url: str
) -> None:
    def steps(window: Page) -> None:
        checkout = _order(window, shop_url)
        old = _second(window, checkout)
        window.click("#pay")
        _is_confirmed(window, checkout)
        act(old)
        old.wait_for_selector(ELSEWHERE)
        _is_confirmed(old, checkout)

    chromium.do(steps, window)


def test_old_window_does_not_pay_beside_the_bank_or_drop_its_approval(
    chromium: Chromium, window: Page, shop_url: str
) -> None:
    def steps(window: Page) -> None:
        checkout = _order(window, shop_url)
        old = _second(window, checkout)
        window.check("input[value=card_3ds]")
        window.click("#pay")
        window.wait_for_selector("text=Approve")
        _pay(old)
        old.wait_for_selector("#parts >> text=Your bank asks for a code")
        old.wait_for_selector(IDLE)
        assert old.is_hidden("#payment")
        assert old.locator("#parts li").count() == 1
        _approve(window)
        _is_confirmed(window, checkout)
        _drop(old)
        old.wait_for_selector(ELSEWHERE)
        _is_confirmed(old, checkout)

    chromium.do(steps, window)


def test_guest_who_logs_in_elsewhere_pays_in_the_window_that_is_open(
    chromium: Chromium, window: Page, shop_url: str
) -> None:
    def steps(window: Page) -> None:
        checkout = _order(window, shop_url)
        other = window.context.new_page()
        other.goto(f"{shop_url}/shop/login/")
        other.fill("#id_username", "mia")
        other.fill("#id_password", "demo")
        other.press("#id_password", "Enter")
        other.wait_for_url("**/shop/orders/")
        _pay(window)
        _is_confirmed(window, checkout)
        other.reload()
        assert checkout.split("/")[-3] in other.inner_text("main")

    chromium.do(steps, window)


def test_refusal_has_the_focus_and_another_card_pays(chromium: Chromium, window: Page, shop_url: str) -> None:
    def steps(window: Page) -> None:
        checkout = _order(window, shop_url)
        window.check("input[value=card_declined]")
        window.focus("#pay")
        window.keyboard.press("Enter")
        window.wait_for_selector("#messages:focus >> text=The card was declined.")
        window.wait_for_selector(IDLE)
        window.check("input[value=card_ok]")
        window.click("#pay")
        _is_confirmed(window, checkout)

    chromium.do(steps, window)


def test_part_that_the_shop_has_prepared_is_paid_before_the_rest(
    chromium: Chromium, window: Page, shop_url: str
) -> None:
    def steps(window: Page) -> None:
        checkout = _order(window, shop_url)
        # It stands for one of the shop's: what is left behind here, and can't be canceled.
        refusal = '{"type": "invalid_state", "code": "made_by_shop", "message": "No."}'
        window.route("**/cancel/", lambda route: route.fulfill(status=409, body=refusal))
        window.route("**/authorize/", lambda route: route.abort())
        window.click("#pay")
        window.wait_for_selector("#messages >> text=can't be reached", timeout=30_000)
        window.unroute("**/authorize/")
        window.wait_for_selector(IDLE)
        window.click("#pay")
        window.wait_for_selector("#messages >> text=This pays the part that the shop has prepared.")
        assert window.is_hidden("#methods")
        window.click("#pay")
        _is_confirmed(window, checkout)

    chromium.do(steps, window)
