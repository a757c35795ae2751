"""Customers with saved cards: made, saved on a page of the service's own, charged while away, and gone when removed."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from payments.simulator import SimulatorService
from tests.simulator.client import Merchant, Reply

pytestmark = pytest.mark.database_independent

BACK = "https://shop.example/account?tab=cards"


@pytest.fixture
def customer(merchant: Merchant) -> str:
    """Return the id of a customer."""
    return str(merchant.post("/v1/customers", reference="acchld_1", email="ada@example.com").json["id"])


def set_up(merchant: Merchant, customer: str, **fields: Any) -> dict[str, Any]:
    made = merchant.post(f"/v1/customers/{customer}/setups", **fields)
    assert made.status == 201
    return dict(made.json)


def browse(url: str, **form: str) -> Reply:
    """Do what a browser does, without following a redirect."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        body = urlencode(form) if form else None
        connection.request("POST" if form else "GET", urlsplit(url).path, body)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(status=answer.status, headers=headers, content=answer.read())
    finally:
        connection.close()


def make_intent(merchant: Merchant, **fields: Any) -> str:
    made = merchant.post("/v1/intents", amount=5000, currency="eur", reference="payses_1", **fields)
    assert made.status == 201
    return f"/v1/intents/{made.json['id']}"


def test_a_customer_is_found_by_the_merchants_reference(merchant: Merchant, customer: str) -> None:
    [found] = merchant.get("/v1/customers", reference="acchld_1").json["data"]
    assert found == {
        "id": customer,
        "object": "customer",
        "reference": "acchld_1",
        "email": "ada@example.com",
    }
    assert merchant.get("/v1/customers", reference="acchld_2").json["data"] == []


def test_the_same_key_makes_one_customer(merchant: Merchant, service: SimulatorService) -> None:
    first, again = (merchant.post("/v1/customers", reference="acchld_1", key="k") for _ in range(2))
    assert (first.json, again.headers["idempotent-replayed"]) == (again.json, "true")
    assert len(service.customers(reference="acchld_1")) == 1


def test_a_card_is_saved_on_the_page_and_the_browser_sent_back(merchant: Merchant, customer: str) -> None:
    setup = set_up(merchant, customer, return_url=BACK)
    url = setup["next_action"]["url"]

    shown = browse(url)
    saved = browse(url, card="card_3ds")
    again = browse(url, card="card_ok")

    assert shown.status == 200
    assert "card_3ds" in shown.text
    assert (saved.status, saved.headers["location"]) == (303, BACK)
    assert again.status == 303
    [method] = merchant.get(f"/v1/customers/{customer}/methods").json["data"]
    assert (method["card"], method["last4"]) == ("card_3ds", "3220")


def test_without_a_return_address_the_page_says_that_the_card_is_saved(
    merchant: Merchant, customer: str
) -> None:
    url = set_up(merchant, customer)["next_action"]["url"]
    saved = browse(url, card="card_ok")
    assert saved.status == 200
    assert "Card saved" in saved.text
    assert "Card saved" in browse(url).text


@pytest.mark.parametrize("card", ["4242424242424242", "", "card_none"])
def test_what_is_no_test_card_is_not_saved(merchant: Merchant, customer: str, card: str) -> None:
    url = set_up(merchant, customer)["next_action"]["url"]
    refused = browse(url, card=card)
    assert refused.status == 404
    assert "4242424242424242" not in refused.text
    assert merchant.get(f"/v1/customers/{customer}/methods").json["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/v1/customers/cus_none/methods", None, "customer_not_found"),
        ("POST", "/v1/customers/cus_none/setups", {}, "customer_not_found"),
        ("POST", "/v1/customers/{customer}/methods/pm_none/remove", {}, "method_not_found"),
        ("POST", "/v1/customers", {}, "parameter_missing"),
        ("POST", "/v1/customers/{customer}/setups", {"return_url": "javascript:1"}, "invalid_url"),
        ("GET", "/v1/customers", None, "parameter_missing"),
        ("DELETE", "/v1/customers", None, "not_found"),
    ],
)
def test_what_is_not_there_or_not_right_is_refused(  # noqa: PLR0917
    merchant: Merchant, customer: str, method: str, path: str, body: Any, code: str
) -> None:
    assert merchant.request(method, path.format(customer=customer), body).code == code


def test_nobody_removes_or_pays_with_what_another_has_saved(
    merchant: Merchant, service: SimulatorService, customer: str
) -> None:
    other = merchant.post("/v1/customers", reference="acchld_2").json["id"]
    anothers = service.save_method(other).id
    guest, own = make_intent(merchant), make_intent(merchant, customer=customer)

    assert merchant.post(f"/v1/customers/{customer}/methods/{anothers}/remove").code == "method_not_found"
    for intent in (guest, own):
        for off_session in (True, False):
            refused = merchant.post(f"{intent}/authorize", method=anothers, off_session=off_session)
            assert (refused.status, refused.code) == (400, "unknown_method")
        assert merchant.get(intent).json["amount_authorized"] == 0


def test_an_intent_of_a_customer_who_is_not_there_is_refused(merchant: Merchant) -> None:
    refused = merchant.post(
        "/v1/intents", amount=5000, currency="eur", reference="payses_1", customer="cus_none"
    )
    assert refused.code == "customer_not_found"


def test_a_bank_declines_an_absent_customer_and_asks_when_they_are_back(
    merchant: Merchant, service: SimulatorService, customer: str
) -> None:
    method, intent = (
        service.save_method(customer, card="card_3ds").id,
        make_intent(merchant, customer=customer),
    )

    away = merchant.post(f"{intent}/authorize", method=method, off_session=True)
    back = merchant.post(f"{intent}/authorize")
    finished = merchant.post(f"{intent}/authorize", code="123456")

    assert (away.status, away.code) == (402, "authentication_required")
    assert (back.status, back.json["status"]) == (200, "requires_action")
    assert (finished.json["status"], finished.json["amount_authorized"]) == ("authorized", 5000)


def test_what_was_answered_is_answered_again_also_when_the_card_is_gone(
    merchant: Merchant, service: SimulatorService, customer: str
) -> None:
    method, intent = service.save_method(customer).id, make_intent(merchant, customer=customer)
    paid = merchant.post(f"{intent}/authorize", method=method, off_session=True, key="k")
    merchant.post(f"/v1/customers/{customer}/methods/{method}/remove")

    again = merchant.post(f"{intent}/authorize", method=method, off_session=True, key="k")

    assert (again.json, again.headers["idempotent-replayed"]) == (paid.json, "true")
    assert service.totals("payses_1").authorizations == 1


def test_card_and_saved_card_are_not_sent_together(merchant: Merchant, customer: str) -> None:
    intent = make_intent(merchant, customer=customer)
    refused = merchant.post(f"{intent}/authorize", card="card_ok", method="pm_1")
    assert refused.code == "invalid_parameter"
    assert merchant.post(f"{intent}/authorize", off_session="yes").code == "invalid_parameter"


@pytest.mark.parametrize(
    ("fault", "status"), [("error_500_after", 500), ("decline", 402), ("rate_limited", 429), ("garbage", 200)]
)
def test_accounts_misbehave_on_request_too(
    merchant: Merchant, service: SimulatorService, fault: str, status: int
) -> None:
    service.script(operation="account", fault=fault)
    assert merchant.post("/v1/customers", reference="acchld_1").status == status
    assert len(service.customers(reference="acchld_1")) == (
        1 if fault in ("error_500_after", "garbage") else 0
    )


def test_a_lie_about_the_currency_leaves_accounts_alone(
    merchant: Merchant, service: SimulatorService
) -> None:
    service.script(operation="account", fault="wrong_currency", times=2)
    assert merchant.post("/v1/customers", reference="acchld_1").json["object"] == "customer"
    assert merchant.get("/v1/customers", reference="acchld_1").status == 200
