"""Puts actions on the pages of a model: buttons, confirmation pages, and entries in the menu of its list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from payments.admin.actions.base import Action
from payments.admin.actions.bulk import BulkPage, bulk_choice
from payments.admin.actions.pages import ActionPage
from payments.admin.actions.performing import Desk
from payments.admin.inspection import InspectionAdminMixin
from payments.admin.links import Links
from payments.admin.panels import Text

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, kw_only=True)
class Button:
    """Link to the confirmation page of an action."""

    label: Text
    url: str
    is_grave: bool


class ActionsAdminMixin(InspectionAdminMixin):
    """Let those with the permission of an action take it; everybody else doesn't even see its button."""

    payment_actions: ClassVar[Sequence[Action[Any]]] = ()

    def get_urls(self) -> Any:
        """Add the confirmation pages."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path(
                "bulk/<slug:slug>/",
                wrap(outside_transactions(self.bulk_action_view)),
                name=f"{prefix}_bulk_action",
            ),
            path(
                "<path:object_id>/actions/<slug:slug>/",
                wrap(outside_transactions(self.row_action_view)),
                name=f"{prefix}_action",
            ),
            *super().get_urls(),
        ]

    def row_action_view(self, request: HttpRequest, object_id: str, slug: str) -> HttpResponse:
        """Confirm and take an action on a row."""
        action = self._permitted(request, slug)
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        desk = Desk(model_admin=self, request=request)
        return ActionPage(desk=desk, row=row, action=action, back_url=self._url("change", row)).respond()

    def bulk_action_view(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        """Take an action on each of the rows that were confirmed."""
        action = self._permitted(request, slug)
        if not action.bulk_label:
            raise Http404
        desk = Desk(model_admin=self, request=request)
        return BulkPage(desk=desk, action=action, back_url=self._url("changelist")).respond()

    def get_buttons(self, request: HttpRequest, row: Any, *, next_url: str = "") -> list[Button]:
        """Return the actions that this user may take on a row as it is; `next_url` is where they lead back to."""
        query = f"?{urlencode({'next': next_url})}" if next_url else ""
        return [
            Button(
                label=str(action.label),
                url=self._url("action", row, action.slug) + query,
                is_grave=action.is_grave,
            )
            for action in self.payment_actions
            if self._is_permitted(request, action) and action.is_offered(row)
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the buttons to the page."""
        row = context.get("original")
        if row is not None:
            context["payments_buttons"] = self.get_buttons(request, row)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Offer in the menu of the list what this user may do to many rows, and nothing else: no deleting."""
        # From 6.1 on, Django has such a menu on the page of one row too; there are buttons there already.
        if getattr(action_location, "name", "CHANGE_LIST") != "CHANGE_LIST":
            return {}
        return {
            action.slug: (bulk_choice(action), action.slug, str(action.bulk_label))
            for action in self.payment_actions
            if action.bulk_label and self._is_permitted(request, action)
        }

    def _permitted(self, request: HttpRequest, slug: str) -> Action[Any]:
        action = next((each for each in self.payment_actions if each.slug == slug), None)
        if action is None:
            raise Http404
        if not self._is_permitted(request, action):
            raise PermissionDenied
        return action

    def _is_permitted(self, request: HttpRequest, action: Action[Any]) -> bool:
        return action.is_allowed(request) and self.has_view_permission(request)

    def _url(self, page: str, row: Any = None, *arguments: str) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=[*([] if row is None else [quote(row.pk)]), *arguments])


def outside_transactions(view: View) -> View:
    """Return a view that ATOMIC_REQUESTS doesn't wrap: what a provider was asked for must not be rolled back."""

    def unwrapped(*args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(*args, **kwargs)

    marked: Any = unwrapped
    for alias in connections:
        marked = transaction.non_atomic_requests(using=alias)(marked)
    return marked  # type: ignore[no-any-return]


def buttons_html(row: Any, links: Links) -> SafeString:
    """Return the buttons of a row that is shown on another row's page, to which they lead back."""
    site = links.site
    model_admin = site.get_model_admin(type(row)) if site.is_registered(type(row)) else None
    if not isinstance(model_admin, ActionsAdminMixin) or links.request.path == links.url(type(row), row.pk):
        return SafeString()
    buttons = model_admin.get_buttons(links.request, row, next_url=links.request.path)
    shown = format_html_join(
        " ",
        '<a class="payments-button payments-small{}" href="{}" aria-label="{}">{}</a>',
        (
            (" payments-grave" if each.is_grave else "", each.url, f"{each.label} {row.pk}", each.label)
            for each in buttons
        ),
    )
    return format_html('<span class="payments-row-actions">{}</span>', shown) if buttons else SafeString()
