"""Searching rows by any id, by a provider's reference, or by a piece of a customer's name.

Each path to a row is a query of its own, joined by UNION, so that each uses its own index: with OR in one WHERE
clause, a database would read the whole table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet

_OWN_ID: Final = re.compile(
    r"(pay_col|payses|payop|paywh|acchld|capt|refr|ref|pay)_([0-9A-Z]+)", re.IGNORECASE
)

_WHOLE: Final = 26
"""The length of a ULID. A whole id is compared exactly, since SQLite uses no index to match the start of a text."""

_FEW: Final = 500

_NAMES: Final = ("first_name", "last_name")
"""The fields of Django's own user model; a custom user model may lack them."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The lookup paths by which a list is searched.

    `ids` maps an id's prefix to the path from the list's rows to that id; the start of an id is enough. `exact` are
    paths to values that must match as a whole. `customer` is the path to the customer; a piece of the name or e-mail
    address is enough.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    customer: str = ""

    def find(
        self,
        queryset: QuerySet[Any],
        text: str,
        *,
        may_view: Callable[[type[Model]], bool],
        further: Iterable[QuerySet[Any]] = (),
    ) -> QuerySet[Any]:
        """Narrow a queryset down to the rows that match a text; `further` are more queries of matching keys.

        Customers, and what is `further`, are searched only where no id or reference matches: customers take long
        without an index of the shop's. A path through a model that the user may not view finds nothing: otherwise
        hidden values could be guessed letter by letter.
        """
        term = text.strip()
        if not term:
            return queryset
        model = queryset.model

        def is_open(path: str) -> bool:
            return all(map(may_view, _models_read(model, path)))

        ways = list(self._ways(model, term, is_open))
        found = _joined(*ways)
        if found is None or not queryset.filter(pk__in=found).exists():
            by_customer = self.customer and is_open(self.customer) and not is_own_id(term)
            ways = [_through(model, f"{self.customer}__in", _customers(term))] if by_customer else []
        found = _joined(*ways, *further)
        return queryset.none() if found is None else queryset.filter(pk__in=found)

    def _ways(self, model: type[Model], term: str, is_open: Callable[[str], bool]) -> Iterator[QuerySet[Any]]:
        own = _OWN_ID.fullmatch(term)
        path = self.ids.get(own[1].lower()) if own is not None else None
        if own is not None and path is not None and is_open(path):
            lookup = "exact" if len(own[2]) >= _WHOLE else "startswith"
            for spelling in dict.fromkeys((f"{own[1].lower()}_{own[2].upper()}", term)):
                yield _through(model, f"{path}__{lookup}", spelling)
        for exact in filter(is_open, self.exact):
            yield _through(model, exact, term)


def is_own_id(text: str) -> bool:
    """Return whether a text is an id of `payments`, or the start of one."""
    return _OWN_ID.fullmatch(text.strip()) is not None


def _joined(*ways: QuerySet[Any]) -> QuerySet[Any] | None:
    """Return one query of the keys that any of these finds, or None where there is no way."""
    return ways[0].union(*ways[1:]) if len(ways) > 1 else next(iter(ways), None)


def _through(model: type[Model], path: str, value: Any) -> QuerySet[Any]:
    return model._base_manager.filter(**{path: value}).order_by().values("pk")


def _models_read(model: type[Model], path: str) -> Iterator[type[Model]]:
    """Return the models whose rows a path reads, except the list's own.

    The last foreign key of a path isn't followed: its value is stored in the row that refers.
    """
    at: Any = model
    steps = path.split("__")
    for number, step in enumerate(steps, start=1):
        relation = at._meta.get_field(step)
        if not relation.is_relation or (relation.concrete and steps[number:] == ["id"]):
            return
        at = relation.related_model
        yield at


def _customers(term: str) -> Any:
    """Return the keys of the customers whose name or address contains a text, or a query if there are too many.

    No index supports that, so the users are searched once here and not again with every page and count.
    """
    user_model: Any = get_user_model()
    fields = {field.name for field in user_model._meta.concrete_fields}
    searched = {user_model.USERNAME_FIELD, user_model.get_email_field_name(), *_NAMES} & fields
    wanted = Q(*((f"{name}__icontains", term) for name in sorted(searched)), _connector=Q.OR)
    if fields.issuperset(_NAMES):
        wanted |= _whole_name(" ".join(term.split()))
    found = user_model._default_manager.filter(wanted).order_by().values_list("pk", flat=True)
    keys = list(found[: _FEW + 1])
    return keys if len(keys) <= _FEW else found


def _whole_name(term: str) -> Q:
    """Return a condition on first and last name, each of one or more words; an empty one for a single word."""
    wanted = Q()
    for first, _space, last in (term.partition(" "), term.rpartition(" ")):
        if first and last:
            wanted |= Q(first_name__icontains=first, last_name__icontains=last)
    return wanted


SESSIONS: Final = Search(
    ids={
        "payses": "id",
        "pay_col": "collection__id",
        "pay": "authorized_payment__id",
        "payop": "operations__id",
    },
    exact=("provider_reference", "authorized_payment__provider_reference"),
    customer="collection__customer",
)
PAYMENTS: Final = Search(
    ids={
        "pay": "id",
        "payses": "session__id",
        "pay_col": "collection__id",
        "capt": "captures__id",
        "ref": "refunds__id",
        "payop": "operations__id",
    },
    exact=(
        "provider_reference",
        "session__provider_reference",
        "captures__provider_reference",
        "refunds__provider_reference",
    ),
    customer="collection__customer",
)
OPERATIONS: Final = Search(
    ids={
        "payop": "id",
        "pay_col": "collection__id",
        "payses": "session__id",
        "pay": "payment__id",
        "capt": "capture__id",
        "ref": "refund__id",
    },
    exact=("session__provider_reference", "payment__provider_reference"),
    customer="collection__customer",
)
