"""What is refused before anything is done."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from payments.simulator import SimulatorService
from payments.simulator.runtime import CURRENCIES, decimals, format_amount
from tests.simulator.client import Merchant

pytestmark = pytest.mark.database_independent

GOOD = {"amount": 100, "currency": "eur", "reference": "payses_1"}


@pytest.mark.shows(
    "A page elsewhere that points its own name at the simulator", "421, and nothing of its books"
)
@pytest.mark.parametrize("path", ["/", "/intents/x", "/challenge/x", "/v1/intents/x", "/_control/calls"])
def test_a_foreign_name_is_refused(merchant: Merchant, path: str) -> None:
    for host in (
        "evil.example",
        "evil.example:8001",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[",
    ):
        refused = merchant.request("GET", path, headers={"Host": host})
        assert (refused.status, refused.json["error"]["code"]) == (421, "foreign_host")


def test_it_answers_under_its_own_names_and_under_numbers() -> None:
    own = ["localhost", "LOCALHOST:8001", "localhost.", "pay.example", "simulator:8001"]
    with SimulatorService(
        public_url="https://pay.example/simulator", allowed_hosts=("simulator",)
    ) as service:
        for host in (*own, "127.0.0.1", "127.0.0.1:9", "[::1]:8001", "192.168.1.7"):
            assert Merchant(url=service.url).request("GET", "/", headers={"Host": host}).status == 200


def test_its_pages_are_put_into_no_frame(merchant: Merchant) -> None:
    for path in ("/", "/challenge/x", "/save/x"):
        assert "frame-ancestors 'none'" in merchant.get(path).headers["content-security-policy"]


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"amount": 0}, "invalid_amount", "amount"),
        ({"amount": -5}, "invalid_amount", "amount"),
        ({"amount": 1.0}, "invalid_amount", "amount"),
        ({"amount": True}, "invalid_amount", "amount"),
        ({"amount": "100"}, "invalid_amount", "amount"),
        ({"amount": 10**18}, "invalid_amount", "amount"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"currency": "EUR"}, "invalid_currency", "currency"),
        ({"currency": "xyz"}, "invalid_currency", "currency"),
        ({"reference": ""}, "invalid_parameter", "reference"),
        ({"reference": None}, "parameter_missing", "reference"),
        ({"reference": "x" * 256}, "invalid_parameter", "reference"),
        ({"return_url": "javascript:alert(1)"}, "invalid_url", "return_url"),
        ({"return_url": "//shop.example"}, "invalid_url", "return_url"),
        ({"return_url": "http://[bad"}, "invalid_url", "return_url"),
        ({"return_url": "http://shop.example/\r\nX: y"}, "invalid_url", "return_url"),
        ({"metadata": ["a"]}, "invalid_parameter", "metadata"),
        ({"metadata": {"a": 1}}, "invalid_parameter", "metadata"),
        ({"capture_method": "automatic"}, "unknown_parameter", "capture_method"),
    ],
)
def test_bad_parameters_are_named(
    merchant: Merchant, service: SimulatorService, change: dict[str, Any], code: str, param: str
) -> None:
    reply = merchant.post("/v1/intents", GOOD | change)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (400, code, param)
    assert error["message"]
    assert service.intents() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"\xff", b"[" * 60000, b'{"amount": NaN}'])
def test_what_is_no_json_object_is_refused(merchant: Merchant, body: bytes) -> None:
    reply = merchant.request("POST", "/v1/intents", body)
    assert reply.status == 400


@pytest.mark.parametrize("card", ["4242424242424242", "card_unknown"])
def test_only_test_tokens_are_cards_and_others_are_not_repeated(merchant: Merchant, card: str) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    reply = merchant.post(f"{path}/authorize", card=card)
    assert (reply.status, reply.code) == (400, "unknown_card")
    assert card not in reply.text
    assert merchant.get(path).json["card"] is None


@pytest.mark.parametrize("api_key", [None, "", "sk_sim_other", "sk_sim_tes", "sk_sim_téſt"])
@pytest.mark.parametrize("path", ["/v1/intents", "/_control/calls", "/_control/reset"])
def test_wrong_api_key_is_unauthorized(service: SimulatorService, api_key: str | None, path: str) -> None:
    stranger = Merchant(url=service.url, api_key=None)
    headers = {} if api_key is None else {"Authorization": b"Bearer " + api_key.encode()}
    reply = stranger.request("POST", path, GOOD, headers=headers)  # type: ignore[arg-type]
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert service.intents() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/intents/int_none"),
        ("POST", "/v1/intents/int_none"),
        ("POST", "/v1/intents/int_none/authorize"),
        ("POST", "/v1/intents/int_none/cancel"),
        ("POST", "/v1/intents/int_none/voids"),
        ("DELETE", "/v1/intents"),
        ("GET", "/v1"),
        ("GET", "/v1/captures"),
        ("POST", "/_control/nothing"),
        ("PUT", "/_control/clock"),
    ],
)
def test_what_is_not_there_is_not_found(merchant: Merchant, method: str, path: str) -> None:
    reply = merchant.request(method, path, {} if method == "POST" else None)
    assert reply.status == 404
    assert reply.code.endswith("not_found")


def test_listing_needs_a_reference_and_knows_nothing_else(merchant: Merchant) -> None:
    assert merchant.get("/v1/intents").code == "parameter_missing"
    assert merchant.get("/v1/intents", reference="a", limit="3").code == "unknown_parameter"


def test_large_bodies_are_refused(merchant: Merchant) -> None:
    reply = merchant.request("POST", "/v1/intents", None, headers={"Content-Length": "70000"})
    assert (reply.status, reply.code) == (413, "invalid_body")


def test_one_connection_serves_many_requests(service: SimulatorService) -> None:
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5)
    headers = {"Authorization": "Bearer sk_sim_test"}
    for number in range(5):
        connection.request("POST", "/v1/intents", json.dumps(GOOD | {"amount": number + 100}), headers)
        response = connection.getresponse()
        assert (response.version, response.status) == (11, 201)
        assert json.loads(response.read())["amount"] == number + 100
    connection.close()


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (123450, "eur", "€1,234.50"),
        (5, "usd", "$0.05"),
        (1200, "jpy", "¥1,200"),
        (12345, "kwd", "KWD\xa012.345"),
        (-1050, "chf", "-CHF\xa010.50"),
    ],
)
def test_amounts_are_shown_at_the_precision_of_their_currency(amount: int, currency: str, shown: str) -> None:
    assert format_amount(amount, currency) == shown


def test_currencies_have_no_three_or_two_decimals() -> None:
    assert {decimals(code) for code in CURRENCIES} == {0, 2, 3}
    assert all(len(code) == 3 and code.islower() for code in CURRENCIES)
