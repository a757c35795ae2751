"""Serializers and their fields, which don't look at the project's settings, and the row that an address names.

Fields say themselves how a document describes them. A description is JSON Schema (2020-12), as OpenAPI 3.1 has it;
those with a `component` are written once in a document.
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Self, TypeVar

from django.db import models
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from payments.exceptions import AmountError, InputError
from payments.ids import is_key
from payments.money import exact_decimal, format_amount, parse_amount
from payments.providers.public_data import holds_secret
from payments.states import OperationKind, SessionStatus
from payments.stored import aware_moment, stored_moment

MAX_DEPTH: Final = 16

_SURROGATES: Final = range(0xD800, 0xE000)

_IN_PROGRESS: Final = (
    OperationKind.INITIATE,
    OperationKind.UPDATE,
    OperationKind.AUTHORIZE,
    OperationKind.CANCEL,
    OperationKind.SYNC,
)

Description = dict[str, Any]

AMOUNT: Final[Description] = {
    "type": "string",
    "pattern": r"^(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$",
    "description": "An amount in major units, at the precision of its currency: 10.00 euros, 1000 yen.",
    "examples": ["10.00"],
}
AMOUNT_INPUT: Final[Description] = {
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]{1,14}(\.[0-9]{1,4})?$"},
        {"type": "integer", "minimum": 1, "maximum": 99_999_999_999_999},
    ],
    "description": "A positive amount in major units, with no more decimals than its currency has. A JSON number with "
    "a point is refused, because it would be a float.",
    "examples": ["10.00"],
}


class DescribedField(serializers.Field[Any, Any, Any, Any]):
    """A field that knows its description; `component` is the name under which a document has it, if it has one."""

    component: str | None = None

    def name_in_document(self, *, is_input: bool) -> str | None:
        """Return the name under which a document has the description, or None."""
        return self.component

    def describe(self, *, is_input: bool) -> Description:
        """Return the JSON Schema of what is read, or else of what is written."""
        raise NotImplementedError


class AmountField(DescribedField):
    """An amount in major units.

    Written as a string at the precision of the row's `currency_code`: "10.00", "1000" for yen. Read from a string or a
    whole number; a JSON number with a point is refused, because it would be a float. Where the serializer's context has
    a `currency_code`, its precision is checked too; where it hasn't, the service does that.
    """

    def name_in_document(self, *, is_input: bool) -> str:
        """Return one name for what is read, and one for what is written."""
        return "AmountInput" if is_input else "Amount"

    def describe(self, *, is_input: bool) -> Description:
        """Return how an amount is written; what may be sent is wider than what is answered."""
        return AMOUNT_INPUT if is_input else AMOUNT

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


class FlagField(DescribedField):
    """A JSON true or false, and nothing that only reads like one."""

    default_error_messages = {"invalid": _("Give true or false.")}

    def describe(self, *, is_input: bool) -> Description:
        """Return a boolean."""
        return {"type": "boolean"}

    def to_internal_value(self, data: Any) -> bool:
        """Read the flag."""
        if not isinstance(data, bool):
            self.fail("invalid")
        return data

    def to_representation(self, value: bool) -> bool:
        """Write the flag."""
        return value


class MomentField(DescribedField):
    """A moment, written in UTC as ISO 8601 with microseconds: 2026-11-24T09:30:00.000000Z."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def describe(self, *, is_input: bool) -> Description:
        """Return a moment."""
        return {"type": "string", "format": "date-time"}

    def to_representation(self, value: datetime) -> str:
        """Write the moment."""
        return aware_moment(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ProgressField(DescribedField):
    """What is under way on the session, or null.

    Until it is null, the status isn't the last word, and whatever would change the session is 409
    `operation_in_progress`.
    """

    component = "SessionProgress"

    def __init__(self) -> None:
        super().__init__(read_only=True, allow_null=True)

    def describe(self, *, is_input: bool) -> Description:
        """Return the list of what may be under way."""
        return {
            "type": "string",
            "enum": [str(kind) for kind in _IN_PROGRESS],
            "description": "What is under way on the session. Until it is null, the status isn't the last word, and "
            "whatever would change the session is 409 `operation_in_progress`.",
        }

    def to_representation(self, value: str) -> str:
        """Write the word."""
        return str(value)


class MomentInputField(DescribedField):
    """A moment that is read: ISO 8601 with a time zone, such as 2026-11-24T09:30:00Z."""

    default_error_messages = {
        "invalid_moment": _("Give a moment with its time zone, like 2026-11-24T09:30:00Z."),
    }

    def describe(self, *, is_input: bool) -> Description:
        """Return a moment."""
        return {"type": "string", "format": "date-time"}

    def to_internal_value(self, data: Any) -> datetime:
        """Read the moment."""
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
            if moment is None or moment.tzinfo is None:
                self.fail("invalid_moment")
            return stored_moment(moment)
        except (OverflowError, ValueError):
            self.fail("invalid_moment")


class ObjectField(DescribedField):
    """A JSON object that every database can store: finite numbers, whole characters, no endless nesting."""

    default_error_messages = {
        "not_an_object": _("Give a JSON object."),
        "invalid_character": _("A text holds a character that can't be stored (NUL or half of a pair)."),
        "not_finite": _("A number is too large."),
        "too_deep": _("The object is nested more than {depth} levels deep."),
    }

    def describe(self, *, is_input: bool) -> Description:
        """Return an object with any keys."""
        return {"type": "object", "additionalProperties": True}

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


class EnumField(DescribedField):
    """One word of a closed list."""

    def __init__(self, choices: type[models.TextChoices], **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)
        self._choices = choices
        self.component = choices.__name__

    def describe(self, *, is_input: bool) -> Description:
        """Return the list."""
        return {"type": "string", "enum": list(self._choices.values)}

    def to_representation(self, value: str) -> str:
        """Write the word."""
        return str(value)


class UserKeyField(DescribedField):
    """The primary key of a user, as the project's user model has it, or null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def describe(self, *, is_input: bool) -> Description:
        """Return a number or a text."""
        return {"type": ["integer", "string"]}

    def to_representation(self, value: Any) -> Any:
        """Write the key."""
        return value if isinstance(value, int) else str(value)


class NextActionField(DescribedField):
    """What the payer has to do next, or null. A front end follows it without knowing the provider.

    `redirect`: send the browser to `url`. `challenge`: send it there too, or ask for the code that the bank has sent,
    and authorize again with it. `provider_script`: hand the session's `data` to the provider's own script.
    """

    component = "NextAction"

    def __init__(self) -> None:
        super().__init__(source="*", read_only=True, allow_null=True)

    def describe(self, *, is_input: bool) -> Description:
        """Return one object for each type, since only a redirect has an address in any case."""
        address = {"type": "string", "format": "uri"}
        maybe = {"type": ["string", "null"], "format": "uri"}
        kinds = (("redirect", address), ("challenge", maybe), ("provider_script", maybe))
        return {
            "description": inspect.cleandoc(NextActionField.__doc__ or ""),
            "oneOf": [_action(kind, url) for kind, url in kinds],
        }

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """Write the action of a session that waits for one."""
        action = value.next_action
        if not action or value.status != SessionStatus.REQUIRES_MORE:
            return None
        return {"type": action.get("type"), "url": action.get("url")}


class SetupActionField(NextActionField):
    """What the customer has to do next to save a payment method, or null: as for a session."""

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """Write the action."""
        action = value.next_action
        return None if action is None else {"type": action.type, "url": action.url}


class ErrorField(DescribedField):
    """Why a row failed, as `{"code", "message"}`, or null; with `status`, only while the row has that status."""

    component = "Failure"

    def __init__(self, *, status: str | None = None) -> None:
        super().__init__(source="*", read_only=True, allow_null=True)
        self._status = status

    def describe(self, *, is_input: bool) -> Description:
        """Return the object that a reason is."""
        return {
            "type": "object",
            "description": "Why something was refused: a stable code, and words that may be shown.",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }

    def to_representation(self, value: Any) -> dict[str, str] | None:
        """Write the reason."""
        is_due = self._status is None or value.status == self._status
        if not is_due or not (value.error_code or value.error_message):
            return None
        message = "" if holds_secret(value.error_message) else value.error_text
        return {"code": value.error_code, "message": message}


def _action(kind: str, url: Description) -> Description:
    return {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": [kind]}, "url": url},
        "required": ["type", "url"],
    }


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


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


class _Kept(threading.local):
    """The serializers that each thread keeps, by their class."""

    def __init__(self) -> None:
        self.serializers: dict[type[Any], Any] = {}


_kept: Final = _Kept()


class OutputSerializer(serializers.Serializer[Any]):
    """A row, whose fields are listed one by one, so that a new column is never published by accident."""

    @classmethod
    def kept(cls, **context: Any) -> Self:
        """Return the serializer that this thread keeps, with a context: making one copies all its fields."""
        serializer: Self = _kept.serializers.get(cls) or _kept.serializers.setdefault(cls, cls())
        serializer._context = context
        return serializer

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


def find_row(rows: models.QuerySet[RowT], key: str) -> RowT | None:
    """Return the row with this key, or None."""
    return next(iter(rows.order_by().filter(pk=key)), None) if is_key(key) else None


def get_row(rows: models.QuerySet[RowT], key: str) -> RowT:
    """Return the row with this key, or raise what becomes a 404."""
    return if_found(find_row(rows, key))


def if_found(row: RowT | None) -> RowT:
    """Return a row, or raise what becomes a 404 where there is none."""
    if row is None:
        raise not_found()
    return row


def not_found() -> NotFound:
    """Return the one 404: it doesn't tell what isn't there from what isn't yours, so it names nothing."""
    return NotFound(_("There is nothing here under this address."))
