"""Each misbehaviour, scripted and by card: what is done, what is answered, what a second try gets."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import pytest

from payments.simulator import SimulatorService
from payments.simulator.errors import InvalidRequestError
from payments.simulator.faults import CARDS
from tests.simulator.client import Merchant, eventually, is_cut_off, times_out

pytestmark = pytest.mark.database_independent

CAPTURE = {"amount": 100, "reference": "capt_1"}
ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "update": ("", {"amount": 9000}),
    "authorize": ("/authorize", {"card": "card_ok"}),
    "capture": ("/captures", CAPTURE),
    "refund": ("/refunds", {"amount": 100, "reference": "ref_1"}),
    "cancel": ("/cancel", {}),
}


def prepared(merchant: Merchant, operation: str) -> tuple[str, dict[str, Any], Any]:
    """Return the address and body of a request that would succeed, and the intent before it."""
    if operation in ("update", "authorize"):
        path = f"/v1/intents/{merchant.initiate()['id']}"
    else:
        path = merchant.captured() if operation == "refund" else merchant.authorized()
    suffix, body = ACTS[operation]
    return path + suffix, body, merchant.get(path).json


def has_acted(merchant: Merchant, before: Any) -> bool:
    return bool(merchant.get(f"/v1/intents/{before['id']}").json != before)


@pytest.mark.parametrize("operation", ACTS)
@pytest.mark.parametrize(
    ("fault", "acts"),
    [("timeout_before", False), ("timeout_after", True), ("drop_before", False), ("drop_after", True)],
)
def test_lost_answers(
    merchant: Merchant, service: SimulatorService, operation: str, fault: str, acts: bool
) -> None:
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault=fault)
    loses = times_out if fault.startswith("timeout") else is_cut_off
    assert loses(merchant, "POST", path, body, key="k")
    assert eventually(lambda: has_acted(merchant, before) is acts)
    assert (service.calls(operation=operation)[-1].status, service.calls(operation=operation)[-1].fault) == (
        None,
        fault,
    )
    again = merchant.post(path, body, key="k")
    assert again.status in (200, 201)
    assert ("idempotent-replayed" in again.headers) is acts
    assert has_acted(merchant, before)


@pytest.mark.parametrize("operation", ACTS)
@pytest.mark.parametrize(
    "broken_answer",
    [
        ("error_500_before", {}, 500, False),
        ("error_500_after", {}, 500, True),
        ("rate_limited", {}, 429, False),
        ("garbage", {}, 200, True),
        ("garbage", {"acted": False}, 200, False),
    ],
)
def test_broken_answers_give_way_to_the_true_one(
    merchant: Merchant,
    service: SimulatorService,
    operation: str,
    broken_answer: tuple[str, dict[str, Any], int, bool],
) -> None:
    fault, options, status, acts = broken_answer
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault=fault, **options)
    broken = merchant.post(path, body, key="k")
    assert broken.status == status
    assert has_acted(merchant, before) is acts
    if fault == "garbage":
        with pytest.raises(ValueError, match="Expecting value"):
            _ = broken.json
    again = merchant.post(path, body, key="k")
    assert again.status in (200, 201)
    assert ("idempotent-replayed" in again.headers) is acts


@pytest.mark.parametrize("operation", ACTS)
@pytest.mark.parametrize("acted", [False, True])
def test_sticky_500_is_replayed_under_its_key_and_gone_under_another(
    merchant: Merchant, service: SimulatorService, operation: str, acted: bool
) -> None:
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault="sticky_500", acted=acted)
    replies = [merchant.post(path, body, key="k") for _ in range(3)]
    assert [each.status for each in replies] == [500, 500, 500]
    assert ["idempotent-replayed" in each.headers for each in replies] == [False, True, True]
    assert has_acted(merchant, before) is acted
    if not acted:
        assert merchant.post(path, body, key="k2").status in (200, 201)


def test_rate_limit_says_when_to_come_back(merchant: Merchant, service: SimulatorService) -> None:
    service.script(operation="initiate", fault="rate_limited", seconds=7)
    reply = merchant.post("/v1/intents", amount=100, currency="eur", reference="r")
    assert (reply.code, reply.headers["retry-after"]) == ("rate_limited", "7")


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("update", "update_declined"),
        ("authorize", "card_declined"),
        ("capture", "capture_declined"),
        ("refund", "refund_declined"),
        ("cancel", "cancel_declined"),
    ],
)
def test_scripted_declines(merchant: Merchant, service: SimulatorService, operation: str, code: str) -> None:
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault="decline")
    service.script(operation=operation, fault="decline", code="fraud_suspected", message="No.")
    first, second = merchant.post(path, body), merchant.post(path, body)
    assert [(each.status, each.code) for each in (first, second)] == [(402, code), (402, "fraud_suspected")]
    assert second.json["error"]["message"] == "No."
    names = ("amount_authorized", "amount_captured", "amount_refunded", "amount_canceled", "amount")
    after = merchant.get(f"/v1/intents/{before['id']}").json
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert merchant.post(path, body).status in (200, 201)


def test_declined_initiate_makes_no_intent(merchant: Merchant, service: SimulatorService) -> None:
    service.script(operation="initiate", fault="decline", reference="payses_1")
    reply = merchant.post("/v1/intents", amount=100, currency="eur", reference="payses_1")
    assert (reply.status, reply.code) == (402, "initiate_declined")
    assert service.intents() == []


def test_failed_captures_and_refunds_are_listed_and_told(
    merchant: Merchant, service: SimulatorService
) -> None:
    path = merchant.authorized()
    service.script(operation="capture", fault="decline")
    merchant.post(f"{path}/captures", CAPTURE)
    capture = merchant.get(path).json["captures"][0]
    assert (capture["status"], capture["failure"]["code"]) == ("failed", "capture_declined")
    assert [event.type for event in service.events()] == ["intent.authorized", "capture.failed"]


@pytest.mark.parametrize(
    ("options", "amount"), [({}, 6000), ({"percent": 25}, 2500), ({"amount": 1234}, 1234)]
)
def test_scripted_partial_authorization(
    merchant: Merchant, service: SimulatorService, options: dict[str, Any], amount: int
) -> None:
    service.script(operation="authorize", fault="partial_authorization", **options)
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert merchant.post(f"{path}/authorize").json["amount_authorized"] == amount
    assert merchant.post(f"{path}/captures", amount=amount + 1, reference="c").code == "amount_too_large"


def test_latency_before_and_after_the_act(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    for when, captured in (("before", 0), ("after", 100)):
        service.script(operation="capture", fault="latency", seconds=30, when=when)
        assert times_out(merchant, "POST", f"{path}/captures", CAPTURE)
        assert eventually(lambda expected=captured: merchant.get(path).json["amount_captured"] == expected)
    started = time.monotonic()
    service.script(operation="retrieve", fault="latency", seconds=0.1)
    assert merchant.get(path).status == 200
    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize("operation", ["update", "authorize", "capture", "refund", "cancel"])
def test_wrong_amount_is_in_the_answer_only(
    merchant: Merchant, service: SimulatorService, operation: str
) -> None:
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault="wrong_amount", delta=-7)
    told = merchant.post(path, body, key="k")
    truth = merchant.get(f"/v1/intents/{before['id']}").json
    expected = {"update": 9000, "authorize": 10000, "capture": 100, "refund": 100, "cancel": 10000}[operation]
    assert told.json["amount"] == expected - 7
    assert truth["amount"] == (9000 if operation == "update" else 10000)
    assert merchant.post(path, body, key="k").content == told.content, "the answer is the answer"


@pytest.mark.parametrize(
    ("operation", "field"), [("authorize", "amount_authorized"), ("capture", "amount_captured")]
)
def test_wrong_amount_may_be_in_the_ledger(
    merchant: Merchant, service: SimulatorService, operation: str, field: str
) -> None:
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault="wrong_amount", delta=-7, in_ledger=True)
    merchant.post(path, body)
    expected = {"authorize": 9993, "capture": 93}[operation]
    assert merchant.get(f"/v1/intents/{before['id']}").json[field] == expected


def test_wrong_currency_is_in_the_answer_only(merchant: Merchant, service: SimulatorService) -> None:
    path, body, before = prepared(merchant, "capture")
    service.script(operation="capture", fault="wrong_currency")
    service.script(operation="retrieve", fault="wrong_currency", currency="jpy")
    assert merchant.post(path, body).json["currency"] == "usd"
    assert merchant.get("/v1/intents", reference="payses_1").json["data"][0]["currency"] == "jpy"
    assert merchant.get(f"/v1/intents/{before['id']}").json["currency"] == "eur"


@pytest.mark.parametrize("operation", ["capture", "refund"])
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_pending_movement_settles_later(
    merchant: Merchant, service: SimulatorService, operation: str, outcome: str
) -> None:
    path, body, before = prepared(merchant, operation)
    service.script(operation=operation, fault="async", delay=100, outcome=outcome, code="bank_closed")
    reply = merchant.post(path, body)
    assert (reply.status, reply.json["status"]) == (201, "pending")
    service.set_clock(101)
    movement = merchant.get(f"/v1/intents/{before['id']}").json[f"{operation}s"][-1]
    assert movement["status"] == outcome
    assert (movement["failure"] or {}).get("code") == (None if outcome == "succeeded" else "bank_closed")
    assert service.events()[-1].type == f"{operation}.{outcome}"


def test_what_is_pending_settles_by_itself(merchant: Merchant, service: SimulatorService) -> None:
    service.script(operation="authorize", fault="async", delay=0.05)
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert merchant.post(f"{path}/authorize").json["status"] == "processing"
    assert eventually(lambda: merchant.get(path).json["status"] == "authorized")


def test_scenarios_are_used_up_in_order_and_only_by_what_they_match(
    merchant: Merchant, service: SimulatorService
) -> None:
    one, two = merchant.authorized(reference="payses_a"), merchant.authorized(reference="payses_b")
    service.script(operation="capture", fault="error_500_before", reference="payses_b", times=2)
    service.script(operation="capture", fault="rate_limited", intent=two.rsplit("/", 1)[1])
    service.script(operation="capture", fault="decline", reference="capt_special")
    assert merchant.post(f"{one}/captures", CAPTURE).status == 201
    statuses = [merchant.post(f"{two}/captures", CAPTURE).status for _ in range(4)]
    assert statuses == [500, 500, 429, 201]
    assert merchant.post(f"{one}/captures", amount=1, reference="capt_special").status == 402
    assert service.scenarios() == []


def test_scenario_for_every_operation_for_ever(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    service.script(operation="*", fault="error_500_before", times=None)
    assert {merchant.get(path).status for _ in range(3)} == {500}
    assert merchant.post(f"{path}/captures", CAPTURE).status == 500
    service.clear_scenarios()
    assert merchant.get(path).status == 200


def test_scripted_loss_hits_a_replay_too(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    service.script(operation="capture", fault="drop_after", times=2)
    for _ in range(2):
        assert is_cut_off(merchant, "POST", f"{path}/captures", CAPTURE, key="k")
    assert merchant.post(f"{path}/captures", CAPTURE, key="k").status == 201
    assert service.totals("payses_1").captures == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"operation": "void", "fault": "decline"}, "unknown_operation"),
        ({"operation": "capture", "fault": "explode"}, "unknown_fault"),
        ({"operation": "capture", "fault": "challenge"}, "fault_not_applicable"),
        ({"operation": "retrieve", "fault": "sticky_500"}, "fault_not_applicable"),
        ({"operation": "cancel", "fault": "async"}, "fault_not_applicable"),
        ({"operation": "*", "fault": "decline"}, "fault_not_applicable"),
        ({"operation": "capture", "fault": "decline", "seconds": 3}, "unknown_option"),
        ({"operation": "capture", "fault": "latency", "seconds": "3"}, "invalid_option"),
        ({"operation": "capture", "fault": "latency", "seconds": -3}, "invalid_option"),
        ({"operation": "capture", "fault": "latency", "seconds": True}, "invalid_option"),
        ({"operation": "capture", "fault": "latency", "when": "never"}, "invalid_option"),
        ({"operation": "capture", "fault": "latency", "times": 0}, "invalid_parameter"),
    ],
)
def test_impossible_scenarios_are_refused(
    service: SimulatorService, fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        service.script(**fields)
    assert caught.value.code == code
    assert service.scenarios() == []


# Cards


@pytest.mark.parametrize(
    ("card", "status", "intent_status", "authorized"),
    [
        ("card_declined", 402, "declined", 0),
        ("card_insufficient_funds", 402, "declined", 0),
        ("card_3ds", 200, "requires_action", 0),
        ("card_partial", 200, "authorized", 638),
        ("card_async", 200, "processing", 0),
    ],
)
def test_card_decides_what_becomes_of_an_authorization(
    merchant: Merchant, card: str, status: int, intent_status: str, authorized: int
) -> None:
    path = f"/v1/intents/{merchant.initiate(1064)['id']}"
    assert merchant.post(f"{path}/authorize", card=card).status == status
    intent = merchant.get(path).json
    assert (intent["status"], intent["amount_authorized"]) == (intent_status, authorized)


def test_no_amount_calls_up_a_misbehaviour(merchant: Merchant) -> None:
    for digits in range(100):
        assert merchant.authorized(1000 + digits)


def test_scripted_challenge_is_passed_by_its_code(merchant: Merchant, service: SimulatorService) -> None:
    service.script(operation="authorize", fault="challenge")
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert merchant.post(f"{path}/authorize").json["status"] == "requires_action"
    assert merchant.post(f"{path}/authorize", code="123456").json["status"] == "authorized"


def test_scripted_fault_goes_before_the_card(merchant: Merchant, service: SimulatorService) -> None:
    service.script(operation="authorize", fault="decline", code="scripted")
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert merchant.post(f"{path}/authorize", card="card_declined").code == "scripted"
    assert merchant.post(f"{path}/authorize", card="card_declined").code == "card_declined"


def test_scripted_loss_leaves_the_card_its_effect(merchant: Merchant, service: SimulatorService) -> None:
    service.script(operation="authorize", fault="drop_after")
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert is_cut_off(merchant, "POST", f"{path}/authorize", {"card": "card_3ds"})
    assert merchant.get(path).json["status"] == "requires_action"


@pytest.mark.parametrize(
    ("card", "acts"), [("card_timeout", True), ("card_error", False), ("card_garbage", True)]
)
def test_misbehaving_cards(merchant: Merchant, service: SimulatorService, card: str, acts: bool) -> None:
    intent = merchant.initiate()
    path = f"/v1/intents/{intent['id']}/authorize"
    if card == "card_timeout":
        assert times_out(merchant, "POST", path, {"card": card})
    else:
        reply = merchant.post(path, card=card)
        assert reply.status == 500 or reply.content.startswith(b"\xff")
    assert bool(service.intent(intent["id"]).authorizations) is acts


def test_every_documented_card_exists() -> None:
    assert {
        "card_ok", "card_3ds", "card_declined", "card_insufficient_funds", "card_expired", "card_partial", "card_async",
    } <= set(CARDS)  # fmt: skip


def test_stopping_the_service_ends_what_hangs(service: SimulatorService, merchant: Merchant) -> None:
    path = merchant.authorized()
    service.script(operation="capture", fault="timeout_before")
    assert times_out(merchant, "POST", f"{path}/captures", CAPTURE)
    started = time.monotonic()
    service.stop()
    assert time.monotonic() - started < 5
    assert asdict(service.totals("payses_1"))["captured"] == 0, "the ledger stays readable"
    service.start()
    assert merchant.post(f"{path}/captures", CAPTURE).status == 201, "same port, same ledger"
