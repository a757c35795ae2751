"""The shop in the admin: orders with the collections that they are paid by, products with their prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from example_project.shop.models import Order, OrderLine, Price, Product
from payments.admin import PayableAdminMixin
from payments.money import display_amount

if TYPE_CHECKING:  # django-stubs makes these generic; Django itself doesn't
    _OrderAdmin = admin.ModelAdmin[Order]
    _ProductAdmin = admin.ModelAdmin[Product]
    _OrderLines = admin.TabularInline[OrderLine, Order]
    _Prices = admin.TabularInline[Price, Product]
else:
    _OrderAdmin = _ProductAdmin = admin.ModelAdmin
    _OrderLines = _Prices = admin.TabularInline


class ReadOnly:
    """Show rows, and let nobody add, change or delete them here."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False


class OrderLineInline(ReadOnly, _OrderLines):
    """Show what was ordered."""

    model = OrderLine
    fields = ("name", "quantity", "price", "total")
    readonly_fields = ("price", "total")

    @admin.display(description=_("unit price"))
    def price(self, line: OrderLine) -> str:
        """Return what one costs."""
        return display_amount(line.unit_price, line.order.currency_code)

    @admin.display(description=_("total"))
    def total(self, line: OrderLine) -> str:
        """Return what all of them cost."""
        return display_amount(line.total, line.order.currency_code)


@admin.register(Order)
class OrderAdmin(PayableAdminMixin, ReadOnly, _OrderAdmin):
    """Show orders; their payment is inspected, and acted upon, at their collections."""

    list_display = ("number", "placed_at", "email", "amount", "status", "payment_collections")
    list_filter = ("status", "currency_code", "placed_at")
    search_fields = ("number", "email")
    date_hierarchy = "placed_at"
    fields = ("number", "status", "placed_at", "email", "customer", "amount", "payment_collections")
    readonly_fields = ("amount", "payment_collections")
    inlines = (OrderLineInline,)

    @admin.display(description=_("total"), ordering="total")
    def amount(self, order: Order) -> str:
        """Return the total with its currency."""
        return display_amount(order.total, order.currency_code)


class PriceInline(_Prices):
    """Edit what a product costs."""

    model = Price
    fields = ("currency_code", "amount")
    extra = 0


@admin.register(Product)
class ProductAdmin(_ProductAdmin):
    """Edit the catalogue."""

    list_display = ("name", "description", "position")
    fields = ("name", "slug", "description", "shape", "glaze", "position")
    prepopulated_fields: ClassVar[dict[str, Sequence[str]]] = {"slug": ("name",)}
    inlines = (PriceInline,)
