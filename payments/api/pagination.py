"""Pages of a list: a cursor over one column and the id, so that no page is counted and none skips or repeats a row.

A cursor holds what the rows themselves show, and needs no signature.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any, Final, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from payments.exceptions import AmountError
from payments.ids import is_key
from payments.money import exact_decimal

RowT = TypeVar("RowT", bound=Model)

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
NEWEST_FIRST: Final = "-created_at"

_LIMIT: Final = re.compile(r"[1-9][0-9]?|100", re.ASCII)
_MAX_CURSOR: Final = 512


def _read_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if timezone.is_aware(moment) != timezone.is_aware(timezone.now()):
        raise ValueError("a moment with a time zone where rows have none, or without where they have one")
    if not MINYEAR < moment.year < MAXYEAR:
        raise ValueError("a moment that isn't a row's")
    return moment


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {"created_at": _read_moment, "amount": exact_decimal}
"""How a cursor's value is read, by the column that it is of."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A column by which rows are ordered; rows that are equal there follow in the order of their ids."""

    column: str
    is_descending: bool

    @classmethod
    def read(cls, request: Request, choices: Sequence[str]) -> Order:
        """Return the order that the query parameter `order` names; raise for one that isn't among the choices."""
        name = request.query_params.get("order", NEWEST_FIRST)
        if name not in choices:
            raise _invalid("order", _("It is none of %(choices)s.") % {"choices": ", ".join(choices)})
        return cls(column=name.removeprefix("-"), is_descending=name.startswith("-"))

    def apply(self, rows: QuerySet[RowT], *, is_backwards: bool) -> QuerySet[RowT]:
        """Return the rows in this order, or the other way round."""
        sign = "-" if self.is_descending != is_backwards else ""
        return rows.order_by(f"{sign}{self.column}", f"{sign}id")

    def beyond(self, cursor: Cursor) -> Q:
        """Return the condition on the rows on the other side of a cursor."""
        lookup = "lt" if self.is_descending != cursor.is_backwards else "gt"
        tied = Q(**{self.column: cursor.value, f"id__{lookup}": cursor.key})
        return Q(**{f"{self.column}__{lookup}": cursor.value}) | tied


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """A row from which a page goes on, and the direction."""

    value: Any
    key: str
    is_backwards: bool

    @classmethod
    def read(cls, text: str, order: Order) -> Cursor:
        """Return what a query parameter says; raise for a cursor that this API didn't make for this order."""
        try:
            parts = json.loads(urlsafe_b64decode(text.encode("ascii"))) if len(text) <= _MAX_CURSOR else None
            if not (isinstance(parts, list) and [type(part) for part in parts] == [str, str, bool]):
                raise ValueError("not a cursor")
            value, key, is_backwards = parts
            if not is_key(key):
                raise ValueError("not a key")
            return cls(value=_READERS[order.column](value), key=key, is_backwards=is_backwards)
        except (ValueError, OverflowError, RecursionError, AmountError, binascii.Error) as error:
            raise _invalid("cursor", _("This cursor doesn't belong to this list.")) from error

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else str(self.value)
        parts = json.dumps([value, self.key, self.is_backwards], separators=(",", ":"))
        return urlsafe_b64encode(parts.encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows of a list, and the cursors of the pages before and after them."""

    rows: list[Any]
    previous: Cursor | None
    next: Cursor | None

    def answer(self, request: Request, results: Any) -> Response:
        """Return the answer with these rows, as `results` shows them."""
        return Response(
            {
                "next": _link(request, self.next),
                "previous": _link(request, self.previous),
                "results": results,
            }
        )


def page_of(rows: QuerySet[Any], request: Request, order: Order) -> Page:
    """Return the page of rows that the query parameters `cursor` and `limit` ask for."""
    limit = _limit(request)
    given = request.query_params.get("cursor")
    cursor = None if given is None else Cursor.read(given, order)
    is_backwards = cursor is not None and cursor.is_backwards
    ordered = order.apply(
        rows if cursor is None else rows.filter(order.beyond(cursor)), is_backwards=is_backwards
    )
    found = list(ordered[: limit + 1])
    shown = found[:limit]
    if is_backwards:
        shown.reverse()
    has_more = len(found) > limit
    return Page(
        rows=shown,
        previous=_cursor(
            shown[:1], order, is_backwards=True, exists=has_more if is_backwards else cursor is not None
        ),
        next=_cursor(shown[-1:], order, is_backwards=False, exists=is_backwards or has_more),
    )


def _cursor(edge: list[Any], order: Order, *, is_backwards: bool, exists: bool) -> Cursor | None:
    """Return the cursor that goes on from the row at a page's edge; none where there is nothing beyond, or no row."""
    if not (exists and edge):
        return None
    return Cursor(value=getattr(edge[0], order.column), key=edge[0].pk, is_backwards=is_backwards)


def _link(request: Request, cursor: Cursor | None) -> str | None:
    if cursor is None:
        return None
    return str(
        replace_query_param(remove_query_param(request.build_absolute_uri(), "cursor"), "cursor", str(cursor))
    )


def _limit(request: Request) -> int:
    given = request.query_params.get("limit")
    if given is None:
        return DEFAULT_LIMIT
    if not _LIMIT.fullmatch(given):
        raise _invalid("limit", _("Give a whole number from 1 to 100."))
    return int(given)


def _invalid(field: str, message: Any) -> ValidationError:
    return ValidationError({field: [message]}, code=f"invalid_{field}")
