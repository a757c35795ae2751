"""Actions on many rows: a page that lists what will happen to each, and one that streams what came of it.

Every row has a guard and a transaction of its own, so that one that fails spares the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import get_template
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import get_language, ngettext, override
from django.utils.translation import gettext as _

from payments.admin.actions.base import Action, ActionContext, Report, version_of
from payments.admin.actions.forms import MAX_VERSION
from payments.admin.formatting import amount_text
from payments.admin.panels import Text
from payments.admin.payables import name_owners
from payments.exceptions import OperationInProgressError, PaymentError

LIMIT: Final = 200
_MARK: Final = "<!--results-->"
_LEVELS: Final = {
    messages.SUCCESS: "good",
    messages.INFO: "good",
    messages.WARNING: "waiting",
    messages.ERROR: "bad",
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of the chosen rows, with what will happen to it, or why nothing will."""

    row: Any
    owner: Text = ""
    effects: tuple[Text, ...] = ()
    version: str = ""
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one row; `tone` colours it and `number` counts it."""

    row_text: str
    owner: Text = ""
    url: str
    text: str
    tone: str
    number: int


def bulk_choice(action: Action[Any]) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    """Return what Django's admin calls when an action was chosen for some rows of a list."""

    def choose(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        rows = list(queryset[: LIMIT + 1])
        if len(rows) > LIMIT:
            message = ngettext(
                "Choose at most %(limit)s row at once.", "Choose at most %(limit)s rows at once.", LIMIT
            )
            messages.warning(request, message % {"limit": LIMIT})
            return None
        return confirmation(model_admin, request, action, rows)

    return choose


def confirmation(
    model_admin: Any, request: HttpRequest, action: Action[Any], rows: Iterable[Any]
) -> HttpResponse:
    """Return the page that says what will happen to each row, and asks."""
    rows = list(rows)
    owners = name_owners(rows, model_admin.links(request))
    candidates = [replace(_candidate(action, row), owner=owners.get(row.pk, "")) for row in rows]
    chosen = [each for each in candidates if not each.refusal]
    opts = model_admin.opts
    site = model_admin.admin_site
    context = {
        **site.each_context(request),
        "opts": opts,
        "media": model_admin.media,
        "title": action.bulk_label,
        "action": action,
        "candidates": candidates,
        "chosen_count": len(chosen),
        "totals": _totals(action, chosen),
        "bulk_url": reverse(
            f"{site.name}:{opts.app_label}_{opts.model_name}_bulk_action", args=[action.slug]
        ),
        "back_url": reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_changelist"),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/payments/bulk.html", context)


class BulkPage:
    """The page on which an action is taken on the rows of a confirmed list."""

    def __init__(self, *, context: ActionContext, action: Action[Any], back_url: str) -> None:
        self._context, self._action, self._back_url = context, action, back_url
        self._admin, self._request = context.model_admin, context.request

    def respond(self) -> HttpResponseBase:
        """Stream the results."""
        versions = dict(_read(each) for each in self._request.POST.getlist("row")[:LIMIT])
        if self._request.method != "POST" or not versions:
            messages.warning(self._request, _("Choose rows first."))
            return HttpResponseRedirect(self._back_url)
        # Whoever leaves the page ends it after the row at hand.
        response = StreamingHttpResponse(self._page(versions, get_language() or "en"))
        response["X-Accel-Buffering"] = "no"  # nginx would hold the progress back otherwise
        response["Cache-Control"] = "no-store"
        return response

    def _page(self, versions: dict[str, str], language: str) -> Iterator[bytes]:
        # What is streamed is made after the middleware has ended, so the language is set again.
        with override(language):
            before, after = self._frame(len(versions)).split(_MARK)
            yield before.encode()
            row_template = get_template("admin/payments/parts/result.html")
            failures = 0
            for number, (pk, version) in enumerate(versions.items(), start=1):
                result = self._take(pk, version, number)
                failures += result.tone != "good"
                context = {"result": result, "total": len(versions)}
                yield row_template.render(context).encode()
            yield (
                get_template("admin/payments/parts/results_end.html")
                .render({"total": len(versions), "failures": failures, "back_url": self._back_url})
                .encode()
            )
            yield after.encode()

    def _take(self, pk: str, version: str, number: int) -> Result:
        row = self._admin.get_queryset(self._request).filter(pk=pk).first()
        if row is None:
            report = Report(text=_("There is no such row any more."), level=messages.ERROR)
            return Result(row_text=pk, url="", text=report.text, tone="bad", number=number)
        report = self._report(row, version)
        opts = self._admin.opts
        name = f"{self._admin.admin_site.name}:{opts.app_label}_{opts.model_name}_change"
        return Result(
            row_text=str(row),
            owner=name_owners([row], self._admin.links(self._request)).get(row.pk, ""),
            url=reverse(name, args=[quote(row.pk)]),
            text=report.text,
            tone=_LEVELS.get(report.level, "bad"),
            number=number,
        )

    def _report(self, row: Any, version: str) -> Report:
        with self._context.guard(row, self._action, version) as guard:
            try:
                previous = guard.begin()
            except OperationInProgressError as error:
                return guard.report_running(error)
            if previous is not None:
                message = _("This was done already, by %(name)s. %(report)s")
                parts = {"name": previous.actor, "report": previous.report.text}
                return Report(text=message % parts, level=messages.WARNING)
            if not guard.is_current:
                message = _("It has changed since you chose it, so nothing was done.")
                return Report(text=message, level=messages.WARNING)
            try:
                return guard.perform(self._action.bulk_values(row))
            except OperationInProgressError as error:
                return Report(text=error.message, level=messages.WARNING)
            except PaymentError as error:
                return Report(text=error.message, level=messages.ERROR)

    def _frame(self, count: int) -> str:
        model_admin = self._admin
        context = {
            **model_admin.admin_site.each_context(self._request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "title": self._action.bulk_label,
            "mark": _MARK,
            "back_url": self._back_url,
            "count": count,
        }
        self._request.current_app = model_admin.admin_site.name
        response = TemplateResponse(self._request, "admin/payments/results.html", context)
        return str(response.render().content, "utf-8")


def _candidate(action: Action[Any], row: Any) -> Candidate:
    if not action.is_offered(row):
        return Candidate(row=row, refusal=_("This isn't possible now."))
    try:
        action.check(row)
        values = action.bulk_values(row)
        effects = tuple(action.effects(row, values))
    except PaymentError as error:
        return Candidate(row=row, refusal=error.message)
    return Candidate(row=row, effects=effects, version=f"{row.pk}:{version_of(row)}")


def _totals(action: Action[Any], chosen: Iterable[Candidate]) -> list[str]:
    """Return how much is to move in all, per currency, where the action moves an amount."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in chosen:
        amount = action.moving_amount(each.row, action.bulk_values(each.row))
        if amount is not None:
            sums[each.row.currency_code] += amount
    return [amount_text(amount, currency) for currency, amount in sorted(sums.items())]


def _read(text: str) -> tuple[str, str]:
    pk, _separator, version = text.rpartition(":")
    return pk, version[:MAX_VERSION]  # what is cut off made it no version of anything
