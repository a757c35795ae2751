"""The pages of account holders: customers as providers know them."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.customers import customer_html
from payments.admin.documents import document_panel, private_panel
from payments.admin.inspection import InspectionAdminMixin
from payments.admin.links import links_of, short_id
from payments.admin.panels import Fact, Panel, Summary
from payments.admin.searches import Search
from payments.admin.words import age, moment
from payments.models import AccountHolder


class AccountHolderAdminMixin(InspectionAdminMixin):
    """Show account holders."""

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
    row_deferred = ("data", "provider_data", "metadata")
    linked_by = ("customer",)
    ordering = ("-id",)  # ids rise with time, and have an index
    search_fields = ("id",)
    search_help_text = _(
        "An id, a provider's reference, or a piece of the customer's name or e-mail address."
    )
    search = Search(ids={"acchld": "id"}, exact=("provider_reference", "email"), customer="customer")
    fields = ("id", "created_at", "updated_at")
    readonly_fields = fields

    @admin.display(description=_("account holder"), ordering="id")
    def id_column(self, obj: AccountHolder) -> SafeString:
        """Show the shortened id."""
        return short_id(obj.pk)

    @admin.display(description=_("customer"))
    def customer_column(self, obj: AccountHolder) -> SafeString | None:
        """Show the customer."""
        return customer_html(obj.customer, links_of(obj)) or None

    @admin.display(description=_("age"), ordering="-created_at")
    def age_column(self, obj: AccountHolder) -> SafeString:
        """Show how long ago it was created."""
        return age(obj.created_at)

    def get_summary(self, request: HttpRequest, obj: AccountHolder) -> Summary:
        """Say who it is, and where."""
        facts = (
            (gettext("Customer"), self.customer_column(obj)),
            (gettext("E-mail address"), obj.email),
            (gettext("Provider"), obj.provider_id),
            (gettext("Provider's reference"), obj.provider_reference),
            (gettext("Created"), moment(obj.created_at)),
        )
        return Summary(
            headline=obj.email or obj.provider_reference or obj.pk,
            facts=tuple(Fact(label=label, value=value) for label, value in facts if value),
        )

    def get_panels(self, request: HttpRequest, obj: AccountHolder) -> Iterable[Panel | None]:
        """Return both halves of the data."""
        yield document_panel(
            title=gettext("Public data"),
            slug="data",
            value=obj.data,
            note=gettext("What this customer may see of their account."),
        )
        yield private_panel(
            request,
            obj,
            "provider_data",
            title=gettext("Private provider data"),
            slug="provider-data",
            note=gettext("What the provider needs later. The storefront never sees it."),
        )
        if obj.metadata:
            yield document_panel(title=gettext("Metadata"), slug="metadata", value=obj.metadata)
