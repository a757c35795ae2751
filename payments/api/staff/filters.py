"""Filters of the lists: a closed set of query parameters for each, and an error for every other one.

A parameter that is there twice means either: `?status=authorized&status=captured`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final, TypeVar

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from django.db.models import Q
from django.http import QueryDict
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from payments.exceptions import AmountError
from payments.models import Payment, PaymentCollection, PaymentSession
from payments.models.payables import key_text, namesakes_of
from payments.money import exact_decimal, normalize_currency
from payments.stored import stored_moment

RowT = TypeVar("RowT", bound=models.Model)

Condition = Callable[[str], Q]
"""Turns one value of a parameter into a condition; raises ValueError with what is wrong with the value."""

Find = Callable[[models.QuerySet[Any], str], models.QuerySet[Any]]
"""Narrows rows down to what a text stands for."""

PAGE_PARAMETERS: Final = frozenset({"cursor", "limit", "order"})
SEARCH: Final = "q"
MAX_SEARCH: Final = 255
MAX_VALUES: Final = 20
"""How many values of one parameter may be asked for: each is a condition that the database plans."""

_DAY: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?![^T ])", re.ASCII)


@dataclass(frozen=True)
class OneOf:
    """A condition on a field with a closed list of values."""

    path: str
    choices: type[models.TextChoices]

    def __call__(self, value: str) -> Q:
        """Return the condition; raise ValueError for what isn't in the list."""
        if value not in self.choices.values:
            choices = ", ".join(map(str, self.choices.values))
            raise ValueError(_("It is none of %(choices)s.") % {"choices": choices})
        return Q(**{self.path: value})


@dataclass(frozen=True, kw_only=True)
class RelatedRow:
    """A condition on rows that `model` refers to as `path`: its `column` has the value.

    Several through the same model are about one row of it, and not about two rows that have one of the values each.
    """

    path: str
    model: type[models.Model]
    column: str

    def __call__(self, value: str) -> Q:
        """Return the condition on the row that refers."""
        return Q(**{self.column: value})


def filtered(
    rows: models.QuerySet[RowT],
    parameters: QueryDict,
    conditions: Mapping[str, Condition],
    find: Find | None = None,
) -> models.QuerySet[RowT]:
    """Return the rows that a list's query parameters ask for; raise ValidationError for what it doesn't know."""
    errors: dict[str, ValidationError] = {}
    through: defaultdict[tuple[type[models.Model], str], Q] = defaultdict(Q)
    for name in parameters:
        if name in PAGE_PARAMETERS:
            continue
        try:
            if name == SEARCH and find is not None:
                rows = find(rows, _search_text(parameters.getlist(name)))
                continue
            wanted = _any_of(name, parameters.getlist(name), conditions, find)
            condition = conditions[name]
            if isinstance(condition, RelatedRow):
                through[condition.model, condition.path] &= wanted
            else:
                rows = rows.filter(wanted)
        except ValidationError as error:
            errors[name] = error
    if errors:
        raise ValidationError({name: error.detail for name, error in errors.items()})
    for (model, path), wanted in through.items():
        rows = rows.filter(pk__in=model._default_manager.filter(wanted).values(path))
    return rows


def equals(path: str) -> Condition:
    """Return a condition on a key."""
    return lambda value: Q(**{path: value})


def amounts(path: str = "amount") -> dict[str, Condition]:
    """Return conditions on an amount: exactly this, at least, at most; in major units of each row's currency."""

    def compared(lookup: str) -> Condition:
        return lambda value: Q(**{f"{path}{lookup}": exact_decimal(value)})

    return {"amount": compared(""), "amount_gte": compared("__gte"), "amount_lte": compared("__lte")}


def created() -> dict[str, Condition]:
    """Return conditions on the time of creation: from a moment on, and before one."""

    def compared(lookup: str) -> Condition:
        return lambda value: Q(**{f"created_at__{lookup}": _moment(value)})

    return {"created_at_gte": compared("gte"), "created_at_lt": compared("lt")}


def provider_reference(path: str) -> Condition:
    """Return a condition on the provider's id of a session, or of its payment; `path` leads to the session's id."""

    def condition(value: str) -> Q:
        sessions = PaymentSession.objects.filter(provider_reference=value).values("pk")
        payments = Payment.objects.filter(provider_reference=value).values("session")
        return Q(**{f"{path}__in": sessions}) | Q(**{f"{path}__in": payments})

    return condition


def of_collection(path: str) -> dict[str, Condition]:
    """Return conditions on the collection that `path` leads to: what is paid, by whom, in which currency."""
    return {
        "payment_collection": equals(path),
        "currency_code": currency(f"{path}__currency_code"),
        "payable": payable(f"{path}__"),
        "customer": customer(f"{path}__customer"),
    }


def currency(path: str) -> Condition:
    """Return a condition on a currency, in any case."""
    return lambda value: Q(**{path: normalize_currency(value)})


def customer(path: str) -> Condition:
    """Return a condition on a user's key."""

    def condition(value: str) -> Q:
        users = get_user_model()._default_manager
        return Q(**{f"{path}__in": users.filter(pk=key_of(get_user_model(), value)).values("pk")})

    return condition


def payable(prefix: str = "") -> Condition:
    """Return a condition on a row of the shop, written `app_label.model:key`."""

    def condition(value: str) -> Q:
        label, _colon, key = value.partition(":")
        model = model_named(label)
        types = ContentType.objects.db_manager(PaymentCollection.objects.db).get_for_models(
            *namesakes_of(model)
        )
        return Q(
            **{f"{prefix}payable_type__in": types.values(), f"{prefix}payable_id": _key_text(model, key)}
        )

    return condition


def model_named(label: str) -> type[models.Model]:
    """Return the model with a label such as `shop.order`; raise ValueError."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise ValueError(_("Name a model and a key, such as shop.order:12.")) from error


def key_of(model: type[models.Model], value: str) -> Any:
    """Return a value as the model's primary key; raise ValueError."""
    try:
        return model._meta.pk.to_python(value)
    except (DjangoValidationError, OverflowError) as error:
        raise ValueError(_("It is no key of %(model)s.") % {"model": model._meta.label_lower}) from error


def _key_text(model: type[models.Model], value: str) -> str:
    text = key_text(model, key_of(model, value))
    if text is None:
        raise ValueError(_("It is no key of %(model)s.") % {"model": model._meta.label_lower})
    return text


def _moment(value: str) -> datetime:
    """Return a moment, or the start of a day, both in UTC where no zone is named; raise ValueError."""
    try:
        if _DAY.match(value) is None:
            raise ValueError(
                "a week of ISO 8601, say, or a day without hyphens: Python reads more than we promise"
            )
        day = None if "T" in value else parse_date(value)
        moment = parse_datetime(value) if day is None else datetime.combine(day, time())
        if moment is not None:
            return stored_moment(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        _(
            "Give a day or a moment such as 2026-11-24 or 2026-11-24T09:30:00Z; write a + as %2B in an address."
        )
    )


def _search_text(values: list[str]) -> str:
    if len(values) > 1:
        raise ValidationError(_("Search for one thing at a time."), code="invalid_value")
    if len(values[0]) > MAX_SEARCH:
        raise ValidationError(_("It is too long."), code="invalid_value")
    _check_no_nul(values)
    return values[0]


def _any_of(name: str, values: Collection[str], conditions: Mapping[str, Condition], find: Find | None) -> Q:
    if name not in conditions:
        known = sorted(conditions.keys() | PAGE_PARAMETERS | ({SEARCH} if find else set()))
        raise ValidationError(
            _("There is no such parameter; there are %(known)s.") % {"known": ", ".join(known)},
            code="unknown_parameter",
        )
    if len(values) > MAX_VALUES:
        raise ValidationError(
            _("Ask for at most %(count)s values.") % {"count": MAX_VALUES}, code="invalid_value"
        )
    _check_no_nul(values)
    try:
        return Q(*(conditions[name](value) for value in values), _connector=Q.OR)
    except AmountError as error:
        raise ValidationError(error.message, code=error.code) from error
    except ValueError as error:
        raise ValidationError(str(error), code="invalid_value") from error


def _check_no_nul(values: Collection[str]) -> None:
    if any("\0" in value for value in values):
        raise ValidationError(_("A value holds a NUL character."), code="invalid_character")
