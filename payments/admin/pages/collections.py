"""The pages of payment collections: where an operator starts when a customer calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.collections import COLLECTION_ACTIONS
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.changelist import (
    ChargedBackFilter,
    CollectionProviderFilter,
    CurrencyFilter,
    OpenOperationsFilter,
    RefundedFilter,
    collections_for,
)
from payments.admin.formatting import (
    age,
    amount_html,
    amount_remark,
    amount_text,
    detail_text,
    lines,
    moment,
    quiet,
)
from payments.admin.links import Links, customer_html, customer_link, links_of, short_id
from payments.admin.overview.views import export_view, overview
from payments.admin.panels import Alert, Fact, Panel, Summary, known_facts, metadata_panel
from payments.admin.payables import Payable, load_payables
from payments.admin.tables import operation_table, payment_table, plan_panel, recent_sessions, session_table
from payments.admin.timelines import recent_operations, timeline_panel
from payments.admin.unclear import unclear_alerts, unclear_badges, unclear_of
from payments.admin.widgets import Tone, badge, charge_back_badge, collection_bar, status_badge
from payments.models import Payment, PaymentCollection, PaymentOperation, PaymentSession
from payments.services.search import Search
from payments.states import CollectionStatus, OperationStatus

_ATTRIBUTE: Final = "_payments_admin_related"
_MOST_REASONS: Final = 5


class RelatedRows:
    """What the columns of some collections show of other rows, read for all of them when the first column asks."""

    def __init__(self, collections: Sequence[PaymentCollection]) -> None:
        self._collections = collections

    @cached_property
    def payables(self) -> dict[str, Payable]:
        """What is paid for, by the collections' ids."""
        return load_payables(self._collections)

    @cached_property
    def payments(self) -> list[Payment]:
        """The payments, oldest first."""
        found = Payment.objects.filter(collection__in=self._collections).defer("provider_data", "metadata")
        return list(found.order_by("created_at", "id"))

    @cached_property
    def providers(self) -> defaultdict[str, list[str]]:
        """With whom sessions were opened, by the collections' ids."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        sessions = PaymentSession.objects.filter(collection__in=self._collections)
        pairs = sessions.order_by("collection", "provider").values_list("collection_id", "provider_id")
        for collection_id, provider_id in pairs.distinct():
            found[collection_id].append(provider_id)
        return found


class PaymentCollectionAdminMixin(ActionsAdminMixin):
    """The pages of collections: what is to be paid, what came of it, and all that happened on the way."""

    payment_actions = COLLECTION_ACTIONS
    list_display = (
        "id_column",
        "status_column",
        "amount_column",
        "payable_and_customer_column",
    )
    list_filter = (
        "status",
        RefundedFilter,
        ChargedBackFilter,
        OpenOperationsFilter,
        CurrencyFilter,
        CollectionProviderFilter,
        "created_at",
    )
    list_select_related = ("customer",)
    row_relations = ("customer",)
    row_deferred = ("metadata",)
    linked_by = ("customer", "payable_type", "payable_id")
    search_fields = ("id",)
    search_help_text = _(
        "Any id (pay_col_…, payses_…, pay_…, capt_…, ref_…, payop_…), a provider's reference, the id or number of what "
        "is paid, or a piece of the customer's name or e-mail address."
    )
    search = Search(
        ids={
            "pay_col": "id",
            "payses": "sessions__id",
            "pay": "payments__id",
            "capt": "payments__captures__id",
            "ref": "payments__refunds__id",
            "payop": "operations__id",
        },
        exact=(
            "payable_id",
            "sessions__provider_reference",
            "payments__provider_reference",
            "payments__captures__provider_reference",
            "payments__refunds__provider_reference",
        ),
        customer="customer",
    )
    fields = ("id", "created_at", "updated_at", "completed_at", "canceled_at")
    readonly_fields = fields

    def get_urls(self) -> Any:
        """Add the overview and its export."""
        wrap = self.admin_site.admin_view
        return [
            path("overview/", wrap(self.overview_view), name="payments_overview"),
            path("overview/export/", wrap(self.export_view), name="payments_export"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by `search`, and by what they pay for."""
        links = self.links(request)
        further = collections_for(links, search_term)
        return self.search.find(queryset, search_term, may_view=links.may_view, further=further), False

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Show what moved, what was refused and what waits."""
        return overview(self, request)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Export what moved."""
        return export_view(self, request)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Have payables and providers read of all rows at once."""
        super().prepare_rows(request, rows)
        related = RelatedRows(rows)
        for row in rows:
            row.__dict__[_ATTRIBUTE] = related

    @admin.display(description=_("collection"), ordering="created_at")
    def id_column(self, obj: PaymentCollection) -> SafeString:
        """Show the shortened id, and below it how long ago the collection was created."""
        return lines(short_id(obj.pk), quiet(age(obj.created_at)))

    @admin.display(description=_("status"))
    def status_column(self, obj: PaymentCollection) -> SafeString:
        """Show the status, what else an operator must not overlook, and with whom sessions were opened."""
        badges = format_html_join(" ", "{}", ((each,) for each in _badges(obj)))
        return lines(badges, quiet(self.providers_column(obj)))

    @admin.display(description=_("amount"))
    def amount_column(self, obj: PaymentCollection) -> SafeString:
        """Show what is to be paid, and below it what was taken and given back, if anything was."""
        currency = obj.currency_code
        return lines(
            amount_html(obj.amount, currency),
            amount_remark(gettext("captured"), obj.captured_amount, currency),
            amount_remark(gettext("refunded"), obj.refunded_amount, currency),
            amount_remark(gettext("charged back"), obj.charged_back_amount, currency),
        )

    @admin.display(description=_("for"))
    def payable_column(self, obj: PaymentCollection) -> SafeString | None:
        """Show what is paid for."""
        payable = _related(obj).payables.get(obj.pk)
        return payable.html(links_of(obj)) if payable else None

    @admin.display(description=_("order and customer"))
    def payable_and_customer_column(self, obj: PaymentCollection) -> SafeString | None:
        """Show what is paid for, and below it who pays."""
        return lines(self.payable_column(obj), customer_link(obj.customer, links_of(obj))) or None

    @admin.display(description=_("customer"))
    def customer_column(self, obj: PaymentCollection) -> SafeString | None:
        """Show who pays."""
        return customer_html(obj.customer, links_of(obj)) or None

    @admin.display(description=_("providers"))
    def providers_column(self, obj: PaymentCollection) -> str:
        """Show with whom sessions were opened."""
        return ", ".join(_related(obj).providers[obj.pk])

    def get_summary(self, request: HttpRequest, obj: PaymentCollection) -> Summary:
        """Say how much is to be paid, by whom and for what, and how far that has come."""
        currency = obj.currency_code
        withdrawn = obj.charged_back_amount
        charged_back = Fact(label=gettext("Charged back"), value=amount_html(withdrawn, currency))
        return Summary(
            headline=amount_text(obj.amount, currency),
            badges=tuple(_badges(obj)),
            figures=(
                Fact(label=gettext("Amount"), value=amount_html(obj.amount, currency)),
                Fact(label=gettext("Authorized"), value=amount_html(obj.authorized_amount, currency)),
                Fact(label=gettext("Captured"), value=amount_html(obj.captured_amount, currency)),
                Fact(label=gettext("Refunded"), value=amount_html(obj.refunded_amount, currency)),
                *([charged_back] if withdrawn else []),
            ),
            bar=collection_bar(obj, _related(obj).payments),
            facts=self._facts(obj),
            alerts=tuple(self._alerts(request, obj)),
        )

    def get_panels(self, request: HttpRequest, obj: PaymentCollection) -> Iterable[Panel | None]:
        """Return sessions, payments with their movements, operations, the history and the shop's metadata."""
        links, currency = self.links(request), obj.currency_code
        here = {"collection__id__exact": obj.pk}
        sessions = recent_sessions(obj, links)
        operations = recent_operations(obj.operations.all(), links)
        yield plan_panel(obj, sessions, links)
        yield session_table(sessions, links, currency, **here)
        yield payment_table(_related(obj).payments, links, currency, **here)
        yield operation_table(operations, links, currency, **here)
        yield timeline_panel(obj, operations, links)
        yield metadata_panel(obj.metadata)

    def _facts(self, obj: PaymentCollection) -> tuple[Fact, ...]:
        return known_facts(
            (gettext("Description"), obj.description),
            (gettext("For"), self.payable_column(obj)),
            (gettext("Customer"), self.customer_column(obj)),
            (gettext("Providers"), self.providers_column(obj)),
            (gettext("Created"), moment(obj.created_at)),
        )

    def _alerts(self, request: HttpRequest, obj: PaymentCollection) -> Iterable[Alert]:
        links = self.links(request)
        yield from unclear_alerts(obj, links)
        waiting = [each for each in unclear_of(obj) if each.status == OperationStatus.ATTENTION]
        count = len(waiting)
        if count:
            message = gettext("An operation of this collection needs attention.")
            if count > 1:
                message = gettext("%(count)s operations of this collection need attention.")
            yield Alert(
                text=lines(message % {"count": count}, *_attention_reasons(waiting, links)),
                url=links.listing(
                    PaymentOperation,
                    collection__id__exact=obj.pk,
                    status__exact=OperationStatus.ATTENTION.value,
                ),
                link=gettext("Show"),
            )


def _badges(collection: PaymentCollection) -> Iterable[SafeString]:
    is_refunded = collection.is_fully_refunded
    # What gave all its money back has the status of a canceled one, and is shown as what it is.
    if not (is_refunded and collection.status == CollectionStatus.CANCELED and not collection.is_canceled):
        yield status_badge(collection.status, CollectionStatus)
    if is_refunded:
        yield badge(gettext("Refunded"), Tone.RETURNED)
    elif collection.refunded_amount:
        yield badge(gettext("Partially refunded"), Tone.RETURNED)
    if collection.charged_back_amount:
        yield charge_back_badge(collection.charged_back_amount, collection.captured_amount)
    yield from unclear_badges(collection)


def _attention_reasons(waiting: Sequence[PaymentOperation], links: Links) -> Iterable[str]:
    if not links.may_view(PaymentOperation):
        return []
    reasons = (detail_text(each, each.currency_code) for each in waiting[:_MOST_REASONS])
    return dict.fromkeys(reasons)


def _related(collection: PaymentCollection) -> RelatedRows:
    related: RelatedRows = collection.__dict__[_ATTRIBUTE]
    return related
