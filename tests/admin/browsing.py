"""Chromium for tests, in a thread of its own.

Playwright's synchronous interface keeps an event loop in its thread, and Django refuses the database to such a thread.
So pages are driven there, and rows are made and looked at in the test's own thread.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

T = TypeVar("T")
SECONDS: Final = 120.0
"""A busy machine is slow, not wrong."""

_IS_OURS: Final = """(element) =>
    element.closest('[class^="payments-"], [class*=" payments-"]:not(body)') !== null"""
_UNREACHABLE: Final = """() => [...document.querySelectorAll('.payments-button')].filter((button) => {
    button.scrollIntoView({block: 'center'});
    const {x, y, width, height} = button.getBoundingClientRect();
    return !button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}).map((button) => button.textContent)"""

ONLY_CONTRAST: Final = {"runOnly": ["color-contrast"]}
NO_CONTRAST: Final = {"rules": {"color-contrast": {"enabled": False}}}

PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
DESK: Final[ViewportSize] = {"width": 1280, "height": 900}


class Chromium:
    """Drive one browser; every call runs in its thread."""

    def __init__(self, thread: ThreadPoolExecutor, browser: Browser) -> None:
        self._thread, self._browser = thread, browser

    def do(self, steps: Callable[[Page], T], page: Page) -> T:
        """Take steps on a page, and return what they return."""
        return self._thread.submit(steps, page).result(timeout=SECONDS)

    def open(self, **options: Any) -> Page:
        """Open a page in a window that shares nothing with others."""
        return self._thread.submit(self._open, options).result(timeout=SECONDS)

    def close_all(self) -> None:
        """Close every window."""
        self._thread.submit(self._close_all).result(timeout=SECONDS)

    def _close_all(self) -> None:
        for context in self._browser.contexts:
            context.close()

    def _open(self, options: dict[str, Any]) -> Page:
        page = self._browser.new_context(**{"viewport": DESK, "locale": "en", **options}).new_page()
        page.set_default_timeout(SECONDS * 500)
        return page


def chromium_path() -> str | None:
    """Return where Chromium is: `CHROMIUM` says so, or it is on the path."""
    named = os.environ.get("CHROMIUM")
    return (
        named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    )


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    """Start a browser. Where there is none the tests are skipped, except in CI: there it is a failure."""
    path = chromium_path()
    if path is None:
        missing = "Chromium isn't installed (apt-get install chromium), or CHROMIUM doesn't name it."
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="chromium") as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result(timeout=SECONDS)
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = thread.submit(
            lambda: playwright.chromium.launch(executable_path=path, args=arguments)
        ).result(timeout=SECONDS)
        try:
            yield Chromium(thread, browser)
        finally:
            thread.submit(browser.close).result(timeout=SECONDS)
            thread.submit(playwright.stop).result(timeout=SECONDS)


def log_in(page: Page, site: str, name: str) -> None:
    """Log in through the admin's own form."""
    page.goto(f"{site}/admin/login/?next=/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", "password")
    page.press("#id_password", "Enter")
    page.wait_for_url("**/admin/")


def barriers(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    """Return what axe finds wrong with the page's content, in a line each; `options` are axe's own.

    The search bar of stock Django is left out: its label is a picture, and its links are not underlined.
    """
    context = {"include": [["#content"]], "exclude": [["#changelist-search"]]}
    return [fault for _target, fault in _faults(page, context, options)]


def faults_in_every_look(page: Page, locale: str) -> list[str]:
    """Return what is wrong with the page, loaded once: by day, by night and on a phone, and in Arabic from the right.

    Arabic has the colours that English has, and is looked through on the phone.
    """
    page.add_style_tag(content="* { transition: none !important; }")
    wide = ["sticks out"] if sticks_out(page) else []
    if locale == "en":
        wide += barriers(page)
        page.emulate_media(color_scheme="dark")
        wide += [f"by night: {each}" for each in barriers(page, ONLY_CONTRAST)]
        page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    narrow = ["sticks out"] if sticks_out(page) else []
    if locale == "ar":
        narrow += barriers(page, NO_CONTRAST)
    page.set_viewport_size(DESK)
    return wide + [f"on a phone: {each}" for each in narrow]


def sticks_out(page: Page) -> bool:
    """Return whether the page is wider than its window."""
    return bool(
        page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")
    )


def own_barriers(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    """Return what axe finds wrong with what is ours on the page; `options` are axe's own.

    What a skin lacks around it is the skin's.
    """
    return [
        fault
        for target, fault in _faults(page, "#content", options)
        if page.locator(target).evaluate(_IS_OURS)
    ]


def unreachable_buttons(page: Page) -> list[str]:
    """Return our buttons that nobody can press, since something lies over them wherever one scrolls."""
    return [str(each) for each in page.evaluate(_UNREACHABLE)]


def _faults(page: Page, context: Any, options: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield where axe finds something wrong, and what; it isn't asked what is right, which takes longer to tell."""
    found = Axe().run(page, context=context, options={"resultTypes": ["violations"], **(options or {})})
    for each in found.response["violations"]:
        for node in each["nodes"]:
            yield node["target"][0], f"{each['id']}: {node['target']} {node['failureSummary']}"
