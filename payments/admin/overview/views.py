"""The overview as a page: charts, tables and links to the lists that they are drawn from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import formats
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from payments.admin.formatting import amount_html, moment
from payments.admin.links import Links, short_id
from payments.admin.overview import figures
from payments.admin.overview.charts import Chart, daily_chart, shade_of
from payments.admin.overview.export import export
from payments.admin.overview.figures import CHOICES, Period, Sums
from payments.admin.panels import Fact, Text
from payments.admin.widgets import status_badge
from payments.models import Capture, Payment, PaymentCollection, PaymentOperation, Refund
from payments.models.base import reading_lists
from payments.states import OperationStatus
from payments.stored import beginning


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A link to the page with another period or currency."""

    label: str
    url: str
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class SeriesCard:
    """One of the three series: its total, its chart, and the list that it is drawn from."""

    title: str
    total: SafeString
    chart: Chart
    url: str | None


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of a table: a heading, with a link where there is one, and cells."""

    heading: Text
    cells: tuple[Fact, ...]
    url: str | None = None
    shade: int = 0


@dataclass(frozen=True, kw_only=True)
class BarRow:
    """A row with a bar; `percent` is its share of the whole width."""

    label: Text
    percent: int
    text: str
    url: str | None
    has_alert: bool = False


def overview(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the overview; raise PermissionDenied without permission to view payments and operations."""
    links = permitted_links(model_admin, request)
    period = Period.of(request.GET)
    with reading_lists():
        figures_shown = _Overview(
            links, period, request.GET.get("currency", ""), _url(model_admin, "overview")
        ).context()
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": _("Overview"),
        **figures_shown,
        "export_url": f"{_url(model_admin, 'export')}?{urlencode({'days': period.days})}",
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/payments/overview.html", context)


def export_view(model_admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Stream the movements of the period."""
    links = permitted_links(model_admin, request)
    return export(Period.of(request.GET), links)


def permitted_links(model_admin: Any, request: HttpRequest) -> Links:
    """Return the links of this request; raise PermissionDenied without permission to view what is added up."""
    links = Links(site=model_admin.admin_site, request=request)
    if not all(links.may_view(model) for model in (Payment, Capture, Refund, PaymentOperation)):
        raise PermissionDenied
    return links


class _Overview:
    def __init__(self, links: Links, period: Period, currency: str, url: str) -> None:
        self._links, self._period, self._page_url = links, period, url
        self._sums = Sums(period)
        self._currencies = self._sums.currencies()
        usual = self._currencies[0] if self._currencies else "eur"
        self._currency = currency if currency in self._currencies else usual

    def context(self) -> dict[str, Any]:
        """Return everything that the template shows."""
        period, currency = self._period, self._currency
        series = (
            (_("Authorized"), self._sums.series("authorized", currency), Payment, "created_at"),
            (_("Captured"), self._sums.series("captured", currency), Capture, "succeeded_at"),
            (_("Refunded"), self._sums.series("refunded", currency), Refund, "succeeded_at"),
        )
        providers = sorted({alias for _title, each, _model, _moment in series for alias in each.providers})
        return {
            "periods": list(self._periods()),
            "currencies": list(self._currency_choices()),
            "strands": [
                SeriesCard(
                    title=title,
                    total=amount_html(each.total, currency),
                    chart=daily_chart(title, each, period.dates, currency, providers),
                    url=self._list(model, field, period.dates[0], period.last),
                )
                for title, each, model, field in series
            ],
            "provider_rows": [self._provider_row(alias, series, providers) for alias in providers],
            "day_rows": list(self._day_rows(series)),
            "rates": list(self._rates()),
            "declines": list(self._declines()),
            "unresolved": list(self._unresolved()),
            "expiring": list(self._expiring()),
        }

    def _periods(self) -> Iterable[Choice]:
        for days in CHOICES:
            label = ngettext("%(days)s day", "%(days)s days", days) % {"days": days}
            yield Choice(
                label=label,
                url=self._url(days=days, currency=self._currency),
                is_chosen=days == self._period.days,
            )

    def _currency_choices(self) -> Iterable[Choice]:
        for code in self._currencies:
            yield Choice(
                label=code.upper(),
                url=self._url(days=self._period.days, currency=code),
                is_chosen=code == self._currency,
            )

    def _provider_row(self, alias: str, series: Any, providers: list[str]) -> TableRow:
        return TableRow(
            heading=alias,
            shade=shade_of(alias, providers),
            cells=tuple(
                Fact(label=title, value=amount_html(each.of_provider(alias), self._currency))
                for title, each, *_rest in series
            ),
            url=self._links.listing(
                Payment,
                provider__id__exact=alias,
                created_at__gte=self._period.start.isoformat(),
                currency=self._currency,
            ),
        )

    def _day_rows(self, series: Any) -> Iterable[TableRow]:
        for day in reversed(self._period.dates):
            amounts = {title: each.on(day) for title, each, *_rest in series}
            if any(amounts.values()):
                yield TableRow(
                    heading=formats.date_format(day, "DATE_FORMAT"),
                    cells=tuple(
                        Fact(label=title, value=amount_html(amount, self._currency))
                        for title, amount in amounts.items()
                    ),
                    url=self._list(Payment, "created_at", day, day),
                )

    def _rates(self) -> Iterable[BarRow]:
        for rate in self._sums.success_rates():
            text = _("%(percent)s %%: %(succeeded)s succeeded, %(declined)s refused") % {
                "percent": rate.percent,
                "succeeded": rate.succeeded,
                "declined": rate.declined,
            }
            url = self._operations(kind__exact="authorize", provider__id__exact=rate.provider)
            yield BarRow(label=rate.provider, percent=rate.percent, text=text, url=url)

    def _declines(self) -> Iterable[BarRow]:
        found = self._sums.declines()
        most = max((each.count for each in found), default=1)
        for each in found:
            url = self._operations(status__exact=OperationStatus.DECLINED.value, error_code__exact=each.code)
            yield BarRow(
                label=capfirst(each.code.replace("_", " ")) or _("no code"),
                percent=round(100 * each.count / most),
                text=str(each.count),
                url=url,
            )

    def _unresolved(self) -> Iterable[BarRow]:
        counts = figures.unresolved()
        for status in (OperationStatus.ATTENTION, OperationStatus.UNKNOWN, OperationStatus.PENDING):
            yield BarRow(
                label=status_badge(status.value, OperationStatus),
                percent=0,
                text=str(counts.get(status, 0)),
                url=self._links.listing(PaymentOperation, status__exact=status.value),
                has_alert=bool(counts.get(status)) and status == OperationStatus.ATTENTION,
            )

    def _expiring(self) -> Iterable[TableRow]:
        for payment in figures.expiring()[: figures.MOST]:
            yield TableRow(
                heading=self._links.to(Payment, payment.pk, short_id(payment.pk)),
                cells=(
                    Fact(label=_("Provider"), value=payment.provider_id),
                    Fact(
                        label=_("Authorized, not captured"),
                        value=amount_html(payment.capturable_amount, payment.currency_code),
                    ),
                    Fact(label=_("Expires"), value=moment(payment.expires_at)),
                    Fact(
                        label=_("Collection"),
                        value=self._links.to_id(PaymentCollection, payment.collection_id),
                    ),
                ),
            )

    def _operations(self, **lookups: str) -> str | None:
        return self._links.listing(
            PaymentOperation, created_at__gte=self._period.start.isoformat(), **lookups
        )

    def _list(self, model: Any, field: str, first: date, last: date) -> str | None:
        lookups = {
            f"{field}__gte": beginning(first).isoformat(),
            f"{field}__lt": beginning(last + timedelta(days=1)).isoformat(),
            "currency": self._currency,
        }
        return self._links.listing(model, **lookups)

    def _url(self, **query: object) -> str:
        return f"{self._page_url}?{urlencode(query)}"


def _url(model_admin: Any, page: str) -> str:
    return reverse(f"{model_admin.admin_site.name}:payments_{page}")
