"""The fake is as strict as PayPal: what it refuses, and what it replays.

A fake that allows too much proves nothing, so this is tested over plain HTTP and with no code of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.fakes import Json
from tests.paypal.fake import FakePayPal
from tests.paypal.fake.service import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.database_independent

MONEY = {"currency_code": "EUR", "value": "10.00"}
CREATE: Json = {"intent": "AUTHORIZE", "purchase_units": [{"amount": MONEY, "custom_id": "payses_1"}]}

Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(fake: FakePayPal) -> Ask:
    """Ask the fake for something, with an access token."""
    login = requests.post(
        f"{fake.url}/v1/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(CLIENT_ID, CLIENT_SECRET),
        timeout=2,
    )
    token = login.json()["access_token"]

    def ask(method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} | ({"PayPal-Request-Id": key} if key else {})
        return requests.request(method, fake.url + path, json=body, headers=headers, timeout=2)

    return ask


def issue(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["issue"]


def approved(fake: FakePayPal, ask: Ask, **changes: Any) -> str:
    """Return the id of an order that its payer has approved on PayPal's page."""
    order = ask("POST", "/v2/checkout/orders", {**CREATE, **changes}).json()
    [link] = [row["href"] for row in order["links"] if row["rel"] in ("approve", "payer-action")]
    assert requests.post(link, timeout=2).json() == {"approved": True}
    return str(order["id"])


def authorized(fake: FakePayPal, ask: Ask) -> str:
    """Return the id of an authorization of 10.00 euros."""
    answer = ask("POST", f"/v2/checkout/orders/{approved(fake, ask)}/authorize", {}).json()
    return str(answer["purchase_units"][0]["payments"]["authorizations"][0]["id"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"intnet": "CAPTURE"}, (400, "UNKNOWN_PARAMETER")),
        ({"intent": "HOLD"}, (400, "INVALID_PARAMETER_VALUE")),
        ({"purchase_units": {}}, (400, "INVALID_PARAMETER_SYNTAX")),
        ({"purchase_units": [{}]}, (400, "MISSING_REQUIRED_PARAMETER")),
        ({"purchase_units": [{"amount": MONEY, "amonut": MONEY}]}, (400, "UNKNOWN_PARAMETER")),
        (
            {"purchase_units": [{"amount": MONEY, "description": "x" * 128}]},
            (400, "INVALID_STRING_LENGTH"),
        ),
        ({"purchase_units": [{"amount": {**MONEY, "value": 10}}]}, (400, "INVALID_PARAMETER_SYNTAX")),
        ({"purchase_units": [{"amount": {**MONEY, "value": "ten"}}]}, (400, "INVALID_PARAMETER_SYNTAX")),
        ({"purchase_units": [{"amount": {**MONEY, "value": "-1.00"}}]}, (400, "INVALID_PARAMETER_SYNTAX")),
        (
            {"purchase_units": [{"amount": {**MONEY, "value": "0.00"}}]},
            (422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ),
        ({"purchase_units": [{"amount": {**MONEY, "value": "1.001"}}]}, (422, "DECIMAL_PRECISION")),
        (
            {"purchase_units": [{"amount": {"currency_code": "HUF", "value": "1.00"}}]},
            (422, "DECIMALS_NOT_SUPPORTED"),
        ),
        (
            {"purchase_units": [{"amount": {"currency_code": "KWD", "value": "1.000"}}]},
            (422, "CURRENCY_NOT_SUPPORTED"),
        ),
    ],
)
def test_unknown_and_malformed_parameters_are_refused(
    ask: Ask, change: Json, expected: tuple[int, str]
) -> None:
    assert issue(ask("POST", "/v2/checkout/orders", {**CREATE, **change})) == expected


def test_without_a_token_nothing_is_answered(fake: FakePayPal, ask: Ask) -> None:
    assert requests.get(f"{fake.url}/v2/checkout/orders/1", timeout=2).status_code == 401
    fake.withdraw_tokens()
    assert issue(ask("POST", "/v2/checkout/orders", CREATE)) == (401, "INVALID_ACCESS_TOKEN")
    wrong = requests.post(f"{fake.url}/v1/oauth2/token", auth=(CLIENT_ID, "wrong"), data={}, timeout=2)
    assert wrong.status_code == 401


def test_a_request_id_answers_as_it_did_first(fake: FakePayPal, ask: Ask) -> None:
    first = ask("POST", "/v2/checkout/orders", CREATE, key="k1")
    again = ask("POST", "/v2/checkout/orders", CREATE, key="k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert fake.executed.count("create") == 1


def test_a_request_id_with_another_body_is_refused(ask: Ask) -> None:
    ask("POST", "/v2/checkout/orders", CREATE, key="k1")
    other = {**CREATE, "intent": "CAPTURE"}
    assert issue(ask("POST", "/v2/checkout/orders", other, key="k1")) == (422, "DUPLICATE_REQUEST_ID")


def test_a_refusal_is_not_kept_under_its_request_id(fake: FakePayPal, ask: Ask) -> None:
    order_id = ask("POST", "/v2/checkout/orders", CREATE).json()["id"]
    path = f"/v2/checkout/orders/{order_id}/authorize"
    assert issue(ask("POST", path, {}, key="k1")) == (422, "ORDER_NOT_APPROVED")
    fake.orders.approve(order_id)
    assert ask("POST", path, {}, key="k1").status_code == 201


def test_wrong_states_are_refused_with_paypal_s_issues(fake: FakePayPal, ask: Ask) -> None:
    order_id = approved(fake, ask)
    path = f"/v2/checkout/orders/{order_id}"
    assert issue(ask("POST", f"{path}/capture", {})) == (422, "ACTION_DOES_NOT_MATCH_INTENT")
    assert ask("POST", f"{path}/authorize", {}).status_code == 201
    assert issue(ask("POST", f"{path}/authorize", {})) == (422, "ORDER_ALREADY_AUTHORIZED")
    change = {"op": "replace", "path": "/purchase_units/@reference_id=='default'/amount", "value": MONEY}
    assert issue(ask("PATCH", path, [change])) == (422, "ORDER_ALREADY_COMPLETED")
    taken = approved(fake, ask, intent="CAPTURE")
    assert ask("POST", f"/v2/checkout/orders/{taken}/capture", {}).status_code == 201
    assert issue(ask("POST", f"/v2/checkout/orders/{taken}/capture", {})) == (422, "ORDER_ALREADY_CAPTURED")
    assert issue(ask("GET", "/v2/checkout/orders/NOBODY")) == (404, "INVALID_RESOURCE_ID")


@pytest.mark.parametrize(
    "change",
    [
        {"op": "add", "path": "/purchase_units/@reference_id=='default'/amount", "value": MONEY},
        {"op": "replace", "path": "/purchase_units/0/amount", "value": MONEY},
        {"op": "replace", "path": "/purchase_units/@reference_id=='default'/payee", "value": {}},
        {"op": "replace", "path": "/status", "value": "COMPLETED"},
    ],
)
def test_only_what_is_patchable_is_patched(ask: Ask, change: Json) -> None:
    order_id = ask("POST", "/v2/checkout/orders", CREATE).json()["id"]
    assert issue(ask("PATCH", f"/v2/checkout/orders/{order_id}", [change])) == (422, "NOT_PATCHABLE")


def test_more_than_there_is_cannot_be_captured_or_refunded(fake: FakePayPal, ask: Ask) -> None:
    path = f"/v2/payments/authorizations/{authorized(fake, ask)}"
    too_much = {"amount": {**MONEY, "value": "11.51"}}
    assert issue(ask("POST", f"{path}/capture", too_much)) == (422, "MAX_CAPTURE_AMOUNT_EXCEEDED")
    part = {"amount": {**MONEY, "value": "4.00"}, "final_capture": False, "invoice_id": "I1"}
    capture = ask("POST", f"{path}/capture", part).json()
    assert issue(ask("POST", f"{path}/capture", part)) == (422, "DUPLICATE_INVOICE_ID")
    refund = f"/v2/payments/captures/{capture['id']}/refund"
    assert issue(ask("POST", refund, {"amount": {**MONEY, "value": "4.01"}})) == (
        422,
        "REFUND_AMOUNT_EXCEEDED",
    )
    assert ask("POST", refund, {}).json()["amount"]["value"] == "4.00"
    assert issue(ask("POST", refund, {})) == (422, "CAPTURE_FULLY_REFUNDED")


def test_what_is_over_stays_over(fake: FakePayPal, ask: Ask) -> None:
    voided = f"/v2/payments/authorizations/{authorized(fake, ask)}"
    assert ask("POST", f"{voided}/void", {}).json()["status"] == "VOIDED"
    assert issue(ask("POST", f"{voided}/void", {})) == (422, "PREVIOUSLY_VOIDED")
    assert issue(ask("POST", f"{voided}/capture", {})) == (422, "AUTHORIZATION_VOIDED")
    final = f"/v2/payments/authorizations/{authorized(fake, ask)}"
    part = {"amount": {**MONEY, "value": "4.00"}, "final_capture": True}
    assert ask("POST", f"{final}/capture", part).status_code == 201
    assert issue(ask("POST", f"{final}/capture", part)) == (422, "AUTHORIZATION_ALREADY_CAPTURED")
    assert issue(ask("POST", f"{final}/void", {})) == (422, "PREVIOUSLY_CAPTURED")


def test_the_number_of_captures_and_refunds_is_limited(fake: FakePayPal, ask: Ask) -> None:
    fake.movements.max_captures = fake.movements.max_refunds = 1
    path = f"/v2/payments/authorizations/{authorized(fake, ask)}/capture"
    cent = {"amount": {**MONEY, "value": "0.01"}}
    capture = ask("POST", path, {"amount": {**MONEY, "value": "1.00"}}).json()
    assert issue(ask("POST", path, {**cent, "invoice_id": "I2"})) == (422, "MAX_CAPTURE_COUNT_EXCEEDED")
    refund = f"/v2/payments/captures/{capture['id']}/refund"
    assert ask("POST", refund, cent).status_code == 201
    assert issue(ask("POST", refund, cent)) == (422, "MAX_NUMBER_OF_REFUNDS_EXCEEDED")
