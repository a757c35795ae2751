"""Takes the README's pictures of the admin, in Chromium, from the demo: `python docs/screenshots.py [FOLDER]`.

It needs Playwright, Pillow and Chromium (`CHROMIUM`, or /usr/bin/chromium). The demo runs on a database of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "docs" / "screenshots"
COLOURS: Final = 96


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Name a picture, the page that is on it, and how it is looked at."""

    name: str
    page: str
    width: int = 1280
    height: int = 900
    scheme: Any = "light"
    language: str = "en"
    scale: float = 1


SHOTS: Final = (
    Shot(name="collection", page="collection", height=1000),
    Shot(name="collection-phone-dark", page="collection", width=390, height=844, scheme="dark", scale=2),
    Shot(name="overview", page="overview"),
)


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo on a database of its own, and return the address of its admin."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{folder}/demo.sqlite3",
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "manage.py", "demo", "--port", "0", "--simulator-port", "0"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603
        try:
            yield _admin_address(process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def take(shots: tuple[Shot, ...], folder: Path) -> None:
    """Take pictures and put them into a folder, small."""
    folder.mkdir(parents=True, exist_ok=True)
    with demo() as admin, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        for shot in shots:
            page = _signed_in(browser, admin, shot)
            _open(page, admin, shot.page)
            target = folder / f"{shot.name}.png"
            page.screenshot(path=target)
            _compress(target)
            page.context.close()
        browser.close()


def _admin_address(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise RuntimeError("The demo's output isn't read.")
    for line in process.stdout:
        found = re.search(r"Admin\s+(http://\S+)", line)
        if found:
            return found[1]
    raise RuntimeError("The demo has ended before it told its addresses.")


def _signed_in(browser: Browser, admin: str, shot: Shot) -> Page:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme=shot.scheme,
        device_scale_factor=shot.scale,
        locale=shot.language,
    )
    page = context.new_page()
    page.goto(f"{admin}login/?next={admin[admin.index('/', 8) :]}")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    page.press("#id_password", "Enter")
    page.wait_for_load_state()
    return page


def _open(page: Page, admin: str, name: str) -> None:
    if name == "overview":
        page.goto(f"{admin}payments/paymentcollection/overview/")
        return
    page.goto(f"{admin}payments/paymentcollection/?status__exact=partially_captured")
    page.click("#result_list tbody tr:first-child th a")
    page.wait_for_load_state()


def _compress(path: Path) -> None:
    """Reduce a picture to a palette: screens have few colours."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(
            COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        ).save(path, optimize=True)


if __name__ == "__main__":
    take(SHOTS, Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
