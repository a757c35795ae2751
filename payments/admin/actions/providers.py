"""Letting new sessions use a provider, or none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.actions.base import Action, Report, Values
from payments.admin.panels import Text
from payments.admin.plugins import provider_name
from payments.models import PaymentProvider
from payments.services import disable_provider, enable_provider


class EnableProvider(Action[PaymentProvider]):
    """Let new sessions use a provider."""

    slug = "enable"
    label = gettext_lazy("Enable…")
    heading = gettext_lazy("Enable a provider")
    permission = "change_paymentprovider"

    def is_offered(self, row: PaymentProvider) -> bool:
        """Offer it while it is disabled."""
        return not row.is_enabled

    def effects(self, row: PaymentProvider, values: Values | None = None) -> Iterable[Text]:
        """Say what shoppers will see."""
        yield _("Shoppers can pay with %(provider)s again.") % {"provider": provider_name(row.pk)}

    def run(self, row: PaymentProvider, values: Values, actor: Any) -> None:
        """Enable it."""
        enable_provider(row)

    def report(self, row: PaymentProvider, values: Values) -> Report:
        """Say so."""
        return Report(text=_("%(provider)s is enabled.") % {"provider": provider_name(row.pk)})


class DisableProvider(Action[PaymentProvider]):
    """Let no new session use a provider."""

    slug = "disable"
    label = gettext_lazy("Disable…")
    heading = gettext_lazy("Disable a provider")
    permission = "change_paymentprovider"
    is_grave = True

    def is_offered(self, row: PaymentProvider) -> bool:
        """Offer it while it is enabled."""
        return row.is_enabled

    def effects(self, row: PaymentProvider, values: Values | None = None) -> Iterable[Text]:
        """Say what shoppers will see, and what stays possible."""
        yield _("Shoppers can't begin to pay with %(provider)s any more.") % {
            "provider": provider_name(row.pk)
        }
        yield _("What it holds already can still be captured, refunded and released.")

    def run(self, row: PaymentProvider, values: Values, actor: Any) -> None:
        """Disable it."""
        disable_provider(row)

    def report(self, row: PaymentProvider, values: Values) -> Report:
        """Say so."""
        return Report(text=_("%(provider)s is disabled.") % {"provider": provider_name(row.pk)})


PROVIDER_ACTIONS: Final = (EnableProvider(), DisableProvider())
