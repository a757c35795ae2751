"""The operator's view of the configured providers: which may be used, and what a payer may send to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from payments.conf import provider_aliases, provider_config
from payments.exceptions import InputError, NotFoundError, ProviderUnavailableError
from payments.models import Payment, PaymentProvider, PaymentSession
from payments.money import require_multiple
from payments.providers import BaseProvider, get_provider
from payments.services.origins import Origin
from payments.states import EventSource


@dataclass(frozen=True, kw_only=True)
class UsableProvider:
    """Pair a provider's row with its plug-in."""

    row: PaymentProvider
    plugin: BaseProvider[Any]


def usable_provider(provider_id: str) -> UsableProvider:
    """Return a configured and enabled provider.

    Raises NotFoundError (`unknown_provider`) and InputError (`provider_disabled`), both naming `provider_id`.
    """
    plugin = get_provider(provider_id)
    row, _created = PaymentProvider.objects.get_or_create(pk=provider_id)
    if not row.is_enabled:
        raise InputError(
            _("The payment provider “%(alias)s” is disabled."),
            code="provider_disabled",
            field="provider_id",
            params={"alias": provider_id},
        )
    return UsableProvider(row=row, plugin=plugin)


def plugin_for(row: PaymentSession | Payment) -> BaseProvider[Any]:
    """Return the plug-in that a session or payment is tied to.

    Raises ProviderUnavailableError (`provider_not_configured`) where its alias has left the settings: the row stays
    readable, and works again as soon as the alias is back.
    """
    try:
        return get_provider(row.provider_id)
    except NotFoundError as error:
        raise ProviderUnavailableError(
            _("The payment provider “%(alias)s” is not configured any more. Nothing was changed."),
            code="provider_not_configured",
            field="provider_id",
            params={"alias": row.provider_id},
        ) from error


def publishable(session: PaymentSession, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a session's provider has declared as public, and nothing where it has left the settings."""
    try:
        declared = plugin_for(session).public_data_keys
    except ProviderUnavailableError:
        declared = frozenset()
    return {key: value for key, value in data.items() if key in declared}


def is_for_payers(plugin: BaseProvider[Any]) -> bool:
    """Tell whether payers may choose a provider: its setting says so, or else the plug-in itself."""
    chosen = provider_config(plugin.alias).storefront
    return plugin.is_for_payers if chosen is None else chosen


def refuse_to_payers(plugin: BaseProvider[Any], origin: Origin) -> None:
    """Raise InputError (`provider_not_offered`) where a payer asks for a provider that isn't for them."""
    if origin.source == EventSource.STOREFRONT and not is_for_payers(plugin):
        raise InputError(
            _("The payment provider “%(alias)s” can't be chosen here."),
            code="provider_not_offered",
            field="provider_id",
            params={"alias": plugin.alias},
        )


def list_providers() -> list[PaymentProvider]:
    """Return the rows of all configured providers, making those that are missing, in the setting's order."""
    return [PaymentProvider.objects.get_or_create(pk=alias)[0] for alias in provider_aliases()]


def list_offered_providers() -> list[PaymentProvider]:
    """Return the rows of the providers from which a payer may choose now, in the setting's order."""
    return [row for row in list_providers() if row.is_enabled and is_for_payers(get_provider(row.pk))]


def enable_provider(provider: PaymentProvider) -> PaymentProvider:
    """Let new sessions use a provider again."""
    return _switch(provider, is_enabled=True)


def disable_provider(provider: PaymentProvider) -> PaymentProvider:
    """Let no new session use a provider; what it already holds can still be captured, refunded and canceled."""
    return _switch(provider, is_enabled=False)


def refuse_odd_amount(plugin: BaseProvider[Any], amount: Decimal, currency_code: str) -> None:
    """Raise AmountError (`not_a_multiple`) for an amount (major units) that a provider could only refuse.

    Raises DeclinedError where the provider says that it doesn't take the currency.
    """
    require_multiple(amount, currency_code, plugin.amount_step(currency_code))


def check_input(plugin: BaseProvider[Any], data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a payer sent to a provider; raise InputError for a key that it doesn't declare."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise InputError(_("The data must be an object."), code="invalid_data", field="data")
    unknown = sorted(str(key) for key in set(data) - plugin.input_keys)
    if unknown:
        raise InputError(
            _("The provider “%(alias)s” takes no “%(keys)s”."),
            code="unknown_data_key",
            field="data",
            params={"alias": plugin.alias, "keys": ", ".join(unknown)},
        )
    return dict(data)


def _switch(provider: PaymentProvider, *, is_enabled: bool) -> PaymentProvider:
    provider.is_enabled = is_enabled
    provider.save_fields("is_enabled")
    return provider
