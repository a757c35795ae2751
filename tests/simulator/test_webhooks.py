"""Webhooks: signed, retried, and duplicated, held, reordered, late or lost on request."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time

import pytest

from payments.simulator import SimulatorService
from tests.simulator.client import API_KEY, Merchant, Received, Shop, eventually

pytestmark = pytest.mark.database_independent


def digests(received: Received, secret: str) -> tuple[int, list[str], str]:
    """Return timestamp and signatures sent, and the one that ought to be among them."""
    pairs = [part.split("=", 1) for part in received.headers["simulator-signature"].split(",")]
    stamp = next(value for name, value in pairs if name == "t")
    sent = [value for name, value in pairs if name == "v1"]
    signed = stamp.encode() + b"." + received.body
    return int(stamp), sent, hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def test_event_is_signed_and_carries_the_whole_intent(
    told: SimulatorService, told_merchant: Merchant, shop: Shop
) -> None:
    path = told_merchant.authorized()
    assert told.wait_for_webhooks()
    (received,) = shop.received
    stamp, sent, expected = digests(received, "whsec_a")
    assert sent == [expected]
    assert abs(stamp - time.time()) < 5
    assert received.path == "/hooks/?shop=1"
    event = received.event
    assert set(event) == {"id", "type", "created", "data"}
    assert event["id"].startswith("evt_")
    assert event["type"] == "intent.authorized"
    assert event["data"]["object"] == told_merchant.get(path).json


def test_every_kind_of_event_is_told(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    path = told_merchant.authorized()
    told_merchant.post(f"{path}/captures", amount=9000, reference="c")
    told_merchant.post(f"{path}/cancel")
    refund = told_merchant.post(f"{path}/refunds", amount=1000, reference="r").json
    told.fail(refund["id"])
    told.chargeback(path.rsplit("/", 1)[1], 500)
    told.script(operation="capture", fault="decline")
    other = told_merchant.authorized()
    told_merchant.post(f"{other}/captures", amount=1, reference="c")
    challenged = told_merchant.challenged()
    told.reject_challenge(challenged["id"])
    assert told.wait_for_webhooks()
    assert shop.types == [
        "intent.authorized", "capture.succeeded", "intent.canceled", "refund.succeeded", "refund.failed",
        "chargeback.created", "intent.authorized", "capture.failed", "intent.requires_action", "intent.declined",
    ]  # fmt: skip


def test_both_secrets_sign_during_a_rotation(
    told: SimulatorService, told_merchant: Merchant, shop: Shop
) -> None:
    told.settings.webhook_secrets = ("whsec_new", "whsec_a")
    told_merchant.authorized()
    assert told.wait_for_webhooks()
    (received,) = shop.received
    for secret in ("whsec_new", "whsec_a"):
        _, sent, expected = digests(received, secret)
        assert len(sent) == 2
        assert expected in sent


def test_clock_offset_shows_in_the_signature(
    told: SimulatorService, told_merchant: Merchant, shop: Shop
) -> None:
    told.set_clock(-301)
    told_merchant.authorized()
    assert told.wait_for_webhooks()
    stamp, sent, expected = digests(shop.received[0], "whsec_a")
    assert sent == [expected]
    assert stamp <= time.time() - 300


@pytest.mark.parametrize("status", [500, 404, 302])
def test_refused_delivery_is_retried_with_the_same_event(
    told: SimulatorService, told_merchant: Merchant, shop: Shop, status: int
) -> None:
    shop.statuses = [status, status]
    told_merchant.authorized()
    assert told.wait_for_webhooks()
    assert len({each.body for each in shop.received}) == 1
    assert len(shop.received) == 3
    (event,) = told.events()
    assert (event.status, event.attempts, event.last_answer) == ("delivered", 3, "200")


def test_delivery_is_given_up_after_the_last_retry_and_can_be_sent_again(
    told: SimulatorService, told_merchant: Merchant, shop: Shop
) -> None:
    shop.statuses = [500] * 3
    told_merchant.authorized()
    assert told.wait_for_webhooks()
    (event,) = told.events()
    assert (event.status, event.attempts) == ("failed", 3)
    told.redeliver(event.id, times=2)
    assert told.wait_for_webhooks()
    assert told.events()[0].status == "delivered"
    assert len(shop.received) == 5


def test_shop_that_is_away_is_retried(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    there, told.settings.webhook_url = told.settings.webhook_url, "http://127.0.0.1:1/"
    told.settings.webhook_retries = (0.2,) * 9
    told_merchant.authorized()
    assert eventually(lambda: told.events()[0].attempts >= 1)
    assert told.events()[0].last_answer == "ConnectionRefusedError"
    told.settings.webhook_url = there
    assert told.wait_for_webhooks()
    assert shop.types == ["intent.authorized"]


def test_duplicates(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    told.deliver(duplicate=3)
    told_merchant.authorized()
    assert told.wait_for_webhooks()
    assert len({each.event["id"] for each in shop.received}) == 1
    assert len(shop.received) == 3


def test_held_events_are_released_in_any_order(
    told: SimulatorService, told_merchant: Merchant, shop: Shop
) -> None:
    told.deliver(hold=True)
    path = told_merchant.captured()
    told_merchant.post(f"{path}/refunds", amount=100, reference="r")
    assert told.wait_for_webhooks()
    first, second, third = told.events()
    assert shop.received == []
    told.release(second.id)
    assert told.wait_for_webhooks()
    told.release(reverse=True)
    assert told.wait_for_webhooks()
    assert [each.event["id"] for each in shop.received] == [second.id, third.id, first.id]


def test_reordered_events_swap_places(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    told.deliver(reorder=True)
    told_merchant.captured()
    assert told.wait_for_webhooks()
    assert shop.types == ["capture.succeeded", "intent.authorized"]


def test_late_events_come_late(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    told.deliver(delay=0.3)
    told_merchant.authorized()
    told.deliver()
    told_merchant.challenged()
    assert eventually(lambda: len(shop.received) == 1)
    assert told.wait_for_webhooks()
    assert shop.types == ["intent.requires_action", "intent.authorized"]


def test_dropped_events_never_come(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    told.deliver(drop=True)
    told_merchant.authorized()
    assert told.wait_for_webhooks()
    assert (shop.received, told.events()[0].status) == ([], "dropped")


def test_webhook_comes_before_the_answer(told: SimulatorService, told_merchant: Merchant, shop: Shop) -> None:
    path = f"/v1/intents/{told_merchant.initiate()['id']}"
    told.script(operation="authorize", fault="latency", seconds=0.5, when="after")
    started = time.monotonic()
    assert told_merchant.post(f"{path}/authorize").status == 200
    assert time.monotonic() - started >= 0.5
    assert shop.types == ["intent.authorized"]


def test_what_was_not_delivered_is_after_a_restart(
    told: SimulatorService, told_merchant: Merchant, shop: Shop
) -> None:
    told.settings.webhook_retries = (0.2,)
    shop.statuses = [500]
    told_merchant.authorized()
    assert eventually(lambda: len(shop.received) == 1)
    told.stop()
    told.start()
    assert told.wait_for_webhooks()
    assert len(shop.received) == 2


def test_without_an_address_events_are_dropped_and_may_be_sent_later(
    service: SimulatorService, merchant: Merchant, shop: Shop
) -> None:
    merchant.authorized()
    (event,) = service.events(reference="payses_1", type="intent.authorized")
    assert event.status == "dropped"
    service.settings.webhook_url = shop.url
    service.redeliver(event.id)
    assert service.wait_for_webhooks()
    assert shop.types == ["intent.authorized"]


def test_several_senders_deliver_at_once(shop: Shop) -> None:
    shop.at_once = threading.Barrier(3)
    with SimulatorService(
        api_key=API_KEY, async_delay=None, webhook_url=shop.url, webhook_senders=3, webhook_retries=()
    ) as service:
        service.deliver(hold=True)
        merchant = Merchant(url=service.url)
        for _ in range(3):
            merchant.authorized()
        service.release()
        assert service.wait_for_webhooks()
        assert [event.status for event in service.events()] == ["delivered"] * 3
