"""The life of an intent over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from payments.simulator import SimulatorService, Totals
from tests.simulator.client import API_KEY, Merchant

pytestmark = pytest.mark.database_independent

PUBLIC = {"client_token", "next_action", "status", "amount", "currency"}
SHAPE = {
    "id", "object", "reference", "status", "amount", "currency", "amount_authorized", "amount_captured",
    "amount_refunded", "amount_canceled", "amount_charged_back", "amount_capturable", "amount_refundable",
    "authorization_reference", "customer", "card", "client_token", "return_url", "next_action", "decline", "last_error",
    "metadata", "captures", "refunds", "chargebacks", "risk_score", "network_token", "created",
}  # fmt: skip


def sums(intent: Any) -> tuple[int, int, int, int]:
    return (
        intent["amount_authorized"],
        intent["amount_captured"],
        intent["amount_refunded"],
        intent["amount_canceled"],
    )


def test_new_intent_has_the_documented_shape(merchant: Merchant) -> None:
    intent = merchant.initiate(
        6000, reference="payses_9", return_url="http://127.0.0.1/back?a=1", metadata={"order": "7"}
    )
    assert set(intent) == SHAPE
    assert (intent["status"], intent["amount"], intent["currency"]) == ("requires_confirmation", 6000, "eur")
    assert (intent["reference"], intent["metadata"]) == ("payses_9", {"order": "7"})
    assert intent["client_token"].startswith("ct_")
    assert intent["network_token"].startswith("ntk_")
    assert 0 <= intent["risk_score"] < 100
    assert sums(intent) == (0, 0, 0, 0)


def test_authorizes_captures_in_parts_refunds_in_parts(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized(6000)
    first = merchant.post(f"{path}/captures", amount=2500, reference="capt_a")
    second = merchant.post(f"{path}/captures", amount=3500, reference="capt_b")
    refund = merchant.post(f"{path}/refunds", amount=1500, reference="ref_a", reason="damaged")
    assert [each.status for each in (first, second, refund)] == [201, 201, 201]
    assert first.json | {"id": "", "created": 0} == {
        "id": "", "object": "capture", "intent": path.rsplit("/", 1)[1], "reference": "capt_a", "amount": 2500,
        "currency": "eur", "status": "succeeded", "reason": None, "failure": None, "created": 0,
    }  # fmt: skip
    intent = merchant.get(path).json
    assert sums(intent) == (6000, 6000, 1500, 0)
    assert [each["reference"] for each in intent["captures"]] == ["capt_a", "capt_b"]
    assert intent["refunds"] == [refund.json]
    assert refund.json["reason"] == "damaged"
    assert service.totals("payses_1") == Totals(
        authorized=6000, captured=6000, refunded=1500, canceled=0, charged_back=0,
        intents=1, authorizations=1, captures=2, refunds=1,
    )  # fmt: skip


def test_intents_are_found_by_reference(merchant: Merchant) -> None:
    one, two = merchant.initiate(reference="payses_x"), merchant.initiate(reference="payses_x")
    merchant.initiate(reference="payses_y")
    found = merchant.get("/v1/intents", reference="payses_x").json
    assert found["object"] == "list"
    assert [each["id"] for each in found["data"]] == [one["id"], two["id"]]
    assert merchant.get("/v1/intents", reference="payses_z").json["data"] == []


def test_unauthorized_intent_is_updated(merchant: Merchant) -> None:
    path = f"/v1/intents/{merchant.initiate(6000)['id']}"
    changed = merchant.post(path, amount=7000, return_url="https://shop.example/back").json
    assert (changed["amount"], changed["return_url"]) == (7000, "https://shop.example/back")
    assert merchant.post(f"{path}/authorize").json["amount_authorized"] == 7000
    assert merchant.post(path, amount=1).code == "already_authorized"


def test_update_of_the_amount_ends_a_challenge_for_the_old_one(merchant: Merchant) -> None:
    intent = merchant.challenged(6000)
    changed = merchant.post(f"/v1/intents/{intent['id']}", amount=5000).json
    assert (changed["status"], changed["next_action"]) == ("requires_confirmation", None)
    assert merchant.form(intent["next_action"]["url"], code="123456", decision="approve").status == 404


def test_authorize_without_card_uses_the_good_one(merchant: Merchant) -> None:
    intent = merchant.post(f"/v1/intents/{merchant.initiate()['id']}/authorize", reference="payop_1").json
    assert (intent["card"], intent["authorization_reference"]) == ("card_ok", "payop_1")


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("card_declined", "card_declined"),
        ("card_insufficient_funds", "insufficient_funds"),
        ("card_expired", "expired_card"),
    ],
)
def test_declined_card_is_refused_and_another_one_may_be_tried(
    merchant: Merchant, service: SimulatorService, card: str, code: str
) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    reply = merchant.post(f"{path}/authorize", card=card)
    assert (reply.status, reply.code) == (402, code)
    shown = reply.json["error"]["intent"]
    assert (shown["status"], shown["decline"]["code"]) == ("declined", code)
    assert merchant.post(f"{path}/authorize").code == code, "the same card again declines again"
    accepted = merchant.post(f"{path}/authorize", card="card_ok").json
    assert (accepted["status"], accepted["decline"]) == ("authorized", None)
    assert service.totals("payses_1").authorizations == 1


def test_partial_card_authorizes_sixty_percent(merchant: Merchant) -> None:
    path = f"/v1/intents/{merchant.initiate(999)['id']}"
    intent = merchant.post(f"{path}/authorize", card="card_partial").json
    assert (intent["status"], intent["amount"], intent["amount_authorized"]) == ("authorized", 999, 599)


def test_async_card_settles_by_control_call(merchant: Merchant, service: SimulatorService) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    intent = merchant.post(f"{path}/authorize", card="card_async").json
    assert (intent["status"], intent["amount_authorized"]) == ("processing", 0)
    assert merchant.post(f"{path}/authorize", card="card_ok").code == "authorization_pending"
    assert merchant.post(f"{path}/captures", amount=1, reference="c").code == "not_authorized"
    service.settle(intent["id"])
    assert merchant.get(path).json["amount_authorized"] == 10000


@pytest.mark.parametrize(
    ("card", "status"), [("card_async", "authorized"), ("card_async_declined", "declined")]
)
def test_async_card_settles_by_itself(card: str, status: str) -> None:
    with SimulatorService(api_key=API_KEY, async_delay=60) as service:
        merchant = Merchant(url=service.url)
        path = f"/v1/intents/{merchant.initiate()['id']}"
        merchant.post(f"{path}/authorize", card=card)
        service.set_clock(59)
        assert merchant.get(path).json["status"] == "processing"
        service.set_clock(61)
        assert merchant.get(path).json["status"] == status


def test_cancel_releases_everything_or_what_is_left(merchant: Merchant) -> None:
    whole, rest = merchant.authorized(6000), merchant.authorized(6000)
    merchant.post(f"{rest}/captures", amount=2500, reference="c")
    canceled, partly = (
        merchant.post(f"{whole}/cancel").json,
        merchant.post(f"{rest}/cancel", reference="r").json,
    )
    assert (canceled["status"], sums(canceled)) == ("canceled", (6000, 0, 0, 6000))
    assert (partly["status"], sums(partly)) == ("authorized", (6000, 2500, 0, 3500))
    assert merchant.post(f"{rest}/captures", amount=1, reference="c").code == "already_canceled"
    assert merchant.post(f"{rest}/refunds", amount=2500, reference="r").status == 201


def test_cancel_of_an_unauthorized_intent_ends_it(merchant: Merchant) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    intent = merchant.post(f"{path}/cancel").json
    assert (intent["status"], sums(intent)) == ("canceled", (0, 0, 0, 0))
    assert merchant.post(f"{path}/authorize").code == "already_canceled"


def test_capture_that_fails_after_a_cancel_is_released(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized(6000)
    service.script(operation="capture", fault="async")
    capture = merchant.post(f"{path}/captures", amount=2500, reference="c").json
    merchant.post(f"{path}/cancel")
    assert merchant.get(path).json["status"] == "authorized"
    service.fail(capture["id"])
    intent = merchant.get(path).json
    assert (intent["status"], sums(intent)) == ("canceled", (6000, 0, 0, 6000))


def test_authorization_expires(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized(6000)
    merchant.post(f"{path}/captures", amount=1000, reference="c")
    service.set_clock(7 * 24 * 3600 + 1)
    late = merchant.post(f"{path}/captures", amount=1000, reference="late")
    assert (late.status, late.code) == (402, "authorization_expired")
    intent = merchant.get(path).json
    assert sums(intent) == (6000, 1000, 0, 5000)
    assert [event.type for event in service.events()][-1] == "intent.canceled"


@pytest.mark.parametrize(
    ("act", "amount", "status", "code"),
    [
        ("captures", 10001, 400, "amount_too_large"),
        ("refunds", 1, 409, "not_captured"),
        ("authorize", None, 409, "already_authorized"),
    ],
)
def test_wrong_acts_on_an_authorized_intent_are_refused(
    merchant: Merchant, act: str, amount: int | None, status: int, code: str
) -> None:
    path = merchant.authorized()
    fields = {} if amount is None else {"amount": amount, "reference": "r"}
    reply = merchant.post(f"{path}/{act}", fields)
    assert (reply.status, reply.code) == (status, code)
    assert reply.json["error"]["intent"]["status"] == "authorized"
    assert sums(merchant.get(path).json) == (10000, 0, 0, 0)


def test_overdrawing_a_captured_intent_is_refused(merchant: Merchant) -> None:
    path = merchant.captured()
    assert merchant.post(f"{path}/captures", amount=1, reference="c").code == "already_captured"
    assert merchant.post(f"{path}/cancel").code == "already_captured"
    assert merchant.post(f"{path}/refunds", amount=10001, reference="r").code == "amount_too_large"
    merchant.post(f"{path}/refunds", amount=10000, reference="r")
    assert merchant.post(f"{path}/refunds", amount=1, reference="r").code == "already_refunded"
    assert sums(merchant.get(path).json) == (10000, 10000, 10000, 0)


def test_pending_movements_are_reserved(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    service.script(operation="capture", fault="async")
    pending = merchant.post(f"{path}/captures", amount=10000, reference="c")
    assert (pending.status, pending.json["status"]) == (201, "pending")
    assert merchant.post(f"{path}/captures", amount=1, reference="c").code == "already_captured"
    assert merchant.post(f"{path}/cancel").code == "capture_pending"
    assert merchant.get(path).json["amount_captured"] == 0
    service.settle(pending.json["id"])
    assert merchant.get(path).json["amount_captured"] == 10000


@pytest.mark.parametrize("act", ["captures", "refunds"])
def test_unauthorized_intent_moves_no_money(merchant: Merchant, act: str) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    reply = merchant.post(f"{path}/{act}", amount=1, reference="r")
    assert (reply.status, reply.code) == (409, {"captures": "not_authorized", "refunds": "not_captured"}[act])
