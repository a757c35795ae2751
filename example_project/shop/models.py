"""What the shop sells, and what was ordered. Nothing here knows how an order is paid."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.money import AmountField, display_amount

CURRENCIES: Final = ("eur", "jpy", "kwd")
"""The currencies in which there is a price list; two, no and three decimals (ISO 4217)."""

_ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXZ"
_NUMBER_LENGTH: Final = 8


def new_order_number() -> str:
    """Return an order number that can't be guessed, without letters that are easily mistaken."""
    return "SG-" + "".join(secrets.choice(_ALPHABET) for _position in range(_NUMBER_LENGTH))


class Product(models.Model):
    """Be a piece of pottery. `shape` and `glaze` say how it is drawn."""

    slug = models.SlugField(_("slug"), unique=True)
    name = models.CharField(_("name"), max_length=80)
    description = models.CharField(_("description"), max_length=200)
    shape = models.CharField(_("shape"), max_length=20)
    glaze = models.CharField(_("glaze"), max_length=20)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    objects: ClassVar[models.Manager[Product]] = models.Manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class Price(models.Model):
    """Be what a product costs in one currency: an exact amount in major units."""

    product = models.ForeignKey(
        Product, verbose_name=_("product"), on_delete=models.CASCADE, related_name="prices"
    )
    currency_code = models.CharField(_("currency"), max_length=3)
    amount = AmountField(_("amount"))

    objects: ClassVar[models.Manager[Price]] = models.Manager()

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            models.UniqueConstraint(fields=["product", "currency_code"], name="example_shop_price_unique"),
        ]

    def __str__(self) -> str:
        return display_amount(self.amount, self.currency_code)


class OrderStatus(models.TextChoices):
    """How far an order is. Receivers of the payment signals move it on."""

    OPEN = "open", _("Waiting for payment")
    CONFIRMED = "confirmed", _("Confirmed")
    PARTLY_PAID = "partly_paid", _("Partly paid")
    PAID = "paid", _("Paid")
    CANCELED = "canceled", _("Canceled")
    REFUNDED = "refunded", _("Refunded")


class Order(models.Model):
    """Be an order with a total in major units of `currency_code` (ISO 4217, lower case)."""

    number = models.CharField(_("number"), max_length=20, unique=True, default=new_order_number)
    status = models.CharField(
        _("status"), max_length=12, choices=OrderStatus.choices, default=OrderStatus.OPEN
    )
    email = models.EmailField(_("e-mail address"))
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("customer"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="shop_orders",
    )
    currency_code = models.CharField(_("currency"), max_length=3)
    total = AmountField(_("total"))
    placed_at = models.DateTimeField(_("placed at"), default=timezone.now)

    objects: ClassVar[models.Manager[Order]] = models.Manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-placed_at", "-id"]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    """Be one product of an order, at the price of that day."""

    order = models.ForeignKey(Order, verbose_name=_("order"), on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(
        Product, verbose_name=_("product"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    name = models.CharField(_("name"), max_length=80)
    quantity = models.PositiveSmallIntegerField(_("quantity"))
    unit_price = AmountField(_("unit price"))

    objects: ClassVar[models.Manager[OrderLine]] = models.Manager()

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"  # noqa: RUF001 - the sign of multiplication is meant

    @property
    def total(self) -> Decimal:
        """What the line costs, in major units of the order's currency."""
        return self.quantity * self.unit_price
