"""The pages of the inbox: what providers have sent."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.others import WEBHOOK_ACTIONS
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.formatting import lines, moment, quiet
from payments.admin.links import links_of
from payments.admin.panels import Alert, Panel, Summary, document_panel, known_facts, private_panel
from payments.admin.widgets import status_badge
from payments.models import PaymentSession, WebhookEvent
from payments.services.search import Search
from payments.states import WebhookEventStatus


class WebhookEventAdminMixin(ActionsAdminMixin):
    """The pages of verified provider events, and what has become of them."""

    payment_actions = WEBHOOK_ACTIONS
    list_display = (
        "type_column",
        "status_column",
        "session_column",
        "detail",
        "attempts",
        "age_column",
    )
    list_filter = ("status", "provider", "created_at")
    list_select_related = ("provider",)
    row_relations = ("provider",)
    row_deferred = ("payload", "fact")
    linked_by = ("session", "session__collection")
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    search_help_text = _(
        "The id of an event, session or collection, or the provider's event id or reference."
    )
    search = Search(
        ids={"paywh": "id", "payses": "session__id", "pay_col": "session__collection__id"},
        exact=("event_id", "provider_reference", "session__provider_reference"),
    )
    fields = (
        "id",
        "event_id",
        "type",
        "provider_reference",
        "attempts",
        "next_attempt_at",
        "lease_owner",
        "lease_expires_at",
        "created_at",
        "updated_at",
    )
    readonly_fields = fields

    @admin.display(description=_("event"))
    def type_column(self, obj: WebhookEvent) -> SafeString:
        """Show what was sent, by whom, and under which id."""
        return lines(obj.type, quiet(f"{obj.provider_id} · {obj.event_id}"))

    @admin.display(description=_("status"))
    def status_column(self, obj: WebhookEvent) -> SafeString:
        """Show the status."""
        return status_badge(obj.status, WebhookEventStatus)

    @admin.display(description=_("session"))
    def session_column(self, obj: WebhookEvent) -> SafeString | None:
        """Show the session."""
        return links_of(obj).to_id(PaymentSession, obj.session_id) or None

    def get_summary(self, request: HttpRequest, obj: WebhookEvent) -> Summary:
        """Say what arrived, and what came of it."""
        facts = known_facts(
            (gettext("Provider"), obj.provider_id),
            (gettext("Session"), self.session_column(obj)),
            (gettext("Reported session"), None if obj.session_id else obj.reported_session_id),
            (gettext("Reported capture"), obj.capture_reference),
            (gettext("Attempts"), str(obj.attempts)),
            (gettext("Happened"), moment(obj.occurred_at)),
            (gettext("Arrived"), moment(obj.created_at)),
            (gettext("Applied"), moment(obj.applied_at)),
            (gettext("Next attempt"), moment(obj.next_attempt_at)),
        )
        return Summary(
            headline=obj.type,
            badges=(status_badge(obj.status, WebhookEventStatus),),
            facts=facts,
            alerts=(Alert(text=obj.detail),) if obj.detail else (),
        )

    def get_panels(self, request: HttpRequest, obj: WebhookEvent) -> Iterable[Panel | None]:
        """Return what the event said, and what was read from it."""
        yield document_panel(
            title=gettext("Payload"),
            slug="payload",
            value=obj.payload,
            note=gettext("What the provider's plug-in kept of the event."),
        )
        yield private_panel(
            request,
            obj,
            "fact",
            title=gettext("Private fact"),
            slug="fact",
            note=gettext("What the event states about the payment, kept so that it can be replayed."),
        )
