"""One key, one act, one answer: also under threads, also after a killed process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from payments.simulator import SimulatorService
from tests.programs import killed_if_late
from tests.simulator.client import API_KEY, Merchant, Reply, free_port, is_cut_off, times_out

pytestmark = pytest.mark.database_independent


def test_same_key_replays_the_first_answer(merchant: Merchant, service: SimulatorService) -> None:
    path = merchant.authorized()
    first, second = (merchant.post(f"{path}/captures", amount=100, reference="c", key="k") for _ in range(2))
    assert (first.status, first.content) == (second.status, second.content)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert merchant.get(path).json["amount_captured"] == 100
    assert [call.is_replayed for call in service.calls(operation="capture")] == [False, True]


def test_layout_of_the_json_does_not_matter_but_its_content_does(merchant: Merchant) -> None:
    path = f"{merchant.authorized()}/captures"
    merchant.request("POST", path, b'{"amount": 100, "reference": "c"}', key="k")
    again = merchant.request("POST", path, b'{"reference":"c","amount":100}', key="k")
    assert again.headers["idempotent-replayed"] == "true"
    other = merchant.post(path, amount=101, reference="c", key="k")
    assert (other.status, other.code) == (400, "idempotency_mismatch")
    elsewhere = merchant.post(path.replace("captures", "refunds"), amount=100, reference="c", key="k")
    assert elsewhere.code == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("authorize", {"card": "card_ok"}),
        ("captures", {"amount": 100, "reference": "c"}),
        ("refunds", {"amount": 100, "reference": "r"}),
    ],
)
def test_sixteen_threads_with_one_key_act_once(
    merchant: Merchant, service: SimulatorService, act: str, fields: dict[str, Any]
) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}" if act == "authorize" else merchant.captured()
    if act == "captures":
        path = merchant.authorized()
    before = len(service.intent(path.rsplit("/", 1)[1]).movements)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: merchant.post(f"{path}/{act}", fields, key="k"), range(16)))
    good = {200, 201}
    answered = [each for each in replies if each.status in good]
    others = [each for each in replies if each.status not in good]
    assert {each.code for each in others} <= {"idempotency_in_progress"}
    assert sum("idempotent-replayed" not in each.headers for each in answered) == 1
    assert len({each.content for each in answered}) == 1
    intent = service.intent(path.rsplit("/", 1)[1])
    assert intent.authorizations == 1
    assert len(intent.movements) - before == (0 if act == "authorize" else 1)


def test_sixteen_threads_with_keys_of_their_own_never_overdraw(merchant: Merchant) -> None:
    path = merchant.authorized(1000)

    def capture(number: int) -> Reply:
        return merchant.post(f"{path}/captures", amount=300, reference=f"c{number}", key=f"k{number}")

    with ThreadPoolExecutor(16) as pool:
        counts = Counter(reply.status for reply in pool.map(capture, range(16)))
    assert counts == {201: 3, 400: 13}
    assert merchant.get(path).json["amount_captured"] == 900


def test_key_in_progress_is_a_conflict(merchant: Merchant, service: SimulatorService) -> None:
    path = f"{merchant.authorized()}/captures"
    service.script(operation="capture", fault="latency", seconds=30)
    body = {"amount": 100, "reference": "c"}
    assert times_out(merchant, "POST", path, body, key="k")
    reply = merchant.post(path, body, key="k")
    assert (reply.status, reply.code) == (409, "idempotency_in_progress")
    assert merchant.post(path, body | {"amount": 5}, key="k").code == "idempotency_mismatch"


def test_refusals_are_replayed_but_requests_never_carried_out_may_be_mended(merchant: Merchant) -> None:
    path = f"/v1/intents/{merchant.initiate()['id']}"
    declined = [merchant.post(f"{path}/authorize", card="card_declined", key="d") for _ in range(2)]
    assert [each.status for each in declined] == [402, 402]
    assert declined[1].headers["idempotent-replayed"] == "true"
    assert merchant.post(f"{path}/captures", amount=1, reference="c", key="s").status == 409
    assert merchant.post(f"{path}/authorize", card="card_ok", key="a").status == 200
    assert merchant.post(f"{path}/captures", amount=1, reference="c", key="s").status == 409, "stored"
    assert merchant.post(f"{path}/captures", amount=0, reference="c", key="m").status == 400
    assert merchant.post(f"{path}/captures", amount=1, reference="c", key="m").status == 201


def test_key_is_forgotten_after_its_window(merchant: Merchant, service: SimulatorService) -> None:
    path = f"{merchant.authorized()}/captures"
    merchant.post(path, amount=100, reference="c", key="k")
    service.set_clock(24 * 3600 + 1)
    assert "idempotent-replayed" not in merchant.post(path, amount=100, reference="c", key="k").headers
    assert service.totals("payses_1").captured == 200


def test_key_window_is_configurable() -> None:
    with SimulatorService(api_key=API_KEY, key_window=10) as service:
        merchant = Merchant(url=service.url)
        first = merchant.post("/v1/intents", amount=100, currency="eur", reference="r", key="k").json
        service.set_clock(9)
        again = merchant.post("/v1/intents", amount=100, currency="eur", reference="r", key="k").json
        service.set_clock(11)
        later = merchant.post("/v1/intents", amount=100, currency="eur", reference="r", key="k").json
    assert first["id"] == again["id"] != later["id"]


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_unusable_keys_are_refused(merchant: Merchant, key: str) -> None:
    reply = merchant.post("/v1/intents", amount=100, currency="eur", reference="r", key=key)
    assert (reply.status, reply.code) == (400, "invalid_idempotency_key")


def test_answer_lost_on_the_way_is_replayed(merchant: Merchant, service: SimulatorService) -> None:
    path = f"{merchant.authorized()}/captures"
    service.script(operation="capture", fault="drop_after")
    body = {"amount": 100, "reference": "c"}
    assert is_cut_off(merchant, "POST", path, body, key="k")
    reply = merchant.post(path, body, key="k")
    assert (reply.status, reply.headers["idempotent-replayed"]) == (201, "true")
    assert service.totals("payses_1").captures == 1


def test_ledger_and_keys_outlive_a_killed_process(tmp_path: Path) -> None:
    port = free_port()
    command = [
        sys.executable, "-m", "payments.simulator", "--port", str(port), "--ledger", str(tmp_path / "ledger.sqlite3"),
        "--api-key", "sk_sim_file", "--webhook-secret", "whsec_1",
    ]  # fmt: skip
    merchant = Merchant(url=f"http://127.0.0.1:{port}", api_key="sk_sim_file")

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with killed_if_late(process):
            assert str(port) in process.stdout.readline()
        return process

    process = start()
    path = merchant.authorized()
    captured = merchant.post(f"{path}/captures", amount=100, reference="c", key="k")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start()
    replayed = merchant.post(f"{path}/captures", amount=100, reference="c", key="k")
    assert replayed.content == captured.content
    assert merchant.get(path).json["amount_captured"] == 100
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 0
