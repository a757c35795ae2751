"""Retention: deleting what is kept only for a while. Rows that may stand for money are kept for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from payments.models import IdempotencyRecord, WebhookEvent
from payments.states import WebhookEventStatus


@dataclass(frozen=True, kw_only=True)
class PruneReport:
    """How many rows were cleared and deleted."""

    cleared_events: int
    deleted_records: int


def prune(*, events_older_than: timedelta) -> PruneReport:
    """Clear the contents of old finished webhook events, and delete expired idempotency records.

    An event's row stays, so that a later copy of the event is still recognized as a duplicate.
    """
    done = [WebhookEventStatus.APPLIED, WebhookEventStatus.IGNORED]
    events = WebhookEvent.objects.filter(
        status__in=done, created_at__lt=timezone.now() - events_older_than
    ).exclude(payload={}, fact__isnull=True)
    cleared = events.update(payload={}, fact=None, updated_at=timezone.now())
    deleted, _by_model = IdempotencyRecord.objects.filter(expires_at__lte=timezone.now()).delete()
    return PruneReport(cleared_events=cleared, deleted_records=deleted)
