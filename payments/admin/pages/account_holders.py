"""The pages of account holders: customers as providers know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.others import ACCOUNT_HOLDER_ACTIONS, keeps_methods, method_text
from payments.admin.actions.views import ActionsAdminMixin, outside_transactions
from payments.admin.formatting import moment
from payments.admin.links import customer_html, links_of, short_id
from payments.admin.panels import (
    AnswerPanel,
    Panel,
    Row,
    Summary,
    columns,
    known_facts,
    provider_data_panel,
)
from payments.exceptions import PaymentError
from payments.models import AccountHolder
from payments.services import list_saved_payment_methods
from payments.services.search import Search

_SUFFIX: Final = "saved_methods"


class AccountHolderAdminMixin(ActionsAdminMixin):
    """The pages of account holders; the provider lists what they have saved only when an operator asks."""

    payment_actions = ACCOUNT_HOLDER_ACTIONS

    list_display = (
        "id_column",
        "customer_column",
        "email",
        "provider",
        "provider_reference",
        "age_column",
    )
    list_filter = ("provider", "created_at")
    list_select_related = ("customer", "provider")
    row_relations = ("customer", "provider")
    row_deferred = ("provider_data",)
    linked_by = ("customer",)
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    search_help_text = _(
        "An id, a provider's reference, or a piece of the customer's name or e-mail address."
    )
    search = Search(ids={"acchld": "id"}, exact=("provider_reference", "email"), customer="customer")
    fields = ("id", "created_at", "updated_at")
    readonly_fields = fields

    def get_urls(self) -> Any:
        """Add the page on which the provider is asked."""
        view = self.admin_site.admin_view(outside_transactions(self.saved_methods_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_{_SUFFIX}"
        return [path("<path:object_id>/saved-methods/", view, name=name), *super().get_urls()]

    def saved_methods_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show an account holder with what they have saved."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self.change_view(request, object_id)

    @admin.display(description=_("account holder"), ordering="id")
    def id_column(self, obj: AccountHolder) -> SafeString:
        """Show the shortened id."""
        return short_id(obj.pk)

    @admin.display(description=_("customer"))
    def customer_column(self, obj: AccountHolder) -> SafeString | None:
        """Show the customer."""
        return customer_html(obj.customer, links_of(obj)) or None

    def get_summary(self, request: HttpRequest, obj: AccountHolder) -> Summary:
        """Return the customer and the provider."""
        facts = known_facts(
            (gettext("Customer"), self.customer_column(obj)),
            (gettext("E-mail address"), obj.email),
            (gettext("Provider"), obj.provider_id),
            (gettext("Provider's reference"), obj.provider_reference),
            (gettext("Created"), moment(obj.created_at)),
        )
        return Summary(
            headline=obj.email or obj.provider_reference or obj.pk,
            facts=facts,
        )

    def get_panels(self, request: HttpRequest, obj: AccountHolder) -> Iterable[Panel | None]:
        """Return what is saved, and both halves of the data."""
        if keeps_methods(obj):
            yield self._methods_panel(request, obj)
        yield provider_data_panel(request, obj)

    def _methods_panel(self, request: HttpRequest, obj: AccountHolder) -> AnswerPanel:
        is_asked = bool(request.resolver_match and str(request.resolver_match.url_name).endswith(_SUFFIX))
        rows, alert = _saved_methods(obj) if is_asked else ((), "")
        return AnswerPanel(
            title=gettext("Saved payment methods"),
            slug="saved-methods",
            note=gettext("The provider keeps them. Nothing of them is stored here."),
            columns=columns(gettext("Payment method"), gettext("Kind"), gettext("Provider's reference")),
            rows=rows,
            empty=gettext("The customer has saved no payment method."),
            ask_url=f"{self._url(_SUFFIX, obj)}#saved-methods",
            is_asked=is_asked,
            alert=alert,
        )


def _saved_methods(holder: AccountHolder) -> tuple[tuple[Row, ...], str]:
    """Return what a provider says, or why it says nothing: the page is there in any case."""
    try:
        methods = list_saved_payment_methods(holder)
    except PaymentError as error:
        return (), error.message
    code = '<code class="payments-code">{}</code>'
    return tuple(
        Row(cells=(method_text(each), each.type, format_html(code, each.id))) for each in methods
    ), ""
