"""Addresses of the operator's API."""

from __future__ import annotations

from django.urls import path

from payments.api.staff import (
    collections,
    operations,
    payments,
    providers,
    refund_reasons,
    sessions,
    webhook_events,
)

urlpatterns = [
    path(
        "payment-collections/",
        collections.PaymentCollectionsView.as_view(),
        name="staff-payment-collections",
    ),
    path(
        "payment-collections/<str:collection_id>/",
        collections.PaymentCollectionView.as_view(),
        name="staff-payment-collection",
    ),
    path(
        "payment-collections/<str:collection_id>/cancel/",
        collections.CancelCollectionView.as_view(),
        name="staff-payment-collection-cancel",
    ),
    path(
        "payment-collections/<str:collection_id>/mark-as-paid/",
        collections.MarkAsPaidView.as_view(),
        name="staff-payment-collection-mark-as-paid",
    ),
    path("payment-sessions/", sessions.PaymentSessionsView.as_view(), name="staff-payment-sessions"),
    path(
        "payment-sessions/<str:session_id>/",
        sessions.PaymentSessionView.as_view(),
        name="staff-payment-session",
    ),
    path(
        "payment-sessions/<str:session_id>/authorize/",
        sessions.AuthorizeSessionView.as_view(),
        name="staff-payment-session-authorize",
    ),
    path(
        "payment-sessions/<str:session_id>/cancel/",
        sessions.CancelSessionView.as_view(),
        name="staff-payment-session-cancel",
    ),
    path(
        "payment-sessions/<str:session_id>/sync/",
        sessions.SyncSessionView.as_view(),
        name="staff-payment-session-sync",
    ),
    path("payments/", payments.PaymentsListView.as_view(), name="staff-payments"),
    path("payments/<str:payment_id>/", payments.PaymentView.as_view(), name="staff-payment"),
    path(
        "payments/<str:payment_id>/capture/",
        payments.CapturePaymentView.as_view(),
        name="staff-payment-capture",
    ),
    path(
        "payments/<str:payment_id>/refund/", payments.RefundPaymentView.as_view(), name="staff-payment-refund"
    ),
    path(
        "payments/<str:payment_id>/cancel/", payments.CancelPaymentView.as_view(), name="staff-payment-cancel"
    ),
    path("payments/<str:payment_id>/sync/", payments.SyncPaymentView.as_view(), name="staff-payment-sync"),
    path("refund-reasons/", refund_reasons.RefundReasonsView.as_view(), name="staff-refund-reasons"),
    path(
        "refund-reasons/<str:reason_id>/",
        refund_reasons.RefundReasonView.as_view(),
        name="staff-refund-reason",
    ),
    path("payment-providers/", providers.PaymentProvidersView.as_view(), name="staff-payment-providers"),
    path(
        "payment-providers/<str:provider_id>/enable/",
        providers.EnableProviderView.as_view(),
        name="staff-payment-provider-enable",
    ),
    path(
        "payment-providers/<str:provider_id>/disable/",
        providers.DisableProviderView.as_view(),
        name="staff-payment-provider-disable",
    ),
    path("operations/", operations.OperationsView.as_view(), name="staff-operations"),
    path("operations/<str:operation_id>/", operations.OperationView.as_view(), name="staff-operation"),
    path(
        "operations/<str:operation_id>/check/",
        operations.CheckOperationView.as_view(),
        name="staff-operation-check",
    ),
    path(
        "operations/<str:operation_id>/resolve/",
        operations.ResolveOperationView.as_view(),
        name="staff-operation-resolve",
    ),
    path(
        "operations/<str:operation_id>/correct/",
        operations.CorrectOperationView.as_view(),
        name="staff-operation-correct",
    ),
    path("webhook-events/", webhook_events.WebhookEventsView.as_view(), name="staff-webhook-events"),
    path(
        "webhook-events/<str:event_id>/",
        webhook_events.WebhookEventView.as_view(),
        name="staff-webhook-event",
    ),
    path(
        "webhook-events/<str:event_id>/replay/",
        webhook_events.ReplayWebhookEventView.as_view(),
        name="staff-webhook-event-replay",
    ),
]
