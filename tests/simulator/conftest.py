"""A running simulator, a merchant of it, and a shop that receives its webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments.simulator import SimulatorService
from tests.simulator.client import API_KEY, Merchant, Shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Return a shop that receives webhooks."""
    shop = Shop()
    server = shop.start()
    yield shop
    server.shutdown()
    server.server_close()


@pytest.fixture
def service() -> Iterator[SimulatorService]:
    """Return a running simulator in which nothing settles by itself and no webhook is sent."""
    with SimulatorService(api_key=API_KEY, async_delay=None) as running:
        yield running


@pytest.fixture
def told(shop: Shop) -> Iterator[SimulatorService]:
    """Return a running simulator that tells the shop what happens."""
    with SimulatorService(
        api_key=API_KEY,
        async_delay=None,
        webhook_url=shop.url,
        webhook_secret="whsec_a",
        webhook_retries=(0.02, 0.02),
    ) as running:
        yield running


@pytest.fixture
def merchant(service: SimulatorService) -> Merchant:
    """Return a merchant of `service`."""
    return Merchant(url=service.url)


@pytest.fixture
def told_merchant(told: SimulatorService) -> Merchant:
    """Return a merchant of `told`."""
    return Merchant(url=told.url)
