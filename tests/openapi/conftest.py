"""The shop and the visitors of the API's own tests."""

from __future__ import annotations

import pytest

from payments.testing import Script
from tests.api.conftest import boss, collection, guest, make_order, owner, payment, shopper

__all__ = ["boss", "collection", "guest", "make_order", "owner", "payment", "shopper"]


@pytest.fixture(autouse=True)
def _provider(script: Script) -> None:
    """Have each test begin with a provider that does what the test says."""
