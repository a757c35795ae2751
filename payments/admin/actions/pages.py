"""The confirmation page: what will happen in money, one button that makes it happen, and the way back.

    GET                    the form, or where nothing is to be filled in, what will happen
    POST                   what will happen with what was filled in
    POST with `confirmed`  it happens, once, and a message on the row's page says what came of it

A page that isn't current any more is shown anew, with status 409; nothing was done then.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from payments.admin.actions.base import Action, Report
from payments.admin.actions.forms import ActionForm
from payments.admin.actions.once import Earlier
from payments.admin.actions.owners import name_owners
from payments.admin.actions.performing import Desk, perform, report_holder
from payments.admin.actions.versions import version_of
from payments.admin.words import amount_text
from payments.exceptions import OperationInProgressError, PaymentError

TEMPLATE: Final = "admin/payments/action.html"
CONFLICT: Final = 409


class ActionPage:
    """Take one action on one row, for one request. `back_url` is the row's page."""

    def __init__(self, *, desk: Desk, row: Any, action: Action[Any], back_url: str) -> None:
        self._desk, self._row, self._action, self._back_url = desk, row, action, back_url
        self._request = desk.request

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
        # What was done already is told before the form is asked: its choices may be gone since.
        sent = ActionForm(self._request.POST)
        if not sent.is_valid():
            return self._show_without_version(next_url=sent.cleaned_data.get("next", ""))
        earlier = self._earlier(sent.cleaned_data["version"])
        if earlier is not None:
            return self._leave(sent, self._tell_of(earlier, self._asked_amount()))
        form = self._action.form_class(self._request.POST, row=self._row)
        if not form.is_valid() or "edit" in self._request.POST:
            return self._show(form)
        if form.is_asking and "confirmed" not in self._request.POST:
            return self._look_over(form)
        return self._act(form)

    def _earlier(self, version: str) -> Earlier | None:
        """Return what came of the page's own action where it was taken before."""
        is_confirmed = "confirmed" in self._request.POST and "edit" not in self._request.POST
        return self._desk.turn(self._row, self._action, version).earlier() if is_confirmed else None

    def _show_without_version(self, *, next_url: str) -> HttpResponse:
        """Show what was filled in again, on a page that can be sent, to somebody whose browser sent a broken one."""
        told = _(
            "The page didn't say what it had shown, so nothing was done. Look it over and send it again."
        )
        data = self._request.POST.copy()
        data["version"], data["next"] = version_of(self._row), next_url
        return self._show(self._action.form_class(data, row=self._row), alert=told)

    def _look_over(self, form: ActionForm) -> HttpResponse:
        """Show what will happen with what was filled in."""
        if form.cleaned_data["version"] != version_of(self._row):
            return self._show_anew(form)
        try:
            effects = list(self._action.effects(self._row, form.values))
        except PaymentError as error:
            return self._refuse(form, error)
        return self._render(form, effects=effects, is_final=True)

    def _act(self, form: ActionForm) -> HttpResponse:
        version = form.cleaned_data["version"]
        turn = self._desk.turn(self._row, self._action, version)
        try:
            earlier = turn.take()
        except OperationInProgressError as error:
            return self._leave(form, report_holder(self._desk, self._action, turn, error))
        if earlier is not None:
            return self._leave(form, self._tell_of(earlier, form.values.get("amount")))
        if version != version_of(self._row):
            turn.end(None)
            return self._show_anew(form)
        try:
            report = perform(self._desk, self._row, self._action, form.values, turn)
        except PaymentError as error:
            return self._refuse(form, error)
        return self._leave(form, report)

    def _asked_amount(self) -> Decimal | None:
        """Return the amount that was filled in, as far as it can be read."""
        form = self._action.form_class(self._request.POST, row=self._row)
        form.is_valid()
        amount: Decimal | None = form.cleaned_data.get("amount")
        return amount

    def _tell_of(self, earlier: Earlier, amount: Decimal | None) -> Report:
        """Say that this has been done before, by the same person's second click or by somebody else.

        Another amount than was asked before is not what was done.
        """
        is_own = earlier.actor == self._desk.username and earlier.action == self._action.slug
        if is_own and amount is not None and earlier.amount not in ("", f"{amount.normalize():f}"):
            told = _("Not done: %(amount)s. You have changed this since you opened the page: %(report)s")
            parts = {
                "amount": amount_text(amount, self._row.currency_code),
                "report": earlier.report.text,
            }
            return Report(text=told % parts, level=messages.WARNING)
        if is_own:
            return Report(
                text=_("You have done this already, so it was not done again. %(report)s")
                % {"report": earlier.report.text},
                level=earlier.report.level,
            )
        told = _("%(name)s was faster, so you changed nothing. %(report)s")
        return Report(
            text=told % {"name": earlier.actor, "report": earlier.report.text}, level=messages.WARNING
        )

    def _refuse(self, form: ActionForm, error: PaymentError) -> HttpResponse:
        """Show the form again with the reason why the services refused; nothing was done."""
        field = error.field if error.field in {each.name for each in form.visible_fields()} else None
        form.add_error(field, error.message)
        form.take_refusal(error.code)
        return self._show(form, status=CONFLICT)

    def _show_anew(self, form: ActionForm) -> HttpResponse:
        """Show how things stand now to somebody whose page was old."""
        refusal = self._refusal()
        told = _(
            "This has changed since you opened the page, so nothing was done. Here is how it stands now."
        )
        if refusal is not None:
            messages.warning(self._request, f"{told} {refusal}")
            return HttpResponseRedirect(self._next_url(form.cleaned_data["next"]))
        return self._show(self._new_form(next_url=form.cleaned_data["next"]), status=CONFLICT, alert=told)

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
        model_admin = self._desk.model_admin
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
