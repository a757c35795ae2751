"""Filters of the lists: a closed set of query parameters for each, and an error for every other one.

A parameter that is there twice means either: `?status=authorized&status=captured`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from payments.money import normalize_currency

RowT = TypeVar("RowT", bound=models.Model)

Condition = Callable[[str], Q]
"""Turns one value of a parameter into a condition; raises ValueError with what is wrong with the value."""

PAGE_PARAMETERS: Final = frozenset({"cursor", "limit"})


def filtered(
    rows: models.QuerySet[RowT], parameters: QueryDict, conditions: Mapping[str, Condition]
) -> models.QuerySet[RowT]:
    """Return the rows that a list's query parameters ask for; raise ValidationError for what it doesn't know."""
    errors: dict[str, ValidationError] = {}
    for name in parameters:
        if name in PAGE_PARAMETERS:
            continue
        try:
            rows = rows.filter(_any_of(name, parameters.getlist(name), conditions))
        except ValidationError as error:
            errors[name] = error
    if errors:
        raise ValidationError({name: error.detail for name, error in errors.items()})
    return rows


def one_of(path: str, choices: type[models.TextChoices]) -> Condition:
    """Return a condition on a field with a closed list of values."""

    def condition(value: str) -> Q:
        if value not in choices.values:
            raise ValueError(
                _("It is none of %(choices)s.") % {"choices": ", ".join(map(str, choices.values))}
            )
        return Q(**{path: value})

    return condition


def equals(path: str) -> Condition:
    """Return a condition on a key."""
    return lambda value: Q(**{path: value})


def through(path: str, model: type[models.Model], column: str) -> Condition:
    """Return a condition on rows that others refer to: `model` refers to them as `path`, and has `column`."""
    return lambda value: Q(pk__in=model._default_manager.filter(**{column: value}).values(path))


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
        content_type = ContentType.objects.get_for_model(model, for_concrete_model=True)
        return Q(**{f"{prefix}payable_type": content_type, f"{prefix}payable_id": str(key_of(model, key))})

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


def _any_of(name: str, values: Collection[str], conditions: Mapping[str, Condition]) -> Q:
    if name not in conditions:
        known = ", ".join(sorted(conditions.keys() | PAGE_PARAMETERS))
        raise ValidationError(
            _("There is no such parameter; there are %(known)s.") % {"known": known}, code="unknown_parameter"
        )
    if any("\0" in value for value in values):
        raise ValidationError(_("A value holds a NUL character."), code="invalid_character")
    try:
        return Q(*(conditions[name](value) for value in values), _connector=Q.OR)
    except ValueError as error:
        raise ValidationError(str(error), code="invalid_value") from error
