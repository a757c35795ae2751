"""Addresses of the example project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_project import views

urlpatterns = [
    path("", views.front, name="front"),
    path("shop/", include("example_project.shop.urls")),
    path("payments/", include("payments.urls")),
    path("admin/", admin.site.urls),
    path("language/", include("django.conf.urls.i18n")),
]
