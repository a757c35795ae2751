"""docs/storefront.md: what a reader is told to send is sent, in curl and in JavaScript, and answered as shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest

from example_project.walkthrough.servers import temporary_shop
from tests.docs.codes import ROOT
from tests.docs.examples import Answer, Names, Step, steps
from tests.docs.following import SHOP, assert_as_shown, follow_in_curl
from tests.programs import program, run

PAGE: Final = ROOT / "docs" / "storefront.md"
LOGGED_IN: Final = "9. Logged-in customers"


@pytest.fixture
def site() -> Iterator[str]:
    """Return the address of the shop that the page is about: the demo's."""
    with temporary_shop() as url:
        yield url


def cookies_of(site: str, name: str) -> dict[str, str]:
    """Return the cookies of a browser in which somebody has logged in."""
    jar = CookieJar()
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(jar))
    address = f"{site}/shop/login/"
    browser.open(address)
    token = next(cookie.value for cookie in jar if cookie.name.endswith("csrftoken"))
    form = urlencode({"username": name, "password": "demo", "csrfmiddlewaretoken": token})
    browser.open(address, form.encode())
    return {cookie.name: str(cookie.value) for cookie in jar}


@pytest.mark.thorough
@pytest.mark.database_independent
def test_every_curl_command_is_answered_as_shown(site: str, tmp_path: Path) -> None:
    follow_in_curl(PAGE, site, tmp_path)


@pytest.mark.thorough
@pytest.mark.database_independent
def test_every_request_in_javascript_is_answered_as_shown(site: str, tmp_path: Path) -> None:
    names = Names(known={SHOP: site})
    pieces = steps(PAGE, "js")
    shutil.copy(ROOT / "tests/docs/browser.mjs", tmp_path)
    module = _module(pieces, cookies_of(site, "kim"))
    (tmp_path / "page.mjs").write_text(names.put_in(module), encoding="utf-8")

    done = run(program("node"), "page.mjs", folder=tmp_path)

    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
    for step, got in zip([step for step in pieces if step.answer], answers, strict=False):
        assert_as_shown(names, step, got)
    assert done.returncode == 0, done.stderr


def _module(pieces: list[Step], cookies: dict[str, str]) -> str:
    """Return the page's JavaScript as one program, in a browser where the customer logs in at the right moment."""
    program = ['import { endStep, logIn } from "./browser.mjs";']
    sections: list[str] = []
    for step in pieces:
        if step.section == LOGGED_IN not in sections:
            program.append(f"logIn({json.dumps(cookies)});")
        sections.append(step.section)
        program.append(step.program)
        if step.answer:
            program.append("await endStep();")
    return "\n".join(program)


@pytest.mark.database_independent
def test_every_request_is_shown_in_both_languages() -> None:
    answers = {
        language: [step.answer for step in steps(PAGE, language) if step.answer] for language in ("sh", "js")
    }

    assert answers["sh"] == answers["js"]
    assert len(answers["sh"]) > 20
    for language in ("sh", "js"):
        sending = [step for step in steps(PAGE, language) if step.answer]
        assert all("curl" in step.program for step in sending) or language == "js"


@pytest.mark.database_independent
@pytest.mark.parametrize(
    ("got", "difference"),
    [
        ({"id": "pay_1", "status": "open", "rows": ["a"]}, None),
        ({"id": "pay_2", "status": "open", "rows": ["a"]}, "body.id: 'pay_1', not 'pay_2'"),
        ({"id": "pay_1", "status": "shut", "rows": ["a"]}, "body.status: 'open', not 'shut'"),
        ({"id": "pay_1", "status": "open", "rows": []}, "body.rows: ['a'], not []"),
        ({"id": "pay_1", "rows": ["a"]}, "body: status is missing"),
        ({"id": "pay_1", "status": "open", "rows": ["a"], "secret": 1}, "body: ['secret'] is there too"),
    ],
)
def test_an_answer_that_differs_is_noticed(got: dict[str, Any], difference: str | None) -> None:
    names = Names()
    first = Answer(status=200, headers={}, body='{"id": "pay_1", "more": 1}')
    assert names.differences('200 OK\n\n{"id": "pay_…1", "…": "…"}', first) == []
    shown = '200 OK\n\n{"id": "pay_…1", "status": "open", "rows": ["a"]}'

    found = names.differences(shown, Answer(status=200, headers={}, body=json.dumps(got)))

    assert found == ([] if difference is None else [difference])
    wrong = Answer(status=201, headers={"location": "/b"}, body="")
    assert names.differences("200 OK\nLocation: /a", wrong) == [
        "status: 200, not 201",
        "headers.location: '/a', not '/b'",
    ]
