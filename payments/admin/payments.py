"""The pages of payments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.mixins import ActionsAdminMixin
from payments.admin.actions.payments import PAYMENT_ACTIONS
from payments.admin.badges import charge_back_badge, status_badge
from payments.admin.bars import payment_bar
from payments.admin.documents import document_panel, provider_data_panel
from payments.admin.filters import CollectionCurrencyFilter
from payments.admin.links import links_of, short_id
from payments.admin.panels import Alert, Fact, Panel, Summary, known_facts
from payments.admin.plugins import reference_html
from payments.admin.searches import Search
from payments.admin.tables import operation_table, payment_table
from payments.admin.timelines import timeline_panel
from payments.admin.unclear import attach_unclear, unclear_alerts, unclear_badges
from payments.admin.words import age, amount_html, amount_remark, amount_text, lines, moment, quiet
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.states import PaymentStatus


class PaymentAdminMixin(ActionsAdminMixin):
    """Show payments: what a provider holds, has taken and has given back, movement by movement."""

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
    search = Search(
        ids={
            "pay": "id",
            "payses": "session__id",
            "pay_col": "collection__id",
            "capt": "captures__id",
            "ref": "refunds__id",
            "payop": "operations__id",
        },
        exact=(
            "provider_reference",
            "session__provider_reference",
            "captures__provider_reference",
            "refunds__provider_reference",
        ),
        customer="collection__customer",
    )
    fields = (
        "id",
        "created_at",
        "expires_at",
        "captured_at",
        "canceled_at",
        "updated_at",
    )
    readonly_fields = fields

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Read what is unclear of all rows at once."""
        super().prepare_rows(request, rows)
        attach_unclear(rows, "payment")

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
            amount_remark(gettext("charged back"), obj.withdrawn_amount, currency),
        )

    @admin.display(description=_("session"))
    def session_column(self, obj: Payment) -> SafeString:
        """Show the session."""
        return links_of(obj).to_id(PaymentSession, obj.session_id)

    @admin.display(description=_("collection"))
    def collection_column(self, obj: Payment) -> SafeString:
        """Show the collection."""
        return links_of(obj).to_id(PaymentCollection, obj.collection_id)

    @admin.display(description=_("age"), ordering="-created_at")
    def age_column(self, obj: Payment) -> SafeString:
        """Show how long ago it was authorized."""
        return age(obj.created_at)

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
        yield payment_table(
            Payment.objects.filter(pk=obj.pk), links, currency, collection__id__exact=obj.collection_id
        )
        yield operation_table(obj.operations.all(), links, currency, **here)
        yield timeline_panel(obj.events.all(), obj.operations.all(), links, **here)
        yield provider_data_panel(request, obj)
        if obj.metadata:
            yield document_panel(title=gettext("Metadata"), slug="metadata", value=obj.metadata)

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
    if payment.withdrawn_amount:
        yield charge_back_badge(payment.withdrawn_amount, payment.captured_amount)
    yield from unclear_badges(payment)


def _alerts(payment: Payment) -> Iterable[Alert]:
    if payment.withdrawn_amount:
        amount = amount_text(payment.withdrawn_amount, payment.currency_code)
        yield Alert(text=gettext("The payer's bank took %(amount)s back.") % {"amount": amount})
