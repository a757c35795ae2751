"""The pages of payments, of their captures and refunds, and of the reasons for refunds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.payments import PAYMENT_ACTIONS
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.base import InspectionAdminMixin, PlainInputMixin
from payments.admin.changelist import CollectionCurrencyFilter, MovementCurrencyFilter
from payments.admin.formatting import (
    age,
    amount_html,
    amount_remark,
    amount_text,
    failure,
    lines,
    moment,
    quiet,
)
from payments.admin.links import links_of, movement_reference_html, reference_html, short_id
from payments.admin.panels import (
    Alert,
    Fact,
    Panel,
    Summary,
    known_facts,
    metadata_panel,
    provider_data_panel,
)
from payments.admin.tables import operation_table, payment_table
from payments.admin.timelines import recent_operations, timeline_panel
from payments.admin.unclear import unclear_alerts, unclear_badges
from payments.admin.widgets import charge_back_badge, payment_bar, status_badge
from payments.models import Capture, Payment, PaymentCollection, PaymentSession, Refund, RefundReason
from payments.services.search import PAYMENTS, Search
from payments.states import MovementStatus, PaymentStatus


class PaymentAdminMixin(ActionsAdminMixin):
    """The pages of payments: what a provider holds, has taken and has given back, movement by movement."""

    payment_actions = PAYMENT_ACTIONS
    list_display = (
        "id_column",
        "status_column",
        "amount_column",
        "collection_column",
        "provider_reference",
        "age_column",
    )
    list_filter = ("status", CollectionCurrencyFilter, "provider", "created_at")
    list_select_related = ("collection", "provider")
    row_relations = ("collection", "provider")
    row_deferred = ("provider_data", "metadata", "collection__metadata")
    linked_by = ("collection", "session")
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    search_help_text = _(
        "The id of a payment, session, collection, capture, refund or operation, a provider's reference, or a piece of "
        "the customer's name or e-mail address."
    )
    search = PAYMENTS
    fields = (
        "id",
        "created_at",
        "expires_at",
        "captured_at",
        "canceled_at",
        "updated_at",
    )
    readonly_fields = fields

    @admin.display(description=_("payment"), ordering="id")
    def id_column(self, obj: Payment) -> SafeString:
        """Show the shortened id, and below it the provider."""
        return lines(short_id(obj.pk), quiet(obj.provider_id))

    @admin.display(description=_("status"))
    def status_column(self, obj: Payment) -> SafeString:
        """Show the status, and what is unclear."""
        return lines(*_badges(obj))

    @admin.display(description=_("authorized"))
    def amount_column(self, obj: Payment) -> SafeString:
        """Show what was authorized, and below it what was taken and given back, if anything was."""
        currency = obj.currency_code
        return lines(
            amount_html(obj.amount, currency),
            amount_remark(gettext("captured"), obj.captured_amount, currency),
            amount_remark(gettext("refunded"), obj.refunded_amount, currency),
            amount_remark(gettext("charged back"), obj.net_charged_back_amount, currency),
        )

    @admin.display(description=_("session"))
    def session_column(self, obj: Payment) -> SafeString:
        """Show the session."""
        return links_of(obj).to_id(PaymentSession, obj.session_id)

    def get_summary(self, request: HttpRequest, obj: Payment) -> Summary:
        """Say how much was authorized, taken and given back."""
        currency = obj.currency_code
        return Summary(
            headline=amount_text(obj.amount, currency),
            badges=tuple(_badges(obj)),
            figures=(
                Fact(label=gettext("Authorized"), value=amount_html(obj.amount, currency)),
                Fact(label=gettext("Captured"), value=amount_html(obj.captured_amount, currency)),
                Fact(label=gettext("Refunded"), value=amount_html(obj.refunded_amount, currency)),
                Fact(label=gettext("Released"), value=amount_html(obj.canceled_amount, currency)),
            ),
            alerts=(*unclear_alerts(obj, self.links(request)), *_alerts(obj)),
            bar=payment_bar(obj),
            facts=self._facts(obj),
        )

    def get_panels(self, request: HttpRequest, obj: Payment) -> Iterable[Panel | None]:
        """Return the movements, operations, the history, and the data."""
        links, currency = self.links(request), obj.currency_code
        here = {"payment__id__exact": obj.pk}
        yield payment_table([obj], links, currency, collection__id__exact=obj.collection_id)
        operations = recent_operations(obj.operations.all(), links)
        yield operation_table(operations, links, currency, **here)
        yield timeline_panel(obj, operations, links)
        yield provider_data_panel(request, obj)
        yield metadata_panel(obj.metadata)

    def _facts(self, obj: Payment) -> tuple[Fact, ...]:
        return known_facts(
            (gettext("Collection"), self.collection_column(obj)),
            (gettext("Session"), self.session_column(obj)),
            (gettext("Provider"), obj.provider_id),
            (gettext("Provider's reference"), reference_html(obj.provider_id, obj.provider_reference)),
            (gettext("Authorized"), moment(obj.created_at)),
            (gettext("Authorization expires"), moment(obj.expires_at)),
            (gettext("Canceled"), moment(obj.canceled_at)),
        )


def _badges(payment: Payment) -> Iterable[SafeString]:
    yield status_badge(payment.status, PaymentStatus)
    if payment.net_charged_back_amount:
        yield charge_back_badge(payment.net_charged_back_amount, payment.captured_amount)
    yield from unclear_badges(payment)


def _alerts(payment: Payment) -> Iterable[Alert]:
    if payment.net_charged_back_amount:
        amount = amount_text(payment.net_charged_back_amount, payment.currency_code)
        yield Alert(text=gettext("The payer's bank took %(amount)s back.") % {"amount": amount})


MOVEMENT_COLUMNS: Final = (
    "id_column",
    "status_column",
    "amount_column",
    "payment_column",
    "collection_column",
    "error_column",
    "provider_reference",
    "age_column",
)


def movement_search(prefix: str) -> Search:
    """Return how a list of captures or refunds is searched, whose ids have this prefix."""
    return Search(
        ids={
            prefix: "id",
            "pay": "payment__id",
            "pay_col": "payment__collection__id",
            "payop": "operations__id",
        },
        exact=("provider_reference", "payment__provider_reference"),
        customer="payment__collection__customer",
    )


class MovementAdminMixin(InspectionAdminMixin):
    """The base of the pages of captures and refunds: how much, and whether it moved."""

    list_select_related: ClassVar[tuple[str, ...]] = ("payment__collection",)
    row_relations: ClassVar[tuple[str, ...]] = ("payment__collection",)
    row_deferred = ("payment__provider_data", "payment__metadata", "payment__collection__metadata")
    linked_by = ("payment", "payment__collection", "succeeded_at")
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    fields = ("id", "created_at", "succeeded_at", "updated_at")
    readonly_fields = fields

    @admin.display(description=_("id"), ordering="id")
    def id_column(self, obj: Capture | Refund) -> SafeString:
        """Show the shortened id, and below it the provider."""
        return lines(short_id(obj.pk), quiet(self.provider_column(obj)))

    @admin.display(description=_("status"))
    def status_column(self, obj: Capture | Refund) -> SafeString:
        """Show the status."""
        return status_badge(obj.status, MovementStatus)

    @admin.display(description=_("payment"))
    def payment_column(self, obj: Capture | Refund) -> SafeString:
        """Show the payment."""
        return links_of(obj).to_id(Payment, obj.payment_id)

    @admin.display(description=_("collection"))
    def collection_column(self, obj: Capture | Refund) -> SafeString:
        """Show the collection."""
        return links_of(obj).to_id(PaymentCollection, obj.payment.collection_id)

    def provider_column(self, obj: Capture | Refund) -> str:
        """Show the provider."""
        return str(obj.payment.provider_id)

    @admin.display(description=_("error"))
    def error_column(self, obj: Capture | Refund) -> SafeString | None:
        """Show why it failed."""
        return failure(obj.error_code, obj.error_text) or None

    @admin.display(description=_("age"), ordering="-id")
    def age_column(self, obj: Capture | Refund) -> SafeString:
        """Show how long ago it was asked for."""
        return age(obj.created_at)

    def get_summary(self, request: HttpRequest, obj: Capture | Refund) -> Summary:
        """Say how much moved, and out of which payment."""
        reason = failure(obj.error_code, obj.error_text)
        return Summary(
            headline=amount_text(obj.amount, obj.currency_code),
            badges=(status_badge(obj.status, MovementStatus),),
            facts=known_facts(*self.facts(obj)),
            alerts=(Alert(text=reason),) if reason else (),
        )

    def get_panels(self, request: HttpRequest, obj: Capture | Refund) -> Iterable[Panel | None]:
        """Return the operations and the history."""
        links = self.links(request)
        lookup = {f"{obj._meta.model_name}__id__exact": obj.pk}
        operations = recent_operations(obj.operations.all(), links)
        yield operation_table(operations, links, obj.currency_code, **lookup)
        yield timeline_panel(obj, operations, links)
        yield metadata_panel(obj.metadata)

    def facts(self, obj: Capture | Refund) -> Iterable[tuple[str, str | SafeString | None]]:
        """Return what the summary tells besides the amount."""
        yield gettext("Collection"), self.collection_column(obj)
        yield gettext("Payment"), self.payment_column(obj)
        yield gettext("Provider"), self.provider_column(obj)
        yield gettext("Provider's reference"), movement_reference_html(self.provider_column(obj), obj)
        yield gettext("Requested"), moment(obj.created_at)
        yield gettext("Succeeded"), moment(obj.succeeded_at)


class CaptureAdminMixin(MovementAdminMixin):
    """The pages of captures."""

    list_display = MOVEMENT_COLUMNS
    list_filter = ("status", MovementCurrencyFilter, "payment__provider", "created_at")
    search_help_text = _("The id of a capture, payment, collection or operation, or a provider's reference.")
    search = movement_search("capt")


class RefundAdminMixin(MovementAdminMixin):
    """The pages of refunds, with the reasons for them."""

    list_display = (*MOVEMENT_COLUMNS[:3], "reason_column", *MOVEMENT_COLUMNS[3:])
    list_filter = ("status", MovementCurrencyFilter, "reason", "payment__provider", "created_at")
    list_select_related = ("payment__collection", "reason")
    row_relations = ("payment__collection", "reason")
    search_help_text = _("The id of a refund, payment, collection or operation, or a provider's reference.")
    search = movement_search("ref")

    @admin.display(description=_("reason"))
    def reason_column(self, obj: Refund) -> SafeString | None:
        """Show why the money went back."""
        return links_of(obj).to(RefundReason, obj.reason_id, obj.reason.label) if obj.reason else None

    def facts(self, obj: Capture | Refund) -> Iterable[tuple[str, str | SafeString | None]]:
        """Add the reason and the note."""
        refund = cast("Refund", obj)
        yield gettext("Reason"), self.reason_column(refund)
        yield gettext("Note"), refund.note
        yield from super().facts(obj)


class RefundReasonAdminMixin(PlainInputMixin):
    """The pages on which a shop edits its refund reasons; one that a refund uses can't be deleted."""

    list_display = ("label", "description", "created_at")
    search_fields = ("label", "description")
    search_help_text = _("A piece of the label or the description.")
    fields = ("id", "label", "description", "metadata", "created_at", "updated_at")
    readonly_fields = ("id", "created_at", "updated_at")
