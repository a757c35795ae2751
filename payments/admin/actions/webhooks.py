"""Replaying a webhook event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.panels import Text
from payments.models import WebhookEvent
from payments.services import replay_webhook_event
from payments.states import EventSource, WebhookEventStatus


class ReplayWebhook(Action[WebhookEvent]):
    """Apply a stored event again."""

    slug = "replay"
    label = gettext_lazy("Replay…")
    heading = gettext_lazy("Replay a webhook event")
    bulk_label = gettext_lazy("Replay events")
    permission = "replay_webhook"

    def effects(self, row: WebhookEvent, values: Values | None = None) -> Iterable[Text]:
        """Say that it does no harm."""
        yield _("What the event reports is applied again, as if it had just arrived.")
        yield _("What is recorded already stays as it is: reports only move the books forward.")

    def run(self, row: WebhookEvent, values: Values, actor: Any) -> None:
        """Apply it."""
        replay_webhook_event(row, actor=actor, source=EventSource.ADMIN)

    def report(self, row: WebhookEvent, values: Values) -> Report:
        """Say what became of it."""
        status = WebhookEventStatus(row.status)
        is_good = status in (WebhookEventStatus.APPLIED, WebhookEventStatus.IGNORED)
        told = _("The event was replayed. Status: %(status)s. %(detail)s")
        return Report(
            text=(told % {"status": status.label, "detail": row.detail}).strip(),
            level=messages.SUCCESS if is_good else messages.WARNING,
        )


WEBHOOK_ACTIONS: Final = (ReplayWebhook(),)
