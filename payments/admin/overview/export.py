"""Every movement of the period as CSV, streamed row by row, however many there are."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import Model, Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from payments.admin.formatting import localized
from payments.admin.links import Links
from payments.admin.overview.figures import Period
from payments.models import Capture, Payment, Refund
from payments.models.base import reading_lists
from payments.money import format_amount
from payments.states import MovementStatus

_CHUNK: Final = 2_000
_FORMULA: Final = "=+-@\uff1d\uff0b\uff0d\uff20"
"""A spreadsheet takes a cell that begins so for a formula; see https://owasp.org/www-community/attacks/CSV_Injection"""

_BREAKS: Final = ("\t", "\r", "\n")
_SEPARATORS: Final = re.compile(r"([;,\t\r\n])")
"""Where a cell becomes two cells in a spreadsheet of another country."""


class _Echo:
    """A file that returns what is written to it."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def export(period: Period, links: Links) -> StreamingHttpResponse:
    """Return authorizations, captures and refunds of the period, as far as the user may view them."""
    writer = csv.writer(_Echo())
    lines = (
        writer.writerow([safe_cell(cell) for cell in row])
        for row in _rows(period, links, get_language() or "en")
    )
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"payments-{period.dates[0]:%Y%m%d}-{period.last:%Y%m%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def safe_cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    parts = _SEPARATORS.split(str(value))
    text = "".join(f"'{part}" if _is_formula(part) else part for part in parts)
    return f"'{text}" if text.lstrip(" ").startswith(_BREAKS) else text


def _is_formula(text: str) -> bool:
    """Return whether the first thing to be seen is what a formula begins with; what isn't seen may be left out."""
    seen = (character for character in text if character.isprintable() and character not in ' "')
    return next(seen, "") in tuple(_FORMULA)


def _rows(period: Period, links: Links, language: str) -> Iterator[Iterable[Any]]:
    # What is streamed is made after the middleware has ended, so the language is set again.
    with override(language):
        yield (
            _("Time"),
            _("Kind"),
            _("Id"),
            _("Provider"),
            _("Amount"),
            _("Currency"),
            _("Payment"),
            _("Collection"),
            _("Payable"),
            _("Provider's reference"),
            _("Received at"),
            _("Payer's reference"),
            _("Note"),
        )
        for label, rows, moment, payment in _parts(period, links):
            fields = (
                moment,
                "pk",
                f"{payment}provider_id",
                "amount",
                f"{payment}collection__currency_code",
                "pk" if payment == "" else "payment_id",
                f"{payment}collection_id",
                f"{payment}collection__payable_id",
                "provider_reference",
                *_SAID.get(rows.model, ()),
            )
            for row in _in_chunks(rows, fields):
                yield _line(label, row)


def _in_chunks(rows: QuerySet[Any], fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of rows, which are ordered by the first two fields: a moment, and the key.

    A cursor of the server would be lost behind a pooler that lends its connections for one transaction only.
    """
    moment, key = fields[:2]
    ordered = rows.order_by(moment, key).values_list(*fields)
    chunk: list[tuple[Any, ...]] = []
    while True:
        with reading_lists():
            chunk = list(ordered.filter(_beyond(moment, *chunk[-1][:2]) if chunk else Q())[:_CHUNK])
        yield from chunk
        if len(chunk) < _CHUNK:
            return


def _beyond(moment: str, at: datetime, key: str) -> Q:
    return Q(**{f"{moment}__gte": at}) & ~Q(**{moment: at, "pk__lte": key})


def _parts(period: Period, links: Links) -> Iterator[tuple[str, Any, str, str]]:
    if links.may_view(Payment):
        yield _("Authorization"), Payment.objects.filter(created_at__gte=period.start), "created_at", ""
    for label, model in ((_("Capture"), Capture), (_("Refund"), Refund)):
        if links.may_view(model):
            rows = model.objects.filter(status=MovementStatus.SUCCEEDED, succeeded_at__gte=period.start)
            yield label, rows, "succeeded_at", "payment__"


_SAID: Final[dict[type[Model], tuple[str, ...]]] = {
    Capture: ("note", "received_at", "reference"),
    Refund: ("note",),
}
"""What people have said of a movement, in the order in which it is read."""


def _line(label: str, row: tuple[Any, ...]) -> Iterable[Any]:
    moment, pk, provider, amount, currency, payment, collection, payable, reference, *said = row
    note, received, payers_reference = [*said, "", "", ""][:3]
    return (
        localized(moment).isoformat(timespec="seconds"),
        label,
        pk,
        provider,
        format_amount(amount, currency),
        currency.upper(),
        payment,
        collection,
        payable or "",
        reference or "",
        localized(received).isoformat(timespec="seconds") if received else "",
        payers_reference,
        note,
    )
