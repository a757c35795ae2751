"""The admin under the skin, with the shop's own orders in it."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from unfold.admin import ModelAdmin

from payments.admin import PayableAdminMixin
from tests.shop.models import Order


@admin.register(Order)
class OrderAdmin(PayableAdminMixin, ModelAdmin):  # type: ignore[misc]
    """Lead from an order to the collections that pay for it."""

    list_display = ("number", "payment_collections")
    readonly_fields = ("payment_collections",)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("payments/", include("payments.urls")),
]
