"""Addresses with two admin sites: Django's own, and one that a project made."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from payments.admin import PaymentCollectionAdminMixin, PaymentSessionAdminMixin
from payments.models import PaymentCollection, PaymentSession
from tests.shop.models import Order


class ProjectModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Stand for the ModelAdmin of another skin."""


class CollectionAdmin(PaymentCollectionAdminMixin, ProjectModelAdmin):
    """Put the mixin in front of it, and choose something else than it does."""

    list_per_page = 5


class SessionAdmin(PaymentSessionAdminMixin, ProjectModelAdmin):
    """Put the mixin in front of it."""


class OrderAdmin(ProjectModelAdmin):
    """Say by what the shop's orders are found."""

    search_fields = ("number", "email")


ops_site = admin.AdminSite(name="ops")
ops_site.register(PaymentCollection, CollectionAdmin)
ops_site.register(PaymentSession, SessionAdmin)
ops_site.register(Order, OrderAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("ops/", ops_site.urls),
]
