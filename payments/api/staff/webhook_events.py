"""The inbox, for operators: what providers have sent, what became of it, and applying it again."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import EnumField, MomentField, ObjectField, get_row
from payments.api.staff import filters
from payments.api.staff.views import PRIVATE, ListMixin, PrivateDataSerializer, StaffView
from payments.models import WebhookEvent
from payments.services.search import Search
from payments.states import WebhookEventStatus


class WebhookEventSerializer(PrivateDataSerializer):
    """A provider's event, and what has become of it."""

    private = {"fact": PRIVATE}

    id = serializers.CharField(read_only=True)
    provider_id = serializers.CharField(read_only=True)
    event_id = serializers.CharField(read_only=True)
    type = serializers.CharField(read_only=True)
    status = EnumField(WebhookEventStatus)
    detail = serializers.CharField(read_only=True)
    payment_session_id = serializers.CharField(source="session_id", read_only=True, allow_null=True)
    provider_reference = serializers.CharField(read_only=True, allow_null=True)
    payload = ObjectField(read_only=True)
    fact = ObjectField(read_only=True, allow_null=True)
    attempts = serializers.IntegerField(read_only=True)
    occurred_at = MomentField(allow_null=True)
    next_attempt_at = MomentField(allow_null=True)
    applied_at = MomentField(allow_null=True)
    created_at = MomentField()
    updated_at = MomentField()


class WebhookEventsView(ListMixin):
    """The list of webhook events."""

    permissions = {"GET": "view_webhookevent"}
    output = WebhookEventSerializer
    conditions = {
        "status": filters.OneOf("status", WebhookEventStatus),
        "provider": filters.equals("provider"),
        "type": filters.equals("type"),
        "event_id": filters.equals("event_id"),
        "payment_session": filters.equals("session"),
        "provider_reference": filters.equals("provider_reference"),
        **filters.of_collection("session__collection"),
        **filters.created(),
    }
    search = Search(
        ids={"paywh": "id", "payses": "session__id", "pay_col": "session__collection__id"},
        exact=("event_id", "provider_reference", "session__provider_reference"),
        customer="session__collection__customer",
    )

    def rows(self) -> QuerySet[WebhookEvent]:
        """Return all events."""
        return WebhookEvent.objects.all()


class WebhookEventView(StaffView):
    """A webhook event."""

    permissions = {"GET": "view_webhookevent"}
    output = WebhookEventSerializer

    def get(self, request: Request, event_id: str) -> Response:
        """Answer with the event."""
        return self.answer(get_row(WebhookEvent.objects.all(), event_id))


class ReplayWebhookEventView(StaffView):
    """The repeated application of a webhook event."""

    permissions = {"POST": "replay_webhook"}
    to_view = ("view_webhookevent",)
    output = WebhookEventSerializer

    def post(self, request: Request, event_id: str) -> Response:
        """Apply it again, whatever became of it before; what is recorded already stays as it is."""
        event = get_row(WebhookEvent.objects.all(), event_id)
        self.read()
        services.replay_webhook_event(event, **self.origin())
        return self.answer(get_row(WebhookEvent.objects.all(), event_id))
