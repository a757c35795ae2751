"""The challenge: over the API, and on the page of the pretend bank."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from payments.simulator import SimulatorService
from tests.simulator.client import API_KEY, Merchant

pytestmark = pytest.mark.database_independent

BACK = "https://shop.example/orders/7/?paid=1&x=é"


def test_next_action_names_the_page_and_the_way_back(merchant: Merchant, service: SimulatorService) -> None:
    intent = merchant.challenged(return_url=BACK)
    assert intent["next_action"]["type"] == "redirect"
    parts = urlsplit(intent["next_action"]["url"])
    assert f"{parts.scheme}://{parts.netloc}" == service.url
    assert parse_qs(parts.query) == {"return_url": [BACK]}
    assert intent["id"] not in intent["next_action"]["url"], "the intent's id is not for browsers"
    assert [event.type for event in service.events()] == ["intent.requires_action"]


def test_code_over_the_api(merchant: Merchant, service: SimulatorService) -> None:
    path = f"/v1/intents/{merchant.challenged()['id']}"
    wrong = merchant.post(f"{path}/authorize", code="000000")
    assert (wrong.status, wrong.json["status"]) == (200, "requires_action")
    assert wrong.json["last_error"]["code"] == "incorrect_code"
    assert merchant.post(f"{path}/authorize").json["status"] == "requires_action", (
        "nothing said, nothing changed"
    )
    right = merchant.post(f"{path}/authorize", code="123456").json
    assert (right["status"], right["last_error"], right["next_action"]) == ("authorized", None, None)
    assert [event.type for event in service.events()] == ["intent.requires_action", "intent.authorized"]


def test_third_wrong_code_declines(merchant: Merchant) -> None:
    path = f"/v1/intents/{merchant.challenged()['id']}"
    replies = [merchant.post(f"{path}/authorize", code="000000") for _ in range(3)]
    assert [each.status for each in replies] == [200, 200, 402]
    assert replies[2].code == "challenge_failed"
    assert merchant.post(f"{path}/authorize", code="123456").code == "no_challenge"
    assert merchant.post(f"{path}/authorize", card="card_ok").json["status"] == "authorized"


def test_card_and_code_at_once(merchant: Merchant) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert merchant.post(f"{path}/authorize", card="card_3ds", code="123456").json["status"] == "authorized"


def test_another_card_replaces_the_challenge(merchant: Merchant) -> None:
    intent = merchant.challenged()
    path = f"/v1/intents/{intent['id']}"
    assert merchant.post(f"{path}/authorize", card="card_ok").json["status"] == "authorized"
    assert merchant.get(urlsplit(intent["next_action"]["url"]).path).status == 404


def test_page_shows_what_is_paid_and_asks_for_the_code(merchant: Merchant) -> None:
    url = merchant.challenged(123450, return_url=BACK)["next_action"]["url"]
    parts = urlsplit(url)
    page = merchant.request("GET", f"{parts.path}?{parts.query}")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for text in ("€1,234.50", "Your shop", "123456", 'for="code"', "Approve", "Reject", 'lang="en"'):
        assert text in page.text
    assert 'role="alert"' not in page.text


def test_approving_on_the_page_authorizes_and_leads_back(
    merchant: Merchant, service: SimulatorService
) -> None:
    intent = merchant.challenged(return_url=BACK)
    for _ in range(2):  # A second click changes nothing.
        reply = merchant.form(intent["next_action"]["url"], code=" 123456 ", decision="approve")
        assert reply.status == 303
        assert reply.headers["location"] == BACK.replace("é", "%C3%A9")
    assert merchant.get(f"/v1/intents/{intent['id']}").json["status"] == "authorized"
    assert [event.type for event in service.events()] == ["intent.requires_action", "intent.authorized"]


def test_rejecting_on_the_page_declines_and_leads_back(merchant: Merchant) -> None:
    intent = merchant.challenged(return_url=BACK)
    assert merchant.form(intent["next_action"]["url"], decision="reject").status == 303
    shown = merchant.get(f"/v1/intents/{intent['id']}").json
    assert (shown["status"], shown["decline"]["code"]) == ("declined", "challenge_rejected")


def test_wrong_codes_on_the_page_show_an_error_and_then_decline(merchant: Merchant) -> None:
    intent = merchant.challenged(return_url=BACK)
    url = intent["next_action"]["url"]
    for left in ("2 tries left", "1 try left"):
        page = merchant.form(url, code="1", decision="approve")
        assert (page.status, left in page.text, 'role="alert"' in page.text) == (200, True, True)
        assert 'aria-invalid="true"' in page.text
    page = merchant.form(url, code="1", decision="approve")
    assert (page.status, "Payment declined" in page.text) == (200, True)
    assert 'href="https://shop.example/orders/7/?paid=1&amp;x=é"' in page.text
    assert merchant.get(f"/v1/intents/{intent['id']}").json["decline"]["code"] == "challenge_failed"


@pytest.mark.parametrize("registered", [None, "https://shop.example/back"])
def test_page_never_leads_to_an_address_that_was_not_registered(
    merchant: Merchant, registered: str | None
) -> None:
    intent = merchant.challenged(return_url=registered)
    path = urlsplit(intent["next_action"]["url"]).path
    evil = f"{path}?return_url={quote('https://evil.example/', safe='')}"
    for page in (merchant.request("GET", evil), merchant.form(evil, code="123456", decision="approve")):
        assert page.status == 400
        assert "evil.example" not in page.text
        assert "location" not in page.headers
    assert merchant.get(f"/v1/intents/{intent['id']}").json["status"] == "requires_action"


def test_without_a_way_back_the_page_says_what_happened(merchant: Merchant) -> None:
    intent = merchant.challenged()
    page = merchant.form(intent["next_action"]["url"], code="123456", decision="approve")
    assert (page.status, "Payment approved" in page.text) == (200, True)


def test_page_of_a_canceled_intent_says_so(merchant: Merchant) -> None:
    intent = merchant.challenged()
    merchant.post(f"/v1/intents/{intent['id']}/cancel")
    path = urlsplit(intent["next_action"]["url"]).path
    assert "Payment canceled" in merchant.get(path).text
    assert "Payment canceled" in merchant.form(path, code="123456", decision="approve").text
    assert merchant.get(f"/v1/intents/{intent['id']}").json["status"] == "canceled"


def test_everything_on_the_page_is_escaped() -> None:
    evil = "<script>alert('x')</script>\"&"
    with SimulatorService(api_key=API_KEY, merchant=evil) as service:
        merchant = Merchant(url=service.url)
        intent = merchant.challenged(reference=evil, return_url="https://shop.example/?a=%22&b='<x>")
        pages = [
            merchant.get(urlsplit(intent["next_action"]["url"]).path).text,
            merchant.get("/").text,
            merchant.get(f"/intents/{intent['id']}").text,
        ]
        merchant.post(f"/v1/intents/{intent['id']}/cancel")
        pages.append(merchant.get(urlsplit(intent["next_action"]["url"]).path).text)
    for page in pages:
        assert "<script" not in page
        assert "<x>" not in page
    assert "&lt;script&gt;" in pages[0]


def test_private_values_are_on_no_page(merchant: Merchant) -> None:
    intent = merchant.challenged()
    for path in ("/", f"/intents/{intent['id']}", urlsplit(intent["next_action"]["url"]).path):
        page = merchant.get(path).text
        assert intent["network_token"] not in page
        assert intent["client_token"] not in page


def test_unknown_pages_are_not_found(merchant: Merchant) -> None:
    for path in ("/challenge/chl_none", "/nothing", "/intents/int_none"):
        page = merchant.get(path)
        assert (page.status, "Page not found" in page.text) == (404, True)


def test_index_tells_cards_and_intents(merchant: Merchant, service: SimulatorService) -> None:
    merchant.captured(123450, reference="payses_shown")
    service.script(operation="*", fault="latency")
    page = merchant.get("/")
    assert page.status == 200
    for text in (
        "payses_shown",
        "€1,234.50",
        "card_3ds",
        "POST /_control/scenarios",
        "Scripted faults waiting: <code>1</code>",
    ):
        assert text in page.text
    assert merchant.request("HEAD", "/").content == b""


def test_intent_page_tells_movements_events_and_calls(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.captured()
    intent_id = path.rsplit("/", 1)[1]
    service.refund(intent_id, 100)
    page = merchant.get(f"/intents/{intent_id}").text
    for text in ("capt_1", "made at the service", "refund.succeeded", "authorize", "€100.00"):
        assert text in page
