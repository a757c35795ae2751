"""The provider's own ways: cards, challenges, amounts, addresses and keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from payments.providers import AuthorizeResult, PaymentContext
from payments.simulator.ledger import Ledger
from payments.states import Outcome
from payments.testing import SessionDriver
from payments.testing.contract.driver import fact_of
from payments.testing.contract.wire import closed_address
from tests.providers.results import refusal_of
from tests.providers.simulator.desk import Desk, post_form

pytestmark = pytest.mark.database_independent

CODE = "123456"
PAN = "4242424242424242"


def challenge(desk: Desk, return_url: str | None = None) -> tuple[SessionDriver, str]:
    """Return a session that waits for a code, and the address of the bank's page."""
    driver = desk.start(card="card_3ds")
    driver.context = PaymentContext(return_url=return_url)
    driver.initiate()
    action = driver.authorize().next_action
    assert action is not None
    assert action.type == "redirect"
    assert action.url is not None
    return driver, action.url


# Challenges


def test_a_challenge_is_passed_with_the_code(desk: Desk) -> None:
    driver, _url = challenge(desk)
    result = driver.authorize(input={"code": CODE})
    assert (result.outcome, result.next_action) == (Outcome.SUCCEEDED, None)
    assert result.amount == Decimal("100.00")


def test_a_wrong_code_asks_again_and_says_so_publicly(desk: Desk) -> None:
    driver, url = challenge(desk)
    result = driver.authorize(input={"code": "000000"})
    assert result.outcome == Outcome.SUCCEEDED
    assert result.next_action is not None
    assert result.next_action.url == url
    assert (result.data or {})["challenge_error"] == "incorrect_code"


def test_the_third_wrong_code_is_a_decline(desk: Desk) -> None:
    driver, _url = challenge(desk)
    results = [driver.authorize(input={"code": "000000"}) for _attempt in range(3)]
    assert [result.outcome for result in results] == ["succeeded", "succeeded", "declined"]
    failure = results[-1].failure
    assert failure is not None
    assert failure.code == "challenge_failed"


def test_a_challenge_is_passed_on_the_bank_s_page(desk: Desk) -> None:
    driver, url = challenge(desk, return_url="https://shop.example/back?order=1")
    assert post_form(url, code=CODE) == (303, "https://shop.example/back?order=1")
    result = driver.authorize(input={})
    assert (result.outcome, result.next_action, result.amount) == ("succeeded", None, Decimal("100.00"))
    assert desk.service.totals(driver.session_id).authorizations == 1


def test_a_payment_that_is_rejected_on_the_page_is_reported_as_refused(desk: Desk) -> None:
    driver, url = challenge(desk)
    assert post_form(url, decision="reject") == (200, None)
    fact = fact_of(driver)
    assert fact.failure is not None
    assert (fact.status, fact.failure.code) == ("error", "challenge_rejected")


def test_the_same_request_gets_the_same_challenge(desk: Desk) -> None:
    driver, _url = challenge(desk)
    first: AuthorizeResult = driver.authorize()
    second: AuthorizeResult = driver.resend()
    assert first.next_action == second.next_action


# Cards


@pytest.mark.parametrize(
    ("card", "code", "message"),
    [
        ("card_declined", "card_declined", "The card was declined."),
        ("card_insufficient_funds", "insufficient_funds", "The card has insufficient funds."),
        ("card_expired", "expired_card", "The card has expired."),
    ],
)
def test_a_declined_card_says_why(desk: Desk, card: str, code: str, message: str) -> None:
    failure = refusal_of(desk.initiated(card=card).authorize())
    assert (failure.code, failure.message) == (code, message)


def test_a_card_that_is_no_test_card_is_refused_and_its_number_kept_nowhere(desk: Desk) -> None:
    driver = desk.initiated(card=PAN)
    result = driver.authorize()
    assert result.failure is not None
    assert (result.outcome, result.failure.code) == ("declined", "unknown_card")
    assert PAN not in repr(result)
    assert not is_in_ledger(desk.service.ledger, PAN)
    assert desk.service.totals(driver.session_id).authorizations == 0


@pytest.mark.parametrize("card", [17, True, ["card_ok"], {"number": PAN}, "", "  ", "x" * 300, "card\0ok"])
def test_a_card_that_is_no_text_is_refused(desk: Desk, card: object) -> None:
    driver = desk.initiated(card=card)
    assert driver.authorize().outcome == Outcome.DECLINED
    assert desk.service.totals(driver.session_id).authorizations == 0


def test_a_request_that_is_too_large_is_refused(desk: Desk) -> None:
    driver = desk.initiated(card="x" * 100_000)
    assert driver.authorize().outcome == Outcome.DECLINED


def is_in_ledger(ledger: Ledger, text: str) -> bool:
    """Return whether a text stands anywhere in the service's database."""
    tables = [row["name"] for row in ledger.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return any(
        text in str(value)
        for table in tables
        for row in ledger.rows(f"SELECT * FROM {table}")  # noqa: S608 - its own tables
        for value in tuple(row)
    )


# Amounts


@pytest.mark.parametrize(
    ("amount", "currency_code", "minor"),
    [
        ("0.01", "eur", 1),
        ("0.10", "eur", 10),
        ("1234.56", "eur", 123456),
        ("33.33", "usd", 3333),
        ("1", "jpy", 1),
        ("1001", "jpy", 1001),
        ("0.001", "kwd", 1),
        ("10.125", "kwd", 10125),
        ("1000000", "isk", 1000000),
        ("5000", "ugx", 5000),
        ("99999999999999.99", "eur", 9999999999999999),
        ("99999999999999", "jpy", 99999999999999),
        ("99999999999999.999", "bhd", 99999999999999999),
    ],
)
def test_amounts_are_the_same_to_the_last_digit(
    desk: Desk, amount: str, currency_code: str, minor: int
) -> None:
    driver = desk.captured(amount, currency_code)
    assert driver.refund().amount == Decimal(amount)
    totals = desk.service.totals(driver.session_id)
    assert (totals.authorized, totals.captured, totals.refunded) == (minor, minor, minor)
    fact = fact_of(driver)
    assert fact.amount == fact.captured_amount == fact.refunded_amount == Decimal(amount)


@pytest.mark.parametrize(("amount", "currency_code"), [("10.5", "jpy"), ("0.001", "eur"), ("1.2345", "kwd")])
def test_an_amount_with_too_many_decimals_never_leaves(desk: Desk, amount: str, currency_code: str) -> None:
    driver = desk.start(amount, currency_code)
    assert driver.initiate().outcome == Outcome.UNKNOWN
    assert type(driver.error).__name__ == "AmountError"
    assert desk.service.calls(reference=driver.session_id) == []


# Addresses and keys


@pytest.mark.parametrize("verb", ["initiate", "authorize", "capture", "refund", "cancel", "retrieve"])
def test_a_wrong_key_means_that_nothing_was_done(desk: Desk, verb: str) -> None:
    driver = desk.start() if verb == "initiate" else desk.captured()
    driver.provider = desk.provider(api_key="sk_wrong")
    before = desk.service.totals(driver.session_id)
    result = getattr(driver, verb)()
    assert (result.outcome, result.failure.code) == ("not_sent", "unauthorized")
    assert "sk_wrong" not in repr(result)
    assert desk.service.totals(driver.session_id) == before


def test_the_path_of_the_address_is_kept(desk: Desk) -> None:
    with recording_address() as (url, paths):
        driver = desk.start()
        driver.provider = desk.provider(base_url=f"{url}/psp/sandbox/")
        assert driver.initiate().outcome == Outcome.DECLINED
        driver.retrieve(provider_reference="../int/1?x#y")
        driver.retrieve(session_id="payses 1&reference=2")
    assert paths == [
        "POST /psp/sandbox/v1/intents",
        "GET /psp/sandbox/v1/intents/..%2Fint%2F1%3Fx%23y",
        "GET /psp/sandbox/v1/intents?reference=payses+1%26reference%3D2",
    ]


@contextmanager
def recording_address() -> Iterator[tuple[str, list[str]]]:
    """Give an address that answers 404 to everything, and what was asked there."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b'{"error": {"code": "intent_not_found", "message": "No."}}'
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as the base class looks it up

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)


def test_a_service_that_is_down_means_not_sent_and_later_the_same_key_works(desk: Desk) -> None:
    driver = desk.initiated()
    with closed_address() as url:
        driver.provider = desk.provider(base_url=url)
        result = driver.authorize()
    assert (result.outcome, desk.service.totals(driver.session_id).authorizations) == ("not_sent", 0)
    driver.provider = desk.provider()
    assert driver.authorize().outcome == Outcome.SUCCEEDED


def test_another_request_under_a_used_key_leaves_the_outcome_open(desk: Desk) -> None:
    driver = desk.authorized()
    driver.capture(Decimal("10.00"), idempotency_key="reused")
    result = driver.capture(Decimal("20.00"), idempotency_key="reused")
    assert result.outcome == Outcome.UNKNOWN
    assert desk.service.totals(driver.session_id).captured == 1000


def test_the_simulator_gets_our_references(desk: Desk) -> None:
    driver = desk.captured()
    [intent] = desk.service.intents(reference=driver.session_id)
    assert intent.metadata == {"collection": driver.collection_id}
    assert intent.return_url == "https://shop.example/back"
    assert [intent.authorization_reference, intent.movements[0].reference] == driver.operation_ids[1:]
    keys = [call.key for call in desk.service.calls(reference=driver.session_id)]
    assert keys == driver.operation_ids


def test_what_is_done_at_the_service_itself_has_no_operation(desk: Desk) -> None:
    driver = desk.authorized()
    assert driver.provider_reference is not None
    desk.service.capture(driver.provider_reference, 2500)
    [movement] = fact_of(driver).movements
    assert (movement.operation_id, movement.amount) == (None, Decimal("25.00"))
