"""The confirmation page: what will happen in money, one button that makes it happen, and the way back.

    GET                    the form, or where nothing is to be filled in, what will happen
    POST                   what will happen with what was filled in
    POST with `confirmed`  it happens, once, and a message on the row's page says what came of it

A page that isn't current any more is shown anew, with status 409; nothing was done then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from payments.admin.actions.base import Action, ActionContext, PreviousResult, Report, plain, version_of
from payments.admin.actions.bulk import BulkPage, bulk_choice
from payments.admin.actions.forms import ActionForm
from payments.admin.base import InspectionAdminMixin
from payments.admin.formatting import amount_text
from payments.admin.links import Links
from payments.admin.panels import Text
from payments.admin.payables import name_owners
from payments.exceptions import OperationInProgressError, PaymentError

TEMPLATE: Final = "admin/payments/action.html"
CONFLICT: Final = 409


class ActionPage:
    """The confirmation page of one action on one row, for one request; `back_url` is the row's page."""

    def __init__(self, *, context: ActionContext, row: Any, action: Action[Any], back_url: str) -> None:
        self._context, self._row, self._action, self._back_url = context, row, action, back_url
        self._request = context.request

    def respond(self) -> HttpResponse:
        """Show the page, or act."""
        if self._request.method == "POST":
            return self._post()
        refusal = self._refusal()
        if refusal is not None:
            messages.warning(self._request, refusal)
            return HttpResponseRedirect(self._next_url(self._request.GET.get("next", "")))
        return self._show(self._new_form(next_url=self._request.GET.get("next", "")))

    def _post(self) -> HttpResponse:
        sent = ActionForm(self._request.POST)
        if not sent.is_valid():
            return self._show_without_version(next_url=sent.cleaned_data.get("next", ""))
        is_edited = "edit" in self._request.POST
        if "confirmed" in self._request.POST and not is_edited:
            return self._act(sent)
        form = self._action.form_class(self._request.POST, row=self._row)
        if not form.is_valid() or is_edited:
            return self._show(form)
        return self._look_over(form) if form.is_asking else self._act(sent)

    def _show_without_version(self, *, next_url: str) -> HttpResponse:
        """Show again what was filled in, on a page that can be sent."""
        message = _(
            "The page didn't say what it had shown, so nothing was done. Look it over and send it again."
        )
        data = self._request.POST.copy()
        data["version"], data["next"] = version_of(self._row), next_url
        return self._show(self._action.form_class(data, row=self._row), alert=message)

    def _look_over(self, form: ActionForm) -> HttpResponse:
        """Show what will happen with what was filled in."""
        if form.cleaned_data["version"] != version_of(self._row):
            return self._show_anew(form)
        try:
            effects = list(self._action.effects(self._row, form.values))
        except PaymentError as error:
            return self._refuse(form, error)
        return self._render(form, effects=effects, is_final=True)

    def _act(self, sent: ActionForm) -> HttpResponse:
        with self._context.guard(self._row, self._action, sent.cleaned_data["version"]) as guard:
            try:
                previous = guard.begin()
            except OperationInProgressError as error:
                return self._leave(sent, guard.report_running(error))
            # What was done already is told before the form is asked: its choices may be gone since.
            if previous is not None:
                return self._leave(sent, self._report_previous(previous))
            form = self._action.form_class(self._request.POST, row=self._row)
            if not form.is_valid():
                return self._show(form)
            if not guard.is_current:
                return self._show_anew(form)
            try:
                report = guard.perform(form.values)
            except PaymentError as error:
                return self._refuse(form, error)
        return self._leave(form, report)

    def _report_previous(self, previous: PreviousResult) -> Report:
        """Say that this has been done before, by the same operator's second click or by another operator."""
        if previous.actor != self._context.username or previous.action != self._action.slug:
            message = _("%(name)s has already acted on this. You changed nothing. %(report)s")
            parts = {"name": previous.actor, "report": previous.report.text}
            return Report(text=message % parts, level=messages.WARNING)
        form = self._action.form_class(self._request.POST, row=self._row)
        form.is_valid()
        amount: Decimal | None = form.cleaned_data.get("amount")
        if amount is not None and previous.amount not in ("", plain(amount)):
            message = _("Not done: %(amount)s. You have changed this since you opened the page: %(report)s")
            shown = amount_text(amount, self._row.currency_code)
            return Report(
                text=message % {"amount": shown, "report": previous.report.text}, level=messages.WARNING
            )
        message = _("You have done this already, so it was not done again. %(report)s")
        return Report(text=message % {"report": previous.report.text}, level=previous.report.level)

    def _refuse(self, form: ActionForm, error: PaymentError) -> HttpResponse:
        """Show the form again with the reason why the services refused; nothing was done."""
        field = error.field if error.field in {each.name for each in form.visible_fields()} else None
        form.add_error(field, error.message)
        form.take_refusal(error.code)
        return self._show(form, status=CONFLICT)

    def _show_anew(self, form: ActionForm) -> HttpResponse:
        """Show how things stand now instead of the stale page."""
        refusal = self._refusal()
        message = _(
            "This has changed since you opened the page, so nothing was done. Here is how it stands now."
        )
        if refusal is not None:
            messages.warning(self._request, f"{message} {refusal}")
            return HttpResponseRedirect(self._next_url(form.cleaned_data["next"]))
        return self._show(self._new_form(next_url=form.cleaned_data["next"]), status=CONFLICT, alert=message)

    def _refusal(self) -> str | None:
        """Return why the action can't be taken now, or None."""
        if not self._action.is_offered(self._row):
            return _("This isn't possible now: see how it stands.")
        try:
            self._action.check(self._row)
        except PaymentError as error:
            return error.message
        return None

    def _new_form(self, *, next_url: str) -> ActionForm:
        initial = {**self._action.initial(self._row), "version": version_of(self._row), "next": next_url}
        return self._action.form_class(initial=initial, row=self._row)

    def _show(self, form: ActionForm, *, status: int = 200, alert: str = "") -> HttpResponse:
        try:
            effects = list(self._action.effects(self._row))
        except PaymentError as error:  # Nothing is left: the form says so.
            effects = [error.message]
        return self._render(form, effects=effects, is_final=not form.is_asking, status=status, alert=alert)

    def _render(
        self, form: ActionForm, *, effects: list[Any], is_final: bool, status: int = 200, alert: str = ""
    ) -> HttpResponse:
        model_admin = self._context.model_admin
        context = {
            **model_admin.admin_site.each_context(self._request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "title": self._action.heading,
            "subtitle": str(self._row),
            "original": self._row,
            "owner": name_owners([self._row], model_admin.links(self._request)).get(self._row.pk, ""),
            "action": self._action,
            "effects": effects,
            "form": form,
            "rows": form.summary() if is_final and form.is_bound else [],
            "is_final": is_final,
            "alert": alert,
            "back_url": self._next_url(str(form["next"].value() or "")),
            "row_url": self._back_url,
        }
        self._request.current_app = model_admin.admin_site.name
        return TemplateResponse(self._request, TEMPLATE, context, status=status)

    def _leave(self, form: ActionForm, report: Report) -> HttpResponse:
        messages.add_message(self._request, report.level, report.text)
        return HttpResponseRedirect(self._next_url(form.cleaned_data["next"]))

    def _next_url(self, url: str) -> str:
        """Return where to go: a page of this host that the link named, or the row's page."""
        is_local = url_has_allowed_host_and_scheme(
            url, allowed_hosts={self._request.get_host()}, require_https=self._request.is_secure()
        )
        return url if url and is_local else self._back_url


View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, kw_only=True)
class Button:
    """A link to the confirmation page of an action."""

    label: Text
    url: str
    is_grave: bool


class ActionsAdminMixin(InspectionAdminMixin):
    """A page with actions, each offered to users with its permission; others don't see its button."""

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
        context = ActionContext(model_admin=self, request=request)
        return ActionPage(
            context=context, row=row, action=action, back_url=self._url("change", row)
        ).respond()

    def bulk_action_view(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        """Take an action on each of the rows that were confirmed."""
        action = self._permitted(request, slug)
        if not action.bulk_label:
            raise Http404
        context = ActionContext(model_admin=self, request=request)
        return BulkPage(context=context, action=action, back_url=self._url("changelist")).respond()

    def get_buttons(self, request: HttpRequest, row: Any, *, next_url: str = "") -> list[Button]:
        """Return the actions that this user may take on a row; `next_url` is where they lead back to."""
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
