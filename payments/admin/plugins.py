"""What the pages need to know of a provider's plug-in; one that can't be built is as good as none."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from payments.exceptions import NotFoundError
from payments.providers import BaseProvider, get_provider


def plugin_of(alias: str) -> BaseProvider[Any] | None:
    """Return a configured provider, or None."""
    try:
        return get_provider(alias)
    except (NotFoundError, ImproperlyConfigured):
        return None


def provider_name(alias: str) -> str:
    """Return a provider's name for people: the plug-in's, with the alias."""
    plugin = plugin_of(alias)
    name = str(plugin.verbose_name) if plugin is not None else ""
    return f"{name} ({alias})" if name and name.lower() != alias.lower() else alias
