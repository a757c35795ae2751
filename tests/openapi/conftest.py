"""The shop and the visitors of the API's own tests."""

from __future__ import annotations

from tests.api.conftest import boss, collection, guest, make_order, owner, payment, script, shopper

__all__ = ["boss", "collection", "guest", "make_order", "owner", "payment", "script", "shopper"]
