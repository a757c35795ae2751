"""Searching rows: paste any id, a provider's reference, or a piece of a customer's name.

Every way to a row is a subquery of its own, so that each uses its own index and nothing appears twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet

_OWN_ID: Final = re.compile(r"(pay_col|payses|payop|paywh|acchld|capt|refr|ref|pay)_[0-9A-Za-z]+")


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
        return queryset.filter(self._condition(queryset.model, term)) if term else queryset

    def _condition(self, model: type[Model], term: str) -> Q:
        condition = _none()
        own = _OWN_ID.fullmatch(term)
        if own is not None and own[1] in self.ids:
            condition |= _through(model, f"{self.ids[own[1]]}__startswith", term)
        for path in self.exact:
            condition |= _through(model, path, term)
        if own is None and self.customer:
            condition |= self._customer_condition(term)
        return condition

    def _customer_condition(self, term: str) -> Q:
        user_model: Any = get_user_model()
        wanted = Q(**{f"{user_model.USERNAME_FIELD}__icontains": term})
        email_field = user_model.get_email_field_name()
        if email_field in {each.name for each in user_model._meta.get_fields()}:
            wanted |= Q(**{f"{email_field}__icontains": term})
        return Q(**{f"{self.customer}__in": user_model._default_manager.filter(wanted).values("pk")})


def _through(model: type[Model], path: str, term: str) -> Q:
    return Q(pk__in=model._base_manager.filter(**{path: term}).values("pk"))


def _none() -> Q:
    return Q(pk__in=[])
