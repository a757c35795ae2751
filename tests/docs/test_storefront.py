"""docs/storefront.md: what a reader is told to send is sent, in curl and in JavaScript, and answered as shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils.crypto import get_random_string

from payments.models import PaymentCollection
from payments.providers.account_holders import ListMethodsResult, SavedPaymentMethod
from payments.simulator import SimulatorService
from payments.states import Outcome
from payments.testing import Script
from payments.testing.scripted import ScriptedProvider
from payments.testing.settings import configured_provider
from tests.docs.codes import ROOT
from tests.docs.examples import Answer, Names, Step, read_answer, steps
from tests.programs import missing, program, run
from tests.served import simulator_beside
from tests.shop.models import Order

PAGE: Final = ROOT / "docs" / "storefront.md"
SHOP: Final = "http://127.0.0.1:8000"
LOGGED_IN: Final = "9. Logged-in customers"

SAVED: Final = SavedPaymentMethod(id="pm_1", type="card", brand="visa", last4="4242", expires="2034-12")


class Wallet(ScriptedProvider):
    """Keep payment methods for customers, as Stripe does."""

    verbose_name = "Wallet"


@pytest.fixture
def site(live_server: Any, transactional_db: None) -> Iterator[str]:
    """Return the address of the shop that the page is about."""
    script = Script()
    script.next("list_methods", ListMethodsResult(outcome=Outcome.SUCCEEDED, methods=(SAVED,)))
    wallet = {"BACKEND": f"{__name__}.{Wallet.__qualname__}", "OPTIONS": {"script": script}}
    with configured_provider("wallet", wallet):
        yield live_server.url


@pytest.fixture
def simulator(site: str) -> Iterator[SimulatorService]:
    with simulator_beside(site) as service:
        yield service


@pytest.fixture
def cookies(simulator: SimulatorService) -> dict[str, str]:
    """Return the cookies of the browser in which a customer has logged in; their order and others' are placed."""
    kim = get_user_model().objects.create_user("kim", email="kim@shopper.example")
    orders = (("A-1", "100", "eur", None), ("B-2", "50", "eur", None), ("C-3", "1000", "jpy", None))
    for number, total, currency, customer in (*orders, ("D-4", "25", "eur", kim)):
        Order.objects.create(number=number, total=total, currency_code=currency, customer=customer)
    client = Client()
    client.force_login(kim)
    return {"sessionid": client.cookies["sessionid"].value, "csrftoken": get_random_string(32)}


def assert_as_shown(names: Names, step: Step, got: Answer) -> None:
    assert step.answer is not None
    differences = names.differences(step.answer, got)
    assert differences == [], f"after\n{step.program}\ncame\n{got.status}\n{got.body}"


def assert_paid() -> None:
    """Assert that what the page ends with is in the books."""
    rows = PaymentCollection.objects.order_by("created_at")
    assert [(row.status, row.authorized_amount) for row in rows] == [
        ("authorized", Decimal(100)),
        ("authorized", Decimal(50)),
        ("not_paid", Decimal(0)),
        ("not_paid", Decimal(0)),
    ]


@pytest.mark.thorough
def test_every_curl_command_is_answered_as_shown(site: str, cookies: dict[str, str], tmp_path: Path) -> None:
    if "--json" not in run(program("curl"), "--help", "all", folder=tmp_path).stdout:
        missing("curl is older than 7.82.")
    names, known = Names(known={SHOP: site}), ""
    environment = {name.upper(): value for name, value in cookies.items()}
    for step in steps(PAGE, "sh"):
        text = names.put_in(step.program)
        if step.is_assignment:
            known += text
            continue
        done = run(program("bash"), "-euo", "pipefail", "-c", known + text, folder=tmp_path, **environment)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        last = done.stdout.rpartition("HTTP/1.1 ")[2]
        assert_as_shown(names, step, read_answer(last))
    assert_paid()


@pytest.mark.thorough
def test_every_request_in_javascript_is_answered_as_shown(
    site: str, cookies: dict[str, str], tmp_path: Path
) -> None:
    names = Names(known={SHOP: site})
    pieces = steps(PAGE, "js")
    shutil.copy(ROOT / "tests/docs/browser.mjs", tmp_path)
    (tmp_path / "page.mjs").write_text(names.put_in(_module(pieces, cookies)), encoding="utf-8")

    done = run(program("node"), "page.mjs", folder=tmp_path)

    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
    for step, got in zip([step for step in pieces if step.answer], answers, strict=False):
        assert_as_shown(names, step, got)
    assert done.returncode == 0, done.stderr
    assert_paid()


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
