"""The app's URL patterns; a project includes them anywhere: `path("payments/", include("payments.urls"))`."""

from __future__ import annotations

from django.urls import include, path

from payments.api.health import HealthView, MetricsView

app_name = "payments"

urlpatterns = [
    path("storefront/", include("payments.api.storefront.urls")),
    path("staff/", include("payments.api.staff.urls")),
    path("webhooks/", include("payments.webhooks")),
    path("health/", HealthView.as_view(), name="health"),
    path("metrics/", MetricsView.as_view(), name="metrics"),
]
