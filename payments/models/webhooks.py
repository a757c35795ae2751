"""The inbox: each verified event of a provider, once."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Index, Q, UniqueConstraint
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments import ids
from payments.models.base import (
    KeptModel,
    KeptQuerySet,
    LeasedModel,
    index_where_set,
    status_has,
    status_is_known,
)
from payments.models.fields import KeyField, StatusField, transition
from payments.models.providers import PaymentProvider
from payments.models.sessions import PaymentSession
from payments.states import WebhookEventStatus as Status


class WebhookEventQuerySet(KeptQuerySet["WebhookEvent"]):
    """Webhook events."""

    def with_contents(self) -> WebhookEventQuerySet:
        """Select those that are over, and whose contents are still there."""
        return self.filter(status__in=[Status.APPLIED, Status.IGNORED], cleared_at__isnull=True)

    def clear(self) -> int:
        """Clear the contents; the rows stay, so that a later copy of an event is still recognized."""
        now = timezone.now()
        return self.update(payload={}, fact=None, cleared_at=now, updated_at=now)


class WebhookEvent(KeptModel, LeasedModel):
    """An event that a provider sent, and whether it was applied.

    `payload` is a redacted copy that an operator may read; `fact` is what the event reports, private, for a replay. The
    event's session is found by `reported_session_id`, by `provider_reference`, or by its capture, in this order.
    """

    id = KeyField(_("id"), primary_key=True, default=ids.new_webhook_event_id, editable=False)
    provider = models.ForeignKey(
        PaymentProvider, verbose_name=_("provider"), on_delete=models.PROTECT, related_name="webhook_events"
    )
    event_id = KeyField(_("event id"), max_length=255)
    type = models.CharField(_("type"), max_length=128)
    status = StatusField(_("status"), max_length=16, choices=Status, default=Status.RECEIVED)
    session = models.ForeignKey(
        PaymentSession,
        verbose_name=_("session"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="webhook_events",
    )
    payload = models.JSONField(_("payload"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    fact = models.JSONField(_("fact"), null=True, blank=True, encoder=DjangoJSONEncoder)
    provider_reference = KeyField(_("provider reference"), max_length=255, null=True, blank=True)
    reported_session_id = KeyField(
        _("reported session"), max_length=255, null=True, blank=True, editable=False
    )
    capture_reference = KeyField(_("reported capture"), max_length=255, null=True, blank=True, editable=False)
    other_captures = models.JSONField(_("other reported captures"), default=list, blank=True, editable=False)
    detail = models.TextField(_("detail"), blank=True, default="")
    occurred_at = models.DateTimeField(_("occurred at"), null=True, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True, default=timezone.now)
    applied_at = models.DateTimeField(_("applied at"), null=True, blank=True)

    cleared_at = models.DateTimeField(_("contents cleared at"), null=True, blank=True, editable=False)

    objects: ClassVar[WebhookEventQuerySet] = WebhookEventQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook event")
        verbose_name_plural = _("webhook events")
        ordering = ["-created_at", "-id"]
        constraints = [
            UniqueConstraint(fields=["event_id", "provider"], name="payments_webhook_event_unique"),
            status_is_known("payments_webhook_status_known", Status),
            status_has("payments_webhook_applied_has_time", Q(applied_at__isnull=False), Status.APPLIED),
            status_has(
                "payments_webhook_waiting_has_next_attempt",
                Q(next_attempt_at__isnull=False),
                Status.RECEIVED,
                Status.DEFERRED,
            ),
        ]
        indexes = [
            Index(fields=["status", "next_attempt_at"], name="payments_wh_due_idx"),
            Index(fields=["-created_at"], name="payments_wh_created_idx"),
            Index(
                fields=["cleared_at", "created_at"],
                condition=Q(cleared_at__isnull=True),
                name="payments_wh_uncleared_idx",
            ),
            index_where_set("provider_reference", name="payments_wh_reference_idx"),
        ]
        permissions = [("replay_webhook", _("Can replay webhook events"))]

    def __str__(self) -> str:
        return f"{self.type} ({self.event_id})"

    @transition(
        status,
        source=[Status.RECEIVED, Status.DEFERRED, Status.APPLIED, Status.IGNORED, Status.FAILED],
        target=Status.APPLIED,
    )
    def apply(self, *, session: PaymentSession) -> None:
        """Record that the event's fact is in the books of a session; possibly again, after an operator's replay."""
        self.session = session
        self.applied_at = timezone.now()
        self._end_attempt(detail="")

    @transition(
        status,
        source=[Status.RECEIVED, Status.DEFERRED, Status.APPLIED, Status.IGNORED, Status.FAILED],
        target=Status.DEFERRED,
    )
    def defer(self, *, until: datetime, detail: str) -> None:
        """Record that the event waits for another attempt; from a final status after an operator's replay."""
        self.applied_at = None
        self._end_attempt(detail=detail)
        self.next_attempt_at = until

    @transition(
        status,
        source=[Status.RECEIVED, Status.DEFERRED, Status.IGNORED, Status.FAILED],
        target=Status.IGNORED,
    )
    def ignore(self, *, detail: str) -> None:
        """Record that the event isn't about one of our sessions."""
        self._end_attempt(detail=detail)

    @transition(
        status,
        source=[Status.RECEIVED, Status.DEFERRED, Status.IGNORED, Status.FAILED],
        target=Status.FAILED,
    )
    def fail(self, *, detail: str) -> None:
        """Record that the last attempt to apply the event has failed."""
        self._end_attempt(detail=detail)

    def _end_attempt(self, *, detail: str) -> None:
        self.detail = detail
        self.end_lease()
        self.next_attempt_at = None
