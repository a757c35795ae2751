"""Template tags of the shop: amounts for people, and drawings."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.safestring import SafeString

from example_project.shop import art
from example_project.shop.models import Product
from payments.money import display_amount

register = template.Library()


@register.filter
def money(amount: Decimal, currency_code: str) -> str:
    """Return an amount in major units with its currency: "1,234.50 EUR"."""
    return display_amount(amount, currency_code)


@register.simple_tag
def drawing(product: Product, key: str = "") -> SafeString:
    """Return the drawing of a product; `key` tells two drawings of it on one page apart."""
    return art.draw(product.shape, product.glaze, key=f"{key}{product.slug}")
