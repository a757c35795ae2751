"""The pages of payment providers: which are configured, what they can do, and the switch for new sessions."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.admin.actions.others import PROVIDER_ACTIONS
from payments.admin.actions.views import ActionsAdminMixin
from payments.admin.links import find_provider
from payments.admin.panels import Fact, Summary
from payments.admin.widgets import Tone, badge
from payments.exceptions import NotFoundError
from payments.models import PaymentProvider
from payments.providers import get_provider
from payments.providers.registry import is_refused
from payments.services import is_for_payers, list_providers
from payments.services.search import Search

_CAPABILITIES: Final = (
    ("supports_update", _("update")),
    ("supports_partial_capture", _("partial capture")),
    ("supports_multiple_captures", _("several captures")),
    ("supports_refund", _("refund")),
    ("supports_partial_refund", _("partial refund")),
    ("supports_retrieve", _("sync")),
    ("supports_webhooks", _("webhooks")),
)


class PaymentProviderAdminMixin(ActionsAdminMixin):
    """The pages of the configured providers, with an action that switches one for new sessions."""

    payment_actions = PROVIDER_ACTIONS
    list_display = (
        "id",
        "name_column",
        "status_column",
        "offer_column",
        "configuration_column",
        "capabilities_column",
    )
    list_filter = ("is_enabled",)
    sortable_by = None
    search_fields = ("id",)
    search = Search(exact=("id__icontains",))
    fields = ("id", "offer_column", "capabilities_column", "created_at", "updated_at")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """List the configured providers too that no session has used yet."""
        list_providers()
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("name"))
    def name_column(self, obj: PaymentProvider) -> str | None:
        """Show the plug-in's name."""
        provider = find_provider(obj.pk)
        return str(provider.verbose_name) if provider and provider.verbose_name else None

    @admin.display(description=_("new sessions"), ordering="is_enabled")
    def status_column(self, obj: PaymentProvider) -> SafeString:
        """Show whether new sessions may use it."""
        if obj.is_enabled:
            return badge(gettext("Enabled"), Tone.GOOD)
        return badge(gettext("Disabled"), Tone.QUIET)

    @admin.display(description=_("chosen by"))
    def offer_column(self, obj: PaymentProvider) -> str | None:
        """Show whether payers may choose it, only operators, or nobody."""
        provider = find_provider(obj.pk)
        if provider is None:
            return None
        if is_refused(provider):
            return gettext("nobody: it moves no real money")
        return gettext("payers") if is_for_payers(provider) else gettext("operators only")

    @admin.display(description=_("settings"))
    def configuration_column(self, obj: PaymentProvider) -> SafeString:
        """Show whether the settings know it."""
        return _configuration(obj)

    @admin.display(description=_("can do"))
    def capabilities_column(self, obj: PaymentProvider) -> str | None:
        """Show what the plug-in supports."""
        provider = find_provider(obj.pk)
        if provider is None:
            return None
        return ", ".join(str(label) for name, label in _CAPABILITIES if getattr(provider, name))

    def get_summary(self, request: HttpRequest, obj: PaymentProvider) -> Summary:
        """Say whether it can be used."""
        name = self.name_column(obj)
        return Summary(
            headline=name or obj.pk,
            badges=(self.status_column(obj), self.configuration_column(obj)),
            facts=(Fact(label=gettext("Alias"), value=obj.pk),),
        )


def _configuration(provider: PaymentProvider) -> SafeString:
    try:
        get_provider(provider.pk)
    except NotFoundError:
        return badge(gettext("Not configured any more"), Tone.BAD)
    except ImproperlyConfigured:
        return badge(gettext("Can't be built: run the system checks"), Tone.ALERT)
    return badge(gettext("Configured"), Tone.GOOD)
