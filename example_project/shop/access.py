"""Who may see which order: its customer, and the browser that placed it. A bill is for whoever names its number."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.db.models import Q
from django.http import HttpRequest

from example_project.shop.models import Order

_PLACED: Final = "orders"
_REMEMBERED: Final = 50


def remember_order(request: HttpRequest, order: Order) -> None:
    """Let this browser see an order that it placed, whether or not anybody is logged in."""
    placed = [*request.session.get(_PLACED, []), order.number]
    request.session[_PLACED] = placed[-_REMEMBERED:]


def connect() -> None:
    """Have what a guest has ordered become theirs when they log in; doing it twice is doing it once."""
    user_logged_in.connect(adopt_orders, dispatch_uid="example_shop.adopt_orders")


def adopt_orders(request: HttpRequest, user: AbstractBaseUser, **_signal: Any) -> None:
    """Give a customer who logs in the orders that this browser has placed without anybody being logged in."""
    placed = Order.objects.filter(number__in=request.session.get(_PLACED, []), customer__isnull=True)
    placed.exclude(email="").update(customer=user)


def find_order(request: HttpRequest, number: str) -> Order | None:
    """Return an order that the visitor may see; None for a foreign one, as for one that isn't there.

    What no customer and no address belongs to is a bill, as on a table: it tells nothing of anybody, and whoever wants
    to may pay it.
    """
    is_theirs = Q(number__in=request.session.get(_PLACED, []), customer__isnull=True)
    is_theirs |= Q(customer__isnull=True, email="")
    if request.user.is_authenticated:
        is_theirs |= Q(customer=request.user)
    return Order.objects.filter(is_theirs, number=number).first()
