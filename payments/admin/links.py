"""Links between the pages of one admin site, for what the person at the desk may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

_ATTRIBUTE: Final = "_payments_admin_links"
_TAIL: Final = 8


@dataclass(frozen=True, kw_only=True)
class Links:
    """Link to rows and lists on `site`, as far as the request's user may view them there."""

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
