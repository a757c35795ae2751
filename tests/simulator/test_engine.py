"""What can be done at the service itself: in the process, and over the control API."""

from __future__ import annotations

from typing import Any

import pytest

from payments.simulator import SimulatorService
from payments.simulator.errors import ConflictError, InvalidRequestError, NotFoundError
from payments.simulator.records import Intent
from tests.simulator.client import Merchant, Shop

pytestmark = pytest.mark.database_independent


def intent_id(path: str) -> str:
    return path.rsplit("/", 1)[1]


def test_acts_carry_no_reference_of_the_merchant(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    service.capture(intent_id(path), 4000)
    service.capture(intent_id(path))
    service.refund(intent_id(path), 1000, reason="goodwill")
    service.chargeback(intent_id(path), 500)
    intent = merchant.get(path).json
    assert [(each["amount"], each["reference"]) for each in intent["captures"]] == [
        (4000, None),
        (6000, None),
    ]
    assert intent["refunds"][0]["reason"] == "goodwill"
    assert (intent["amount_charged_back"], intent["amount_refundable"]) == (500, 8500)
    assert service.calls(operation="capture") == []


@pytest.mark.parametrize("end", ["cancel", "decline"])
def test_bank_may_authorize_late(merchant: Merchant, service: SimulatorService, end: str) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    if end == "cancel":
        merchant.post(f"{path}/cancel")
    else:
        service.decline(intent_id(path))
    service.authorize(intent_id(path), amount=7000)
    shown = merchant.get(path).json
    assert (shown["status"], shown["amount_authorized"]) == ("authorized", 7000)
    for late in (service.authorize, service.decline):
        with pytest.raises(ConflictError, match="authorized"):
            late(intent_id(path))


def test_cancel_at_the_service(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    assert service.cancel(intent_id(path)).amount_canceled == 10000
    with pytest.raises(ConflictError, match="canceled already"):
        service.cancel(intent_id(path))


def test_refund_that_had_succeeded_fails(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.captured()
    refund = merchant.post(f"{path}/refunds", amount=10000, reference="r").json
    service.fail(refund["id"], code="account_closed", message="Closed.")
    intent = merchant.get(path).json
    assert (intent["amount_refunded"], intent["amount_refundable"]) == (0, 10000)
    assert intent["refunds"][0]["failure"] == {"code": "account_closed", "message": "Closed."}
    with pytest.raises(ConflictError):
        service.fail(refund["id"])
    with pytest.raises(ConflictError):
        service.settle(refund["id"])


def test_captured_money_cannot_fail_and_unknown_things_cannot_settle(
    merchant: Merchant, service: SimulatorService
) -> None:
    path = merchant.captured()
    capture = merchant.get(path).json["captures"][0]
    with pytest.raises(ConflictError):
        service.fail(capture["id"])
    with pytest.raises(ConflictError):
        service.settle(intent_id(path))
    with pytest.raises(NotFoundError):
        service.settle("cap_none")


def test_chargeback_keeps_to_what_was_captured(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    with pytest.raises(ConflictError):
        service.chargeback(intent_id(path))
    service.capture(intent_id(path), 1000)
    with pytest.raises(InvalidRequestError):
        service.chargeback(intent_id(path), 1001)
    assert service.chargeback(intent_id(path)).amount == 1000
    assert merchant.post(f"{path}/refunds", amount=1, reference="r").code == "charged_back"
    assert service.totals("payses_1").charged_back == 1000


def test_challenge_is_answered_in_the_process(merchant: Merchant, service: SimulatorService) -> None:
    assert service.answer_challenge(merchant.challenged()["id"], "1").status == "requires_action"
    assert service.answer_challenge(merchant.challenged()["id"]).status == "authorized"
    with pytest.raises(ConflictError):
        service.reject_challenge(merchant.initiate()["id"])


def test_calls_say_what_the_service_saw(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    merchant.post(f"{path}/captures", amount=1, reference="capt_7", key="key_7")
    merchant.get(path)
    merchant.get("/v1/nothing")
    Merchant(url=service.url, api_key="wrong").get(path)
    operations = [(call.operation, call.status) for call in service.calls()]
    assert operations == [
        ("initiate", 201), ("authorize", 200), ("capture", 201), ("retrieve", 200), (None, 404), (None, 401),
    ]  # fmt: skip
    assert service.calls(operation="cancel") == []
    (call,) = service.calls(key="key_7")
    assert (call.method, call.path, call.intent) == ("POST", f"{path}/captures", intent_id(path))
    assert (call.reference, call.operation_reference, call.is_replayed) == ("payses_1", "capt_7", False)
    assert service.calls(reference="capt_7") == [call]
    assert len(service.calls(reference="payses_1")) == 4
    assert service.calls(operation="initiate")[0].intent == intent_id(path)


def test_reset_forgets_everything(merchant: Merchant, service: SimulatorService) -> None:
    merchant.captured()
    service.script(operation="*", fault="latency")
    service.deliver(hold=True)
    service.set_clock(100)
    service.reset()
    assert (service.calls(), service.events(), service.intents(), service.scenarios()) == ([], [], [], [])
    assert (service.clock.offset, service.settings.delivery.hold) == (0, False)


def test_delivery_switches_are_checked(service: SimulatorService) -> None:
    with pytest.raises(InvalidRequestError):
        service.deliver(duplicate=0)


# The control API


def test_acts_over_the_control_api(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.initiate()["id"]
    control = f"/_control/intents/{path}"
    assert merchant.post(f"{control}/decline", code="lost_card").json["decline"]["code"] == "lost_card"
    assert merchant.post(f"{control}/authorize").json["status"] == "authorized"
    assert merchant.post(f"{control}/capture", amount=6000).json["object"] == "capture"
    refund = merchant.post(f"{control}/refund", amount=1000, reason="sorry").json
    assert merchant.post(f"/_control/refunds/{refund['id']}/fail", code="x").json["status"] == "failed"
    assert merchant.post(f"{control}/cancel").json["amount_canceled"] == 4000
    assert merchant.post(f"{control}/chargeback", amount=10).json["object"] == "chargeback"
    service.script(operation="authorize", fault="async")
    other = merchant.initiate(reference="payses_2")["id"]
    merchant.post(f"/v1/intents/{other}/authorize")
    assert merchant.post(f"/_control/intents/{other}/settle").json["status"] == "authorized"
    assert merchant.post(f"/_control/intents/{other}/settle").code == "not_pending"
    assert merchant.post(f"{control}/explode").status == 404
    assert merchant.post(f"{control}/cancel", amount=3).code == "unknown_parameter"
    totals = merchant.get("/_control/totals", reference="payses_1").json
    assert totals == {
        "authorized": 10000, "captured": 6000, "refunded": 0, "canceled": 4000, "charged_back": 10,
        "intents": 1, "authorizations": 1, "captures": 1, "refunds": 0,
    }  # fmt: skip


def test_scenarios_over_the_control_api(merchant: Merchant) -> None:
    sent: dict[str, Any] = {
        "operation": "authorize", "fault": "decline", "times": 2, "match": {"reference": "payses_1"}, "code": "x",
    }  # fmt: skip
    made = merchant.post("/_control/scenarios", sent)
    assert made.status == 201
    assert made.json == {"id": made.json["id"], **sent}
    path = f"/v1/intents/{merchant.initiate()['id']}"
    assert merchant.post(f"{path}/authorize").code == "x"
    assert merchant.get("/_control/scenarios").json["data"] == [made.json | {"times": 1}]
    assert merchant.request("DELETE", "/_control/scenarios").json["data"] == []
    assert merchant.post(f"{path}/authorize").status == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operation": "capture"},
        {"operation": 3, "fault": "decline"},
        {"operation": "capture", "fault": "decline", "match": []},
        {"operation": "capture", "fault": "decline", "match": {"amount": 3}},
        {"operation": "capture", "fault": "decline", "reference": "payses_1"},
        {"operation": "capture", "fault": "decline", "times": "2"},
        {"operation": "capture", "fault": "decline", "nonsense": 2},
    ],
)
def test_bad_scenarios_are_refused_over_the_control_api(merchant: Merchant, body: dict[str, Any]) -> None:
    assert merchant.post("/_control/scenarios", body).status == 400
    assert merchant.get("/_control/scenarios").json["data"] == []


def test_calls_and_events_over_the_control_api(merchant: Merchant) -> None:
    path = merchant.authorized()
    calls = merchant.get("/_control/calls", operation="authorize").json["data"]
    assert [(call["path"], call["status"], call["is_replayed"]) for call in calls] == [
        (f"{path}/authorize", 200, False)
    ]
    events = merchant.get("/_control/events", type="intent.authorized", intent=intent_id(path)).json["data"]
    assert events[0]["body"]["data"]["object"]["id"] == intent_id(path)
    assert merchant.get("/_control/events", limit="3").code == "unknown_parameter"


def test_webhooks_and_clock_over_the_control_api(
    merchant: Merchant, service: SimulatorService, shop: Shop
) -> None:
    switched = merchant.post("/_control/webhooks", url=shop.url, secrets=["whsec_z"], hold=True).json
    assert switched == {
        "url": shop.url, "duplicate": 1, "hold": True, "delay": 0.0, "drop": False, "reorder": False,
    }  # fmt: skip
    assert service.settings.webhook_secrets == ("whsec_z",)
    merchant.captured()
    one, two = (event["id"] for event in merchant.get("/_control/events").json["data"])
    released = merchant.post("/_control/events/release", order=[two, one]).json["data"]
    assert [each["id"] for each in released] == [two, one]
    assert service.wait_for_webhooks()
    assert merchant.post(f"/_control/events/{one}/redeliver", times=2).status == 200
    assert service.wait_for_webhooks()
    assert [each.event["id"] for each in shop.received] == [two, one, one, one]
    assert merchant.post("/_control/clock", offset=-60).json["offset"] == -60
    assert merchant.get("/_control/clock").json["offset"] == -60
    assert merchant.post("/_control/reset").json == {}
    assert merchant.get("/_control/webhooks").json["hold"] is False
    assert merchant.post("/_control/events/evt_none/redeliver").code == "event_not_found"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("webhooks", {"hold": 1}),
        ("webhooks", {"duplicate": True}),
        ("webhooks", {"delay": -1}),
        ("webhooks", {"secrets": []}),
        ("webhooks", {"url": "ftp://x"}),
        ("webhooks", {"speed": 1}),
        ("clock", {"offset": "1"}),
        ("clock", {}),
        ("events/release", {"order": "evt"}),
        ("reset", {"all": True}),
    ],
)
def test_bad_switches_are_refused(merchant: Merchant, path: str, body: dict[str, Any]) -> None:
    assert merchant.post(f"/_control/{path}", body).status == 400


def test_intents_are_typed_in_the_process(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.captured()
    intent = service.intent(intent_id(path))
    assert isinstance(intent, Intent)
    assert (intent.amount_captured, intent.amount_capturable) == (10000, 0)
    assert service.intents(reference="payses_1") == [intent]
