"""Addresses of the payer's API."""

from __future__ import annotations

from django.urls import path

from payments.api.storefront import collections, providers, sessions

urlpatterns = [
    path("payment-providers/", providers.PaymentProvidersView.as_view(), name="storefront-payment-providers"),
    path(
        "payment-providers/<str:provider_id>/saved-payment-methods/",
        providers.SavedPaymentMethodsView.as_view(),
        name="storefront-saved-payment-methods",
    ),
    path(
        "payment-providers/<str:provider_id>/saved-payment-methods/<str:method_id>/",
        providers.SavedPaymentMethodView.as_view(),
        name="storefront-saved-payment-method",
    ),
    path(
        "payment-collections/",
        collections.PaymentCollectionsView.as_view(),
        name="storefront-payment-collections",
    ),
    path(
        "payment-collections/<str:collection_id>/",
        collections.PaymentCollectionView.as_view(),
        name="storefront-payment-collection",
    ),
    path(
        "payment-collections/<str:collection_id>/payment-sessions/",
        sessions.CollectionSessionsView.as_view(),
        name="storefront-payment-collection-sessions",
    ),
    path(
        "payment-sessions/<str:session_id>/",
        sessions.PaymentSessionView.as_view(),
        name="storefront-payment-session",
    ),
    path(
        "payment-sessions/<str:session_id>/authorize/",
        sessions.AuthorizeSessionView.as_view(),
        name="storefront-payment-session-authorize",
    ),
    path(
        "payment-sessions/<str:session_id>/cancel/",
        sessions.CancelSessionView.as_view(),
        name="storefront-payment-session-cancel",
    ),
]
