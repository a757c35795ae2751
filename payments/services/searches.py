"""Searching rows: paste any id, a provider's reference, or a piece of a customer's name.

Every way to a row is a query of its own, and what they find is united, so that each uses its own index and nothing
appears twice. Alternatives in one WHERE clause would have a database read the whole table instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet

_OWN_ID: Final = re.compile(r"(pay_col|payses|payop|paywh|acchld|capt|refr|ref|pay)_([0-9A-Za-z]+)")

_WHOLE: Final = 26
"""The length of a ULID: nothing has to be completed, and SQLite finds the beginning of a text without an index."""

_FEW: Final = 500


@dataclass(frozen=True, kw_only=True)
class Search:
    """Say how a list is searched.

    `ids` maps an id's prefix to the path from the list's rows to that id, of which its beginning is enough; `exact` are
    paths to values that must match as a whole; `customer` is the path to the customer, of whom a piece of the name or
    e-mail address is enough.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    customer: str = ""

    def find(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Narrow a queryset down to what the text stands for."""
        term = text.strip()
        if not term:
            return queryset
        ways = list(self._ways(queryset.model, term))
        if not ways:
            return queryset.none()
        return queryset.filter(pk__in=ways[0].union(*ways[1:]) if len(ways) > 1 else ways[0])

    def _ways(self, model: type[Model], term: str) -> Iterator[QuerySet[Any]]:
        own = _OWN_ID.fullmatch(term)
        if own is not None and own[1] in self.ids:
            lookup = "exact" if len(own[2]) >= _WHOLE else "startswith"
            yield _through(model, f"{self.ids[own[1]]}__{lookup}", term)
        for path in self.exact:
            yield _through(model, path, term)
        if own is None and self.customer:
            yield _through(model, f"{self.customer}__in", _customers(term))


def _through(model: type[Model], path: str, value: Any) -> QuerySet[Any]:
    return model._base_manager.filter(**{path: value}).order_by().values("pk")


def _customers(term: str) -> Any:
    """Return the keys of the customers whose name or address has this in it, or their query where they are many.

    No index helps there, so the table of users is read once and not with every page and count.
    """
    user_model: Any = get_user_model()
    wanted = Q(**{f"{user_model.USERNAME_FIELD}__icontains": term})
    email_field = user_model.get_email_field_name()
    if email_field in {each.name for each in user_model._meta.get_fields()}:
        wanted |= Q(**{f"{email_field}__icontains": term})
    found = user_model._default_manager.filter(wanted).order_by().values_list("pk", flat=True)
    keys = list(found[: _FEW + 1])
    return keys if len(keys) <= _FEW else found
