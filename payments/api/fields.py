"""Serializer fields that don't look at the project's settings: amounts, moments, flags, JSON objects."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from payments.exceptions import AmountError
from payments.money import exact_decimal, format_amount, parse_amount

MAX_DEPTH: Final = 16

_SURROGATES: Final = range(0xD800, 0xE000)


class AmountField(serializers.Field[Any, Any, str, Any]):
    """An amount in major units.

    Written as a string at the precision of the row's `currency_code`: "10.00", "1000" for yen. Read from a string or a
    whole number; a JSON number with a point is refused, because it would be a float. Where the serializer's context has
    a `currency_code`, its precision is checked too; where it hasn't, the service does that.
    """

    def get_attribute(self, instance: Any) -> tuple[Decimal, str]:
        """Return the amount together with its currency."""
        amount: Any = super().get_attribute(instance)
        return amount, instance.currency_code

    def to_representation(self, value: tuple[Decimal, str]) -> str:
        """Write the amount."""
        amount, currency_code = value
        return format_amount(amount, currency_code)

    def to_internal_value(self, data: Any) -> Decimal:
        """Read the amount, exactly or not at all."""
        currency_code = self.context.get("currency_code")
        try:
            return exact_decimal(data) if currency_code is None else parse_amount(data, currency_code)
        except AmountError as error:
            raise serializers.ValidationError(error.message, code=error.code) from error


class FlagField(serializers.Field[bool, Any, bool, Any]):
    """A JSON true or false, and nothing that only reads like one."""

    default_error_messages = {"invalid": _("Give true or false.")}

    def to_internal_value(self, data: Any) -> bool:
        """Read the flag."""
        if not isinstance(data, bool):
            self.fail("invalid")
        return data

    def to_representation(self, value: bool) -> bool:
        """Write the flag."""
        return value


class MomentField(serializers.Field[datetime, Any, str, Any]):
    """A moment, written in UTC as ISO 8601 with microseconds: 2026-11-24T09:30:00.000000Z."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: datetime) -> str:
        """Write the moment."""
        aware = value if timezone.is_aware(value) else timezone.make_aware(value)
        return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ObjectField(serializers.Field[dict[str, Any], Any, Any, Any]):
    """A JSON object that every database can store: finite numbers, whole characters, no endless nesting."""

    default_error_messages = {
        "not_an_object": _("Give a JSON object."),
        "invalid_character": _("A text holds a character that can't be stored (NUL or half of a pair)."),
        "not_finite": _("A number is too large."),
        "too_deep": _("The object is nested more than {depth} levels deep."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Read the object."""
        if not isinstance(data, dict):
            self.fail("not_an_object")
        self._check(data, MAX_DEPTH)
        return data

    def to_representation(self, value: Any) -> Any:
        """Write the object."""
        return value

    def _check(self, value: Any, depth: int) -> None:
        if depth == 0:
            self.fail("too_deep", depth=MAX_DEPTH)
        if isinstance(value, str) and any(
            character == "\0" or ord(character) in _SURROGATES for character in value
        ):
            self.fail("invalid_character")
        if isinstance(value, float) and not math.isfinite(value):
            self.fail("not_finite")
        for inner in _members(value):
            self._check(inner, depth - 1)


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []
