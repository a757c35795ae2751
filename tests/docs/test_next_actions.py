"""docs/storefront.md, "Follow the next action": what a page's script does with each action, whatever the provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.examples import steps
from tests.docs.test_storefront import PAGE
from tests.programs import program, run

pytestmark = [pytest.mark.thorough, pytest.mark.database_independent]

BROWSER: Final = """
const done = [];
const location = { assign: (url) => done.push(["goes to", url]) };
const prompt = (text) => (done.push(["asks", text]), "123456");
const ask = async (...request) => done.push(["sends", ...request]);
"""
"""Stands for a browser and for the page's function that sends a request; notes what is done."""

ADDRESS: Final = "payment-sessions/payses_1/authorize/"


def followed(folder: Path, action: dict[str, Any], *, scripts: str = "") -> list[Any]:
    """Return what the page's script does to follow an action of a session with "wallet"."""
    follow = next(step.program for step in steps(PAGE, "js") if "function follow(" in step.program)
    session = {"id": "payses_1", "provider_id": "wallet", "data": {"token": "tok"}, "next_action": action}
    lines = [
        BROWSER,
        follow,
        scripts,
        f"await follow({json.dumps(session)});",
        "console.log(JSON.stringify(done));",
    ]
    (folder / "page.mjs").write_text("\n".join(lines), encoding="utf-8")
    ran = run(program("node"), "page.mjs", folder=folder)
    assert ran.returncode == 0, ran.stderr
    did: list[Any] = json.loads(ran.stdout)
    return did


@pytest.mark.parametrize("kind", ["redirect", "challenge"])
def test_an_action_with_a_page_leads_there(tmp_path: Path, kind: str) -> None:
    assert followed(tmp_path, {"type": kind, "url": "https://bank.example/"}) == [
        ["goes to", "https://bank.example/"]
    ]


def test_a_challenge_without_a_page_asks_for_the_code(tmp_path: Path) -> None:
    assert followed(tmp_path, {"type": "challenge", "url": None}) == [
        ["asks", "Your code"],
        ["sends", "POST", ADDRESS, {"data": {"code": "123456"}}],
    ]


def test_what_the_providers_script_says_is_authorized_with(tmp_path: Path) -> None:
    scripts = 'scripts.wallet = async (data) => (done.push(["runs with", data]), { nonce: "n_1" });'
    assert followed(tmp_path, {"type": "provider_script", "url": None}, scripts=scripts) == [
        ["runs with", {"token": "tok"}],
        ["sends", "POST", ADDRESS, {"data": {"nonce": "n_1"}}],
    ]


def test_a_script_that_says_nothing_is_followed_by_authorizing_without_data(tmp_path: Path) -> None:
    scripts = "scripts.wallet = async () => {};"
    sent = followed(tmp_path, {"type": "provider_script", "url": None}, scripts=scripts)
    assert sent == [["sends", "POST", ADDRESS, None]]
