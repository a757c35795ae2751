"""Charts as SVG shapes, drawn by the server: no script, and the same numbers stand in a table beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from django.utils import formats
from django.utils.translation import gettext as _

from payments.admin.formatting import amount_text
from payments.admin.overview.figures import Series

WIDTH: Final = 720
HEIGHT: Final = 120
SHADES: Final = 5


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One piece of a column; all lengths are in the units of the SVG."""

    x: str
    y: str
    width: str
    height: str
    shade: int
    title: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One column of bars per day; `text` says in a sentence what it shows."""

    bars: tuple[Bar, ...]
    text: str
    highest: str
    first_day: str
    last_day: str


def daily_chart(title: str, series: Series, days: list[date], currency: str, providers: list[str]) -> Chart:
    """Draw a series, each day's bar stacked by provider; `providers` fixes their shades."""
    highest = max((series.on(day) for day in days), default=Decimal(0))
    step = WIDTH / len(days)
    return Chart(
        bars=tuple(
            Bar(
                x=f"{index * step + step * 0.12:.2f}",
                y=f"{piece.bottom - piece.height:.2f}",
                width=f"{step * 0.76:.2f}",
                height=f"{piece.height:.2f}",
                shade=shade_of(piece.provider, providers),
                title=f"{_short(day)} · {piece.provider} · {amount_text(piece.amount, currency)}",
            )
            for index, day in enumerate(days)
            for piece in _column(series, day, highest, providers)
        ),
        text=_describe(title, series, days, highest, currency),
        highest=amount_text(highest, currency),
        first_day=_short(days[0]),
        last_day=_short(days[-1]),
    )


def shade_of(provider: str, providers: list[str]) -> int:
    """Return which of the few shades a provider has."""
    return providers.index(provider) % SHADES


@dataclass(frozen=True, kw_only=True)
class _Piece:
    provider: str
    amount: Decimal
    bottom: float
    height: float


def _column(series: Series, day: date, highest: Decimal, providers: list[str]) -> list[_Piece]:
    pieces, bottom = [], float(HEIGHT)
    for provider in providers:
        amount = series.amounts.get(provider, {}).get(day)
        if amount:
            height = max(float(amount / highest) * HEIGHT, 1.0)
            pieces.append(_Piece(provider=provider, amount=amount, bottom=bottom, height=height))
            bottom -= height
    return pieces


def _describe(title: str, series: Series, days: list[date], highest: Decimal, currency: str) -> str:
    if not highest:
        return _("%(title)s: nothing in this period.") % {"title": title}
    best = max(days, key=series.on)
    return _(
        "%(title)s per day from %(first)s to %(last)s: %(total)s in all, most on %(best)s with %(highest)s."
    ) % {
        "title": title,
        "first": _short(days[0]),
        "last": _short(days[-1]),
        "total": amount_text(series.total, currency),
        "best": _short(best),
        "highest": amount_text(highest, currency),
    }


def _short(day: date) -> str:
    return formats.date_format(day, "SHORT_DATE_FORMAT")
