"""Links between the pages of one admin site, to customers and to providers' dashboards, for what the user may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.admin.formatting import lines, quiet
from payments.exceptions import NotFoundError
from payments.models import Capture, Refund
from payments.providers import BaseProvider, get_provider
from payments.states import MovementKind
from payments.users import email_of

_ATTRIBUTE: Final = "_payments_admin_links"
_TAIL: Final = 8


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links to the rows and lists on `site` that the request's user may view there."""

    site: AdminSite
    request: HttpRequest

    def may_view(self, model: type[models.Model]) -> bool:
        """Return whether the user may view rows of a model, on this site or at all."""
        if self.site.is_registered(model):
            return bool(self.site.get_model_admin(model).has_view_permission(self.request))
        user: Any = self.request.user
        return bool(user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"))

    def url(self, model: type[models.Model], pk: Any) -> str | None:
        """Return the address of a row's page, or None where there is none for this user."""
        if pk is None or not self._is_reachable(model):
            return None
        return reverse(self._name(model, "change"), args=[quote(pk)])

    def listing(self, model: type[models.Model], **lookups: object) -> str | None:
        """Return the address of a model's list, filtered, or None where there is none for this user."""
        if not self._is_reachable(model):
            return None
        return f"{reverse(self._name(model, 'changelist'))}?{urlencode(lookups)}"

    def to(self, model: type[models.Model], pk: Any, label: object) -> SafeString:
        """Return a label that links to a row's page, if there is one for this user."""
        return link(self.url(model, pk), label)

    def to_id(self, model: type[models.Model], pk: str | None) -> SafeString:
        """Return a shortened id that links to its row's page."""
        return SafeString() if pk is None else self.to(model, pk, short_id(pk))

    def _is_reachable(self, model: type[models.Model]) -> bool:
        return self.site.is_registered(model) and self.may_view(model)

    def _name(self, model: type[models.Model], page: str) -> str:
        return f"{self.site.name}:{model._meta.app_label}_{model._meta.model_name}_{page}"


def link(url: str | None, label: object) -> SafeString:
    """Return a label that links to an address, if there is one."""
    return format_html("{}", label) if url is None else format_html('<a href="{}">{}</a>', url, label)


def short_id(value: str) -> SafeString:
    """Return a prefixed id by its prefix and its last characters, the whole of it in the title."""
    prefix, separator, rest = value.rpartition("_")
    shown = value if len(rest) <= _TAIL else f"{prefix}{separator}\N{HORIZONTAL ELLIPSIS}{rest[-_TAIL:]}"
    return format_html('<span class="payments-id" title="{}">{}</span>', value, shown)


def attach_links(row: models.Model, links: Links) -> None:
    """Have a row's columns know the links of this request; a ModelAdmin is shared between requests, a row isn't."""
    row.__dict__[_ATTRIBUTE] = links


def links_of(row: models.Model) -> Links:
    """Return the links that were attached to a row."""
    links: Links = row.__dict__[_ATTRIBUTE]
    return links


def customer_html(customer: Any, links: Links) -> SafeString:
    """Return a customer's e-mail address and user name, linked to their page if this site has one."""
    if customer is None:
        return SafeString()
    name, email = customer.get_username(), email_of(customer)
    return lines(customer_link(customer, links), quiet(name) if email and name != email else "")


def customer_link(customer: Any, links: Links) -> SafeString:
    """Return a customer's e-mail address, or else user name, linked to their page if this site has one."""
    if customer is None:
        return SafeString()
    name, at, domain = str(email_of(customer) or customer.get_username()).partition("@")
    label = format_html("{}{}<wbr>{}", name, at, domain) if at else name
    return links.to(get_user_model(), customer.pk, label)


def find_provider(alias: str) -> BaseProvider[Any] | None:
    """Return a configured provider, or None."""
    try:
        return get_provider(alias)
    except (NotFoundError, ImproperlyConfigured):
        return None


def can_be_asked(alias: str) -> bool:
    """Return whether a provider is configured and can say how a payment stands."""
    provider = find_provider(alias)
    return provider is not None and provider.supports_retrieve


def provider_name(alias: str) -> str:
    """Return a provider's name for people: the plug-in's, with the alias."""
    provider = find_provider(alias)
    name = str(provider.verbose_name) if provider is not None else ""
    if not name:
        return alias
    return name if name.lower() == alias.lower() else f"{name} ({alias})"


def reference_html(
    alias: str, provider_reference: str | None, *, kind: MovementKind | None = None
) -> SafeString:
    """Return a provider's reference, linked to the provider's own dashboard where the plug-in knows the address.

    `kind` is given for the reference of a capture or refund.
    """
    if not provider_reference:
        return SafeString()
    url = _dashboard_url(find_provider(alias), provider_reference, kind)
    code = format_html('<code class="payments-code">{}</code>', provider_reference)
    if urlsplit(url).scheme not in ("http", "https"):
        return code
    message = _("Look it up in the provider's dashboard")
    return format_html('<a href="{}" rel="external noreferrer" title="{}">{}</a>', url, message, code)


def movement_reference_html(alias: str, movement: Capture | Refund) -> SafeString:
    """Return a capture's or refund's reference as `reference_html` does."""
    return reference_html(alias, movement.provider_reference, kind=movement.kind)


def _dashboard_url(
    provider: BaseProvider[Any] | None, provider_reference: str, kind: MovementKind | None
) -> str:
    if provider is None:
        return ""
    if kind is None:
        return provider.dashboard_url(provider_reference)
    return provider.movement_url(kind, provider_reference)
