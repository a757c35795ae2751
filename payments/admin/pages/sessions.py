"""The pages of payment sessions."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.sessions import SESSION_ACTIONS
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.changelist import CollectionCurrencyFilter
from payments.admin.formatting import amount_text, failure, lines, moment, quiet
from payments.admin.links import reference_html, short_id
from payments.admin.panels import (
    Alert,
    Fact,
    Panel,
    Summary,
    document_panel,
    known_facts,
    metadata_panel,
    next_action_text,
    private_panel,
    provider_data_panel,
)
from payments.admin.tables import PAYMENT_DEFERRED, due_text, operation_table, payment_table, webhook_table
from payments.admin.timelines import recent_operations, timeline_panel
from payments.admin.unclear import unclear_alerts, unclear_badges
from payments.admin.widgets import status_badge
from payments.models import PaymentSession
from payments.services.search import SESSIONS
from payments.states import SessionStatus


class PaymentSessionAdminMixin(ActionsAdminMixin):
    """The pages of sessions: one amount to be authorized by one provider, and both halves of its data."""

    payment_actions = SESSION_ACTIONS
    list_display = (
        "id_column",
        "status_column",
        "amount_column",
        "collection_column",
        "due_column",
        "error_column",
        "age_column",
    )
    list_filter = ("status", CollectionCurrencyFilter, "provider", "created_at", "due_at")
    list_select_related = ("collection", "provider")
    row_relations = ("collection", "provider", "authorized_payment")
    row_deferred = ("data", "provider_data", "context", "collection__metadata", *PAYMENT_DEFERRED)
    linked_by = ("collection", "installment")
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    search_help_text = _(
        "The id of a session, collection, payment or operation, a provider's reference, or a piece of the customer's "
        "name or e-mail address."
    )
    search = SESSIONS
    fields = (
        "id",
        "is_split",
        "installment",
        "due_at",
        "expires_at",
        "created_at",
        "initiated_at",
        "authorized_at",
        "canceled_at",
        "updated_at",
    )
    readonly_fields = fields

    @admin.display(description=_("session"), ordering="id")
    def id_column(self, obj: PaymentSession) -> SafeString:
        """Show the shortened id, and below it the provider."""
        return lines(short_id(obj.pk), quiet(obj.provider_id))

    @admin.display(description=_("status"))
    def status_column(self, obj: PaymentSession) -> SafeString:
        """Show the status, and what is unclear."""
        return lines(status_badge(obj.status, SessionStatus), *unclear_badges(obj))

    @admin.display(description=_("due or expires"))
    def due_column(self, obj: PaymentSession) -> SafeString | None:
        """Show which installment it is, when it falls due and when it expires."""
        return due_text(obj) or None

    @admin.display(description=_("error"))
    def error_column(self, obj: PaymentSession) -> SafeString | None:
        """Show why it was refused."""
        return failure(obj.error_code, obj.error_text) or None

    def get_summary(self, request: HttpRequest, obj: PaymentSession) -> Summary:
        """Say how much is to be authorized by whom, and what became of it."""
        reason = failure(obj.error_code, obj.error_text)
        return Summary(
            headline=amount_text(obj.amount, obj.currency_code),
            badges=(status_badge(obj.status, SessionStatus), *unclear_badges(obj)),
            facts=self._facts(obj),
            alerts=(*unclear_alerts(obj, self.links(request)), *((Alert(text=reason),) if reason else ())),
        )

    def get_panels(self, request: HttpRequest, obj: PaymentSession) -> Iterable[Panel | None]:
        """Return both halves of the data, the payment, operations, webhook events and the history."""
        links, currency = self.links(request), obj.currency_code
        yield document_panel(
            title=gettext("Public data"),
            slug="data",
            value=obj.data,
            note=gettext("This is what the storefront sees, and so may anybody who opens the checkout."),
        )
        operations = recent_operations(obj.operations.all(), links)
        payments = [] if obj.payment is None else [obj.payment]
        yield payment_table(payments, links, currency, collection__id__exact=obj.collection_id)
        yield operation_table(operations, links, currency, session__id__exact=obj.pk)
        yield webhook_table(obj.webhook_events.all(), links, session__id__exact=obj.pk)
        yield timeline_panel(obj, operations, links)
        yield provider_data_panel(request, obj)
        yield private_panel(
            request,
            obj,
            "context",
            title=gettext("Context"),
            slug="context",
            note=gettext("What the shop told the provider about the payer."),
        )
        yield metadata_panel(obj.metadata)

    def _facts(self, obj: PaymentSession) -> tuple[Fact, ...]:
        return known_facts(
            (gettext("Collection"), self.collection_column(obj)),
            (gettext("Provider"), obj.provider_id),
            (gettext("Provider's reference"), reference_html(obj.provider_id, obj.provider_reference)),
            (gettext("Due or expires"), due_text(obj)),
            (gettext("Next action"), next_action_text(obj.next_action)),
            (gettext("Created"), moment(obj.created_at)),
            (gettext("Authorized"), moment(obj.authorized_at)),
            (gettext("Canceled"), moment(obj.canceled_at)),
        )
