"""The pages of operations: every intended call to a provider, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.operations import OPERATION_ACTIONS
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.formatting import (
    amount_text,
    detail_text,
    is_resolved,
    lines,
    moment,
    quiet,
    resolution_text,
    trouble_html,
)
from payments.admin.links import Links, links_of, short_id
from payments.admin.panels import Alert, Fact, Panel, Summary, Text, known_facts, private_panel
from payments.admin.timelines import operation_origin, recent_operations, timeline_panel
from payments.admin.unclear import check_url, unclear_alert
from payments.admin.widgets import status_badge
from payments.models import Capture, Payment, PaymentOperation, PaymentSession, Refund
from payments.services.operations import is_unclear
from payments.services.search import OPERATIONS
from payments.states import OperationKind, OperationStatus


class PaymentOperationAdminMixin(ActionsAdminMixin):
    """The pages of operations, on which those that need a person stand out."""

    payment_actions = OPERATION_ACTIONS
    list_display = (
        "id_column",
        "status_column",
        "amount_column",
        "error_column",
        "target_column",
        "collection_column",
        "attempts",
        "age_column",
    )
    list_filter = ("status", "kind", "provider", "source", "created_at")
    list_select_related = ("collection", "provider")
    row_relations = ("collection", "provider", "actor", "resolved_by")
    row_deferred = ("input", "provider_log", "collection__metadata")
    linked_by = ("collection", "session", "payment", "capture", "refund", "error_code")
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    search_help_text = _(
        "The id of an operation, collection, session, payment, capture or refund, or a provider's reference."
    )
    search = OPERATIONS
    fields = (
        "id",
        "attempts",
        "checks",
        "created_at",
        "lease_owner",
        "lease_expires_at",
        "next_attempt_at",
        "finished_at",
        "updated_at",
        "resolved_by",
        "resolution_reason",
        "resolution_evidence",
    )
    readonly_fields = fields

    @admin.display(description=_("operation"), ordering="id")
    def id_column(self, obj: PaymentOperation) -> SafeString:
        """Show what was asked of whom, by its shortened id."""
        kind = OperationKind(obj.kind).label
        return lines(kind, short_id(obj.pk), quiet(obj.provider_id))

    @admin.display(description=_("status"))
    def status_column(self, obj: PaymentOperation) -> SafeString:
        """Show the status."""
        return status_badge(obj.status, OperationStatus)

    @admin.display(description=_("acts on"))
    def target_column(self, obj: PaymentOperation) -> SafeString:
        """Show the row that the call acts on."""
        links = links_of(obj)
        if obj.refund_id:
            return links.to_id(Refund, obj.refund_id)
        if obj.capture_id:
            return links.to_id(Capture, obj.capture_id)
        if obj.payment_id:
            return links.to_id(Payment, obj.payment_id)
        return links.to_id(PaymentSession, obj.session_id)

    @admin.display(description=_("error"))
    def error_column(self, obj: PaymentOperation) -> SafeString | None:
        """Show what went wrong."""
        return trouble_html(obj, obj.currency_code) or None

    def get_summary(self, request: HttpRequest, obj: PaymentOperation) -> Summary:
        """Say what was asked of whom, and what is known of it."""
        is_report = obj.kind == OperationKind.SYNC
        kind, amount = OperationKind(obj.kind).label, amount_text(obj.amount, obj.currency_code)
        return Summary(
            headline=gettext("Provider's report") if is_report else f"{kind} · {amount}",
            badges=(status_badge(obj.status, OperationStatus),),
            facts=self._facts(obj),
            alerts=tuple(_alerts(obj, self.links(request))),
        )

    def get_panels(self, request: HttpRequest, obj: PaymentOperation) -> Iterable[Panel | None]:
        """Return what was asked and answered, and the history."""
        yield private_panel(
            request,
            obj,
            "provider_log",
            title=gettext("Exchange with the provider"),
            slug="provider-log",
            note=gettext("What was asked and answered, as the provider's plug-in recorded it."),
        )
        links = self.links(request)
        itself = recent_operations(PaymentOperation.objects.filter(pk=obj.pk), links)
        yield timeline_panel(obj, itself, links)
        yield private_panel(
            request,
            obj,
            "input",
            title=gettext("Payer's input"),
            slug="input",
            note=gettext("What the payer's browser sent along, such as a code or a token."),
        )

    def _facts(self, obj: PaymentOperation) -> tuple[Fact, ...]:
        is_report = obj.kind == OperationKind.SYNC
        return known_facts(
            (gettext("Collection"), self.collection_column(obj)),
            (gettext("Session"), links_of(obj).to_id(PaymentSession, obj.session_id)),
            (gettext("Acts on"), self.target_column(obj)),
            (gettext("Provider"), obj.provider_id),
            (gettext("Reported by") if is_report else gettext("Asked for by"), operation_origin(obj)),
            (gettext("Attempts"), str(obj.attempts)),
            (gettext("Created"), moment(obj.created_at)),
            (gettext("Finished"), moment(obj.finished_at)),
            (gettext("Next attempt"), moment(obj.next_attempt_at)),
            *_resolution(obj),
        )


def _resolution(operation: PaymentOperation) -> Iterable[tuple[str, Text]]:
    """Yield what was wrong with a resolved operation, who decided, and why."""
    if not is_resolved(operation):
        return
    yield gettext("What was wrong"), detail_text(operation, operation.currency_code)
    if operation.resolution_reason:
        who = operation.resolved_by.get_username() if operation.resolved_by else ""
        message = resolution_text(operation.resolution_reason, operation.resolution_evidence)
        yield gettext("Resolved by"), lines(who, message)


def _alerts(operation: PaymentOperation, links: Links) -> Iterable[Alert]:
    if is_resolved(operation):
        return
    reason = trouble_html(operation, operation.currency_code)
    if operation.status == OperationStatus.ATTENTION:
        message = gettext("This operation needs a person to decide what happened.")
        if operation.kind == OperationKind.SYNC:
            message = gettext("This report needs a person who looks at it.")
        yield Alert(
            text=lines(message, reason),
            url=check_url(operation, links),
            link=gettext("Check now"),
        )
    elif is_unclear(operation):
        yield unclear_alert(operation, links, reason)
    elif reason:
        yield Alert(text=reason)
