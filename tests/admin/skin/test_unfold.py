"""Every page under django-unfold, seen in a browser: by day, by night and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.admin.browsing import (
    DESK,
    NO_CONTRAST,
    ONLY_CONTRAST,
    PHONE,
    Chromium,
    log_in,
    own_barriers,
    sticks_out,
    unreachable_buttons,
)
from tests.admin.skin.sites import Site, served_site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.thorough,
    pytest.mark.database_independent,
    pytest.mark.xdist_group("browser"),
]

CONFIRM = "button.payments-primary"
COLOURFUL = {
    "application",
    "overview",
    "list of PaymentCollection",
    "list of PaymentProvider",
    "list of Refund",
    "PaymentCollection",
    "PaymentOperation",
    "collection with a plan",
    "saved methods",
    "refund",
    "resolve",
}
"""The pages on which, together, everything that has a colour is: contrast is the dearest of axe's questions."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return an admin under django-unfold, with a row of every kind."""
    with served_site(tmp_path_factory.mktemp("skin")) as site:
        yield site


class Watch:
    """Keep what a window's console says is wrong. No shop is here that has an icon."""

    def __init__(self, window: Page) -> None:
        self._errors: list[str] = []
        window.on("console", self._keep)
        window.on("pageerror", lambda error: self._errors.append(str(error)))

    def taken(self) -> list[str]:
        """Return what was wrong since this was asked last."""
        errors, self._errors = self._errors, []
        return errors

    def _keep(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self._errors.append(message.text)


def faults(window: Page) -> list[str]:
    """Return what is wrong with the page as it is shown."""
    return own_barriers(window) + unreached(window)


def unreached(window: Page) -> list[str]:
    """Return what can't be got at."""
    return [*unreachable_buttons(window), *(["sticks out"] if sticks_out(window) else [])]


def faults_in_every_look(window: Page, *, has_all_colours: bool) -> list[str]:
    """Return what is wrong with the page by day, by night, and on a phone by night.

    One loading is made to do for all three: what the skin's own script does at night is to set this class.
    """
    window.emulate_media(color_scheme="light")
    window.set_viewport_size(DESK)
    found = [f"by day: {fault}" for fault in own_barriers(window, None if has_all_colours else NO_CONTRAST)]
    window.emulate_media(color_scheme="dark")
    window.evaluate("document.documentElement.className = 'dark'")
    if has_all_colours:
        window.add_style_tag(content="* { transition: none !important; }")
        found += [f"by night: {fault}" for fault in own_barriers(window, ONLY_CONTRAST)]
    window.set_viewport_size(PHONE)
    return found + [f"on a phone: {fault}" for fault in unreached(window)]


def test_every_page_is_whole_and_has_no_barriers(chromium: Chromium, site: Site) -> None:
    window = chromium.open()
    watch = chromium.do(Watch, window)
    chromium.do(lambda page: log_in(page, site.url, "olivia"), window)
    found = {}
    assert site.pages.keys() >= COLOURFUL
    for name in site.pages:

        def check(page: Page, url: str = site.page(name), colourful: bool = name in COLOURFUL) -> list[str]:
            answer = page.goto(url)
            assert answer is not None
            assert answer.status == 200, url
            assert page.locator("link[href*='unfold/css/styles']").count() == 1, "this isn't the skin"
            return faults_in_every_look(page, has_all_colours=colourful) + watch.taken()

        found[name] = chromium.do(check, window)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_collection_is_found_by_email_and_captured_in_part(chromium: Chromium, site: Site) -> None:
    def capture(window: Page) -> None:
        watch = Watch(window)
        log_in(window, site.url, "olivia")
        window.goto(site.page("list of PaymentCollection"))
        window.fill("#searchbar", "carla@shop")
        window.press("#searchbar", "Enter")
        window.click("#result_list tbody th a")
        window.click("#payments >> text=Capture…")
        window.fill("#id_amount", "a few")
        window.click(CONFIRM)
        assert "Write the amount" in window.inner_text("[role=alert]")
        assert faults(window) == []
        window.fill("#id_amount", "25")
        window.click(CONFIRM)
        assert "25.00 EUR will be taken from the payer" in window.inner_text("#content-main")
        assert faults(window) == []
        window.click(CONFIRM)
        window.wait_for_selector("text=25.00 EUR was captured. 35.00 EUR is still held.")
        assert "/paymentcollection/" in window.url
        assert window.inner_text(".payments-figures div:nth-child(3) dd") == "25.00 EUR"
        assert watch.taken() == []
        window.goto(site.page("held payment"))
        assert window.locator("nav.payments-actions a").all_inner_texts() == [
            "Capture…",
            "Refund…",
            "Release…",
            "Sync",
        ]

    chromium.do(capture, chromium.open())


def test_many_rows_are_captured_on_a_phone_in_the_dark(chromium: Chromium, site: Site) -> None:
    def capture(window: Page) -> tuple[str, int, int]:
        watch = Watch(window)
        log_in(window, site.url, "olivia")
        window.goto(site.page("list of Payment"))
        for box in window.locator("input.action-select").all():
            box.check()
        window.select_option("select[name=action]", "capture")
        window.click("button[name=index]")
        total = window.inner_text(".payments-total")
        assert faults(window) == []
        window.click(CONFIRM)
        window.wait_for_selector("text=Finished: all went well.")
        assert faults(window) + watch.taken() == []
        return (
            total,
            window.locator(".payments-result").count(),
            window.locator("progress:visible").count(),
        )

    total, results, bars = chromium.do(capture, chromium.open(viewport=PHONE, color_scheme="dark"))
    assert "4,800 JPY" in total
    assert (results, bars) == (3, 1)
