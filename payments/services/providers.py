"""The configured providers: which are enabled, which are offered, and which data they accept from payers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from payments.conf import provider_aliases
from payments.exceptions import InputError
from payments.models import PaymentProvider
from payments.providers import BaseProvider, get_provider
from payments.providers.registry import check_money
from payments.services.ledger.locks import database_alias, get_or_insert
from payments.services.ledger.payers import is_for_payers
from payments.services.ledger.statements import Select

_ROWS: Final = Select(PaymentProvider, lambda rows, provider: rows.filter(pk=provider), "provider")


def usable_provider(provider_id: str) -> BaseProvider[Any]:
    """Return a configured and enabled provider.

    Raises NotFoundError (`unknown_provider`) and InputError (`provider_disabled`, `pretend_money`), all naming
    `provider_id`.
    """
    provider = get_provider(provider_id)
    check_money(provider)
    if not provider_row(provider_id).is_enabled:
        raise InputError(
            _("The payment provider “%(alias)s” is disabled."),
            code="provider_disabled",
            field="provider_id",
            params={"alias": provider_id},
        )
    return provider


def list_providers() -> list[PaymentProvider]:
    """Return the rows of all configured providers in the setting's order, creating the missing ones."""
    return [provider_row(alias) for alias in provider_aliases()]


def list_offered_providers() -> list[PaymentProvider]:
    """Return the rows of the providers that are offered to payers now, in the setting's order."""
    return [row for row in list_providers() if row.is_enabled and is_for_payers(get_provider(row.pk))]


def enable_provider(provider: PaymentProvider) -> PaymentProvider:
    """Let new sessions use a provider again."""
    return _switch(provider, is_enabled=True)


def disable_provider(provider: PaymentProvider) -> PaymentProvider:
    """Refuse new sessions with a provider; what it already holds can still be captured, refunded and canceled."""
    return _switch(provider, is_enabled=False)


def check_input(provider: BaseProvider[Any], data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a payer's data for a provider; raise InputError for a key that the provider doesn't declare."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise InputError(_("The data must be an object."), code="invalid_data", field="data")
    unknown = sorted(str(key) for key in set(data) - provider.input_keys)
    if unknown:
        raise InputError(
            _("The provider “%(alias)s” takes no “%(keys)s”."),
            code="unknown_data_key",
            field="data",
            params={"alias": provider.alias, "keys": ", ".join(unknown)},
        )
    return dict(data)


def provider_row(provider_id: str) -> PaymentProvider:
    """Return a provider's row, creating it if it is missing."""
    found = _ROWS(database_alias(), provider=provider_id)
    return found[0] if found else get_or_insert(PaymentProvider.objects.all(), pk=provider_id)[0]


def _switch(provider: PaymentProvider, *, is_enabled: bool) -> PaymentProvider:
    provider.is_enabled = is_enabled
    provider.save_fields("is_enabled")
    return provider
