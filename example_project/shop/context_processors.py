"""What every page of the shop shows: the cart and the price lists."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from example_project.shop.cart import Cart
from example_project.shop.models import CURRENCIES


def shop(request: HttpRequest) -> dict[str, Any]:
    """Return the visitor's cart and the currencies there are."""
    return {"cart": Cart(request.session), "currencies": CURRENCIES}
