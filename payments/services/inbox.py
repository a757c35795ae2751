"""The inbox: provider events are verified, stored, answered, and then applied, each of them once.

Storing comes before answering, so an answered event can't be lost; applying marks the event in the same transaction as
the books. An event that comes early waits; one that isn't ours is kept, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.utils import timezone

from payments.exceptions import NotSupportedError, PaymentError
from payments.models import PaymentProvider, PaymentSession, WebhookEvent
from payments.providers import WebhookRequest, WebhookResult, decode_fact, encode_fact, get_provider
from payments.services.facts import mark_applied, record_fact
from payments.services.leases import lease_rows, new_owner
from payments.services.origins import Actor, Origin
from payments.services.synchronization import retrieve
from payments.services.transactions import committed
from payments.states import EventSource, Outcome, WebhookEventStatus

logger = logging.getLogger("payments.webhooks")

BACKOFF: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
)

Status = WebhookEventStatus
Progress = Callable[[WebhookEvent], None]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Say which stored event a delivery is, and whether it was the first of it."""

    event: WebhookEvent
    is_new: bool


def receive_webhook(provider_id: str, request: WebhookRequest) -> Receipt:
    """Verify and store what a provider delivered; nothing that isn't proven is stored.

    Raises NotFoundError for an unknown provider, WebhookVerificationError, and NotSupportedError where the provider
    sends no events.
    """
    plugin = get_provider(provider_id)
    if not plugin.supports_webhooks:
        raise NotSupportedError(f"The provider {provider_id} sends no webhooks.", field=None)
    result = plugin.parse_webhook(request)
    PaymentProvider.objects.get_or_create(pk=provider_id)
    try:
        with committed():
            return Receipt(event=_insert(provider_id, result), is_new=True)
    except IntegrityError:
        known = WebhookEvent.objects.get(provider=provider_id, event_id=result.event_id)
        return Receipt(event=known, is_new=False)


def process_event(event: WebhookEvent, *, origin: Origin | None = None) -> WebhookEvent:
    """Apply a stored event that wasn't yet: its own fact, or what the provider says when asked."""
    session = _session_of(event)
    if session is None:
        return _defer_or_ignore(event)
    origin = origin or Origin(source=EventSource.WEBHOOK)
    if event.fact is not None:
        record_fact(session, decode_fact(event.fact), origin=origin, event=event)
        return event
    answer = retrieve(session)
    if answer.outcome != Outcome.SUCCEEDED:
        return _defer(event, detail=f"retrieve: {answer.outcome}")
    if answer.fact is None:
        _mark(session, event)
    else:
        record_fact(session, answer.fact, origin=origin, event=event)
    return event


def process_quietly(event: WebhookEvent) -> None:
    """Apply an event that carries its fact right away, if that can be done; otherwise a worker will."""
    if event.fact is None or event.status != Status.RECEIVED:
        return
    try:
        process_event(event)
    except Exception:
        logger.exception("The webhook event %s is left to the worker.", event.pk)


def process_due_events(
    *, limit: int = 100, owner: str | None = None, progress: Progress | None = None
) -> int:
    """Apply up to `limit` stored events that are due; return how many there were. Workers may run side by side."""
    events = lease_rows(_due(), owner=owner or new_owner(), limit=limit)
    for event in events:
        try:
            process_event(event)
        except Exception as error:
            logger.warning("The webhook event %s failed.", event.pk, exc_info=error)
            _defer(event, detail=error.code if isinstance(error, PaymentError) else type(error).__qualname__)
        if progress is not None:
            progress(event)
    return len(events)


def replay_webhook_event(
    event: WebhookEvent, *, actor: Actor = None, source: str = EventSource.API
) -> WebhookEvent:
    """Apply a stored event again, whatever became of it before; facts only move forward, so this does no harm."""
    event.attempts = 0
    event.save_fields("attempts")
    return process_event(event, origin=Origin.of(actor=actor, source=source))


def _insert(provider_id: str, result: WebhookResult) -> WebhookEvent:
    event = WebhookEvent(
        provider_id=provider_id,
        event_id=result.event_id,
        type=result.event_type[:128],
        session=PaymentSession.objects.filter(pk=result.session_id or "", provider=provider_id).first(),
        provider_reference=result.provider_reference,
        payload={**result.payload, "session_id": result.session_id},
        fact=None if result.fact is None else encode_fact(result.fact),
        occurred_at=result.occurred_at,
        next_attempt_at=timezone.now() + BACKOFF[0],
    )
    event.save(force_insert=True)
    return event


def _due() -> QuerySet[WebhookEvent]:
    waiting = Q(status__in=[Status.RECEIVED, Status.DEFERRED], next_attempt_at__lte=timezone.now())
    return WebhookEvent.objects.filter(waiting).order_by("created_at", "id")


def _session_of(event: WebhookEvent) -> PaymentSession | None:
    """Find the session that an event is about: only ever one of the same provider."""
    sessions = PaymentSession.objects.select_related("collection").filter(provider=event.provider_id)
    named = event.payload.get("session_id")
    if named:
        return sessions.filter(pk=named).first()
    if event.provider_reference:
        return sessions.filter(provider_reference=event.provider_reference).first()
    return None


def _defer_or_ignore(event: WebhookEvent) -> WebhookEvent:
    """Let an event wait that may be early; ignore one that names a session which isn't ours."""
    is_foreign = bool(event.payload.get("session_id")) or not event.provider_reference
    if is_foreign or event.attempts >= len(BACKOFF) - 1:
        event.status = Status.IGNORED
        event.detail = "foreign"
        event.next_attempt_at = event.lease_expires_at = None
        event.save_fields("status", "detail", "next_attempt_at", "lease_expires_at")
        return event
    return _defer(event, detail="no session yet")


def _defer(event: WebhookEvent, *, detail: str) -> WebhookEvent:
    """Try an event again later; after the last time it counts as failed, and an operator may replay it."""
    event.attempts += 1
    is_over = event.attempts >= len(BACKOFF)
    event.status = Status.FAILED if is_over else Status.DEFERRED
    event.next_attempt_at = None if is_over else timezone.now() + BACKOFF[event.attempts]
    event.detail = detail
    event.lease_owner = ""
    event.lease_expires_at = None
    event.save_fields("status", "attempts", "next_attempt_at", "detail", "lease_owner", "lease_expires_at")
    return event


def _mark(session: PaymentSession, event: WebhookEvent) -> None:
    with committed():
        mark_applied(event, session)
