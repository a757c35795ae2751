"""What serializers of both APIs have in common, and the lookup of the row that an address names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from payments.exceptions import InputError


class InputSerializer(serializers.Serializer[Any]):
    """A body that may hold declared keys only, so that nobody believes to have set something."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return the validated values; raise InputError for a body that is no object at all."""
        if self.root is self and not isinstance(data, Mapping):
            raise InputError(
                _("Give a JSON object, not %(type)s."), code="not_an_object", params={"type": _name(data)}
            )
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values, or raise a ValidationError that names every wrong key at once."""
        errors: dict[str, Any] = {}
        values: Any = {}
        if not isinstance(data, Mapping):
            message = _("Give a JSON object, not %(type)s.") % {"type": _name(data)}
            raise serializers.ValidationError([message], code="not_an_object")
        unknown = serializers.ErrorDetail(str(_("There is no such field here.")), code="unknown_field")
        fields = self.fields
        errors.update((str(name), [unknown]) for name in data if name not in fields)
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors.update(error.detail if isinstance(error.detail, dict) else {})
        if errors:
            raise serializers.ValidationError(errors)
        return values


class NoInput(InputSerializer):
    """A body without any keys."""


class OutputSerializer(serializers.Serializer[Any]):
    """A row, whose fields are listed one by one, so that a new column is never published by accident."""

    def recall(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was written earlier, without what would not be written now."""
        return {name: _recalled(self.fields.get(name), value) for name, value in written.items()}


def _recalled(field: object, value: Any) -> Any:
    if isinstance(field, serializers.ListSerializer):
        return [_recalled(field.child, row) for row in value]
    if isinstance(field, OutputSerializer) and value is not None:
        return field.recall(value)
    return value


def _name(data: Any) -> str:
    """Return what JSON calls a value."""
    if isinstance(data, bool):
        return "a boolean"
    names: dict[type[Any], str] = {str: "a string", list: "an array", type(None): "null"}
    return names.get(type(data), "a number")


RowT = TypeVar("RowT", bound=models.Model)

# What no row can have as its key never gets to the database, which may not be able to spell it.
KEY: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)


def find_row(rows: models.QuerySet[RowT], key: str) -> RowT | None:
    """Return the row with this key, or None."""
    return rows.filter(pk=key).first() if KEY.fullmatch(key) else None


def get_row(rows: models.QuerySet[RowT], key: str) -> RowT:
    """Return the row with this key, or raise what becomes a 404."""
    row = find_row(rows, key)
    if row is None:
        raise not_found()
    return row


def not_found() -> NotFound:
    """Return the one 404: it doesn't tell what isn't there from what isn't yours, so it names nothing."""
    return NotFound(_("There is nothing here under this address."))
