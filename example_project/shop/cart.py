"""The cart: what a visitor wants, kept in their session until it becomes an order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from example_project.shop.models import CURRENCIES, Order, OrderLine, Price, Product

MOST_OF_ONE: Final = 20
_ITEMS: Final = "cart"
_CURRENCY: Final = "currency"


@dataclass(frozen=True, kw_only=True)
class CartLine:
    """Pair a product with how many of it are wanted and what one costs."""

    product: Product
    quantity: int
    unit_price: Decimal

    @property
    def total(self) -> Decimal:
        """What the line costs."""
        return self.quantity * self.unit_price


class Cart:
    """Read and change the cart of one visitor's session."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    @property
    def currency_code(self) -> str:
        """The currency whose price list the visitor looks at."""
        chosen = str(self._session.get(_CURRENCY, CURRENCIES[0]))
        return chosen if chosen in CURRENCIES else CURRENCIES[0]

    @currency_code.setter
    def currency_code(self, code: str) -> None:
        if code in CURRENCIES:
            self._session[_CURRENCY] = code

    @property
    def count(self) -> int:
        """How many pieces are in the cart."""
        return sum(self._items.values())

    @property
    def lines(self) -> list[CartLine]:
        """What is in the cart, in the order of the catalogue."""
        items = self._items
        prices = Price.objects.filter(product__slug__in=items, currency_code=self.currency_code)
        return [
            CartLine(product=price.product, quantity=items[price.product.slug], unit_price=price.amount)
            for price in prices.select_related("product").order_by("product__position")
        ]

    @property
    def total(self) -> Decimal:
        """What the cart costs."""
        return sum((line.total for line in self.lines), Decimal(0))

    def add(self, product: Product) -> None:
        """Put one more of a product into the cart."""
        self.set_quantity(product, self._items.get(product.slug, 0) + 1)

    def set_quantity(self, product: Product, quantity: int) -> None:
        """Have so many of a product in the cart; none takes it out."""
        items = self._items | {product.slug: min(max(quantity, 0), MOST_OF_ONE)}
        self._session[_ITEMS] = {slug: number for slug, number in items.items() if number}

    def place_order(self, *, email: str, customer: AbstractBaseUser | None) -> Order:
        """Turn what is in the cart into an order, and empty the cart."""
        order = write_order(
            lines=self.lines, currency_code=self.currency_code, email=email, customer=customer
        )
        self._session[_ITEMS] = {}
        return order

    @property
    def _items(self) -> dict[str, int]:
        stored = self._session.get(_ITEMS, {})
        return {str(slug): int(number) for slug, number in stored.items()}


def write_order(
    *,
    lines: list[CartLine],
    currency_code: str,
    email: str,
    customer: AbstractBaseUser | None = None,
    number: str | None = None,
) -> Order:
    """Insert an order with its lines; its total is theirs."""
    named = {} if number is None else {"number": number}
    with transaction.atomic():
        order = Order.objects.create(
            email=email,
            customer=customer,
            currency_code=currency_code,
            total=sum((line.total for line in lines), Decimal(0)),
            **named,
        )
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order,
                product=line.product,
                name=line.product.name,
                quantity=line.quantity,
                unit_price=line.unit_price,
            )
            for line in lines
        )
    return order
