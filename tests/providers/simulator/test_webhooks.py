"""Webhooks that the service really sends: each is proven, read, and states where the session stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from payments.exceptions import WebhookVerificationError
from payments.providers import WebhookRequest, WebhookResult
from payments.providers.simulator import SimulatorOptions, SimulatorProvider
from payments.simulator import SimulatorService, sign
from payments.testing import Attempt, SessionDriver
from tests.simulator.client import Received, Shop

pytestmark = pytest.mark.database_independent

OLD, NEW = "whsec_old", "whsec_new"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    shop = Shop()
    server = shop.start()
    yield shop
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def service(shop: Shop) -> Iterator[SimulatorService]:
    """A service that signs with two secrets, as during a rotation."""
    with SimulatorService(async_delay=None, webhook_url=shop.url, webhook_secret=[OLD, NEW]) as running:
        yield running


def provider(service: SimulatorService, *secrets: str) -> SimulatorProvider:
    options = SimulatorOptions(
        base_url=service.url, webhook_secrets=list(secrets), api_key=service.settings.api_key
    )
    return SimulatorProvider(alias="simulator", options=options)


def drive(service: SimulatorService, **sent: Any) -> SessionDriver:
    driver = SessionDriver(provider=provider(service), attempt=Attempt(input=sent))
    driver.initiate()
    return driver


def delivered(service: SimulatorService, shop: Shop, driver: SessionDriver) -> list[Received]:
    assert service.wait_for_webhooks()
    return [each for each in shop.received if each.event["data"]["object"]["reference"] == driver.session_id]


def request_of(received: Received) -> WebhookRequest:
    return WebhookRequest(body=received.body, headers=received.headers)


def parsed(service: SimulatorService, received: Received, *secrets: str) -> WebhookResult:
    return provider(service, *secrets or (NEW,)).parse_webhook(request_of(received))


def test_each_step_of_a_life_is_told_and_believed(service: SimulatorService, shop: Shop) -> None:
    driver = drive(service)
    driver.authorize()
    driver.capture()
    driver.refund()
    events = [parsed(service, each) for each in delivered(service, shop, driver)]
    assert [event.event_type for event in events] == [
        "intent.authorized",
        "capture.succeeded",
        "refund.succeeded",
    ]
    assert {event.session_id for event in events} == {driver.session_id}
    assert {event.provider_reference for event in events} == {driver.provider_reference}
    facts = [event.fact for event in events if event.fact]
    assert [str(fact.captured_amount) for fact in facts] == ["0.00", "100.00", "100.00"]
    assert [str(fact.refunded_amount) for fact in facts] == ["0.00", "0.00", "100.00"]
    assert [movement.operation_id for movement in facts[-1].movements] == driver.operation_ids[2:]


@pytest.mark.parametrize(
    ("card", "event_type", "status"),
    [
        ("card_declined", "intent.declined", "error"),
        ("card_3ds", "intent.requires_action", "requires_more"),
    ],
)
def test_what_went_another_way_is_told_too(
    service: SimulatorService, shop: Shop, card: str, event_type: str, status: str
) -> None:
    driver = drive(service, card=card)
    driver.authorize()
    [event] = [parsed(service, each) for each in delivered(service, shop, driver)]
    assert event.fact is not None
    assert (event.event_type, event.fact.status) == (event_type, status)
    assert (event.fact.failure is None) == (status != "error")
    assert (event.fact.next_action is None) == (status != "requires_more")


def test_a_release_is_told(service: SimulatorService, shop: Shop) -> None:
    driver = drive(service)
    driver.authorize()
    driver.cancel()
    event = parsed(service, delivered(service, shop, driver)[-1])
    assert event.fact is not None
    assert (event.event_type, event.fact.status) == ("intent.canceled", "canceled")
    assert event.fact.canceled_amount == 100


@pytest.mark.parametrize("secrets", [(OLD,), (NEW,), (OLD, NEW), ("whsec_other", NEW)])
def test_one_known_secret_is_enough_while_they_are_replaced(
    service: SimulatorService, shop: Shop, secrets: tuple[str, ...]
) -> None:
    driver = drive(service)
    driver.authorize()
    [received] = delivered(service, shop, driver)
    assert parsed(service, received, *secrets).session_id == driver.session_id


@pytest.mark.parametrize("secrets", [(), ("whsec_other",)])
def test_without_a_known_secret_nothing_is_believed(
    service: SimulatorService, shop: Shop, secrets: tuple[str, ...]
) -> None:
    driver = drive(service)
    driver.authorize()
    [received] = delivered(service, shop, driver)
    with pytest.raises(WebhookVerificationError):
        provider(service, *secrets).parse_webhook(request_of(received))


@pytest.mark.parametrize("offset", [-299, 0, 299])
def test_a_signature_holds_for_five_minutes_either_way(service: SimulatorService, offset: int) -> None:
    assert accepts(service, json.dumps(EVENT).encode(), offset=offset)


@pytest.mark.parametrize("offset", [-302, 302, -(10**9)])
def test_and_no_longer(service: SimulatorService, offset: int) -> None:
    assert not accepts(service, json.dumps(EVENT).encode(), offset=offset)


INTENT: dict[str, Any] = {
    "id": "int_1",
    "reference": "payses_1",
    "status": "authorized",
    "amount": 100,
    "currency": "eur",
    **dict.fromkeys(("amount_authorized", "amount_captured", "amount_refunded", "amount_canceled"), 0),
    "amount_charged_back": 0,
    "captures": [],
    "refunds": [],
    "chargebacks": [],
    "decline": None,
    "next_action": None,
    "last_error": None,
    "client_token": "ct",
    "risk_score": 1,
    "network_token": "ntk",
    "card": None,
}
EVENT: dict[str, Any] = {"id": "evt_1", "type": "t", "created": 1, "data": {"object": INTENT}}


def accepts(service: SimulatorService, body: bytes, *, offset: int = 0) -> bool:
    headers = {"simulator-signature": sign([NEW], body, int(time.time()) + offset)}
    try:
        provider(service, NEW).parse_webhook(WebhookRequest(body=body, headers=headers))
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("name", ["id", "reference", "status", "amount", "currency", "captures", "decline"])
def test_a_signed_event_that_lacks_something_is_refused(service: SimulatorService, name: str) -> None:
    intent = {key: value for key, value in INTENT.items() if key != name}
    assert not accepts(service, json.dumps({**EVENT, "data": {"object": intent}}).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "unheard_of"),
        ("status", None),
        ("amount", "100"),
        ("amount", 1.5),
        ("amount", -1),
        ("amount", 10**40),
        ("currency", "xxy"),
        ("currency", None),
        ("captures", [{}]),
        ("captures", {"id": 1}),
        ("next_action", "https://bank.example"),
        ("decline", []),
    ],
)
def test_a_signed_event_with_something_odd_is_refused(
    service: SimulatorService, name: str, value: object
) -> None:
    body = json.dumps({**EVENT, "data": {"object": {**INTENT, name: value}}}).encode()
    assert not accepts(service, body)


@pytest.mark.parametrize("created", [None, "now", 1e300, -1e300, "1e999", "NaN", [], True])
def test_a_signed_event_from_no_time_is_refused(service: SimulatorService, created: object) -> None:
    body = json.dumps({**EVENT, "created": created}).encode()
    for nonsense in (body, body.replace(b'"1e999"', b"1e999"), body.replace(b'"NaN"', b"NaN")):
        assert accepts(service, nonsense) == (created is True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=ab",
        "t=,v1=ab",
        "t=now,v1=ab",
        "t=1,t=2,v1=ab",
        "t=-1,v1=ab",
        "t=١,v1=ab",
        "t=99999999999999999999999999,v1=ab",
        "t=1;v1=ab",
        "\ud800",
        "t=1,v1=\ud800",
    ],
)
def test_a_header_of_another_form_is_refused(service: SimulatorService, header: str) -> None:
    request = WebhookRequest(body=json.dumps(EVENT).encode(), headers={"simulator-signature": header})
    with pytest.raises(WebhookVerificationError):
        provider(service, NEW).parse_webhook(request)


def test_what_is_kept_of_an_event_holds_nothing_private(service: SimulatorService, shop: Shop) -> None:
    driver = drive(service)
    driver.authorize()
    [received] = delivered(service, shop, driver)
    kept = json.dumps(parsed(service, received).payload)
    assert driver.provider_data["network_token"] not in kept
    assert driver.data["client_token"] not in kept
