"""What the pages need to know of a provider's plug-in; one that can't be built is as good as none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.exceptions import NotFoundError
from payments.models import Capture, Refund
from payments.providers import BaseProvider, get_provider
from payments.states import MovementKind


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
    if not name:
        return alias
    return name if name.lower() == alias.lower() else f"{name} ({alias})"


def reference_html(
    alias: str, provider_reference: str | None, *, kind: MovementKind | None = None
) -> SafeString:
    """Return a provider's reference, linked to the provider's own dashboard where the plug-in knows the address.

    `kind` says of which movement it is a reference, if it is none of a session or payment.
    """
    if not provider_reference:
        return SafeString()
    url = _dashboard_url(plugin_of(alias), provider_reference, kind)
    code = format_html('<code class="payments-code">{}</code>', provider_reference)
    if urlsplit(url).scheme not in ("http", "https"):
        return code
    told = _("Look it up in the provider's dashboard")
    return format_html('<a href="{}" rel="external noreferrer" title="{}">{}</a>', url, told, code)


def movement_reference_html(alias: str, movement: Capture | Refund) -> SafeString:
    """Return a capture's or refund's reference as `reference_html` does."""
    kind = MovementKind.CAPTURE if isinstance(movement, Capture) else MovementKind.REFUND
    return reference_html(alias, movement.provider_reference, kind=kind)


def _dashboard_url(
    plugin: BaseProvider[Any] | None, provider_reference: str, kind: MovementKind | None
) -> str:
    if plugin is None:
        return ""
    if kind is None:
        return plugin.dashboard_url(provider_reference)
    return plugin.movement_url(kind, provider_reference)
