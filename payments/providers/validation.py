"""Whether what a provider returned is what its dataclass declares, so that it can be kept and shown.

Nothing here judges what a provider tells: an amount that can't be, or one that differs, is a fact like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.functional import Promise

MAX_DEPTH: Final = 30
"""How many arrays and objects may be inside each other: MariaDB reads no more than 32."""

MAX_REFERENCE: Final = 255
"""No provider's ids are longer, in characters."""

_REFERENCES: Final = frozenset({"provider_reference", "capture_reference", "operation_id", "session_id"})


class UnusableAnswerError(Exception):
    """An answer of which a part can't be used; it has that part's dotted name, and doesn't repeat what it holds."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


def check_usable(answer: Any) -> None:
    """Raise UnusableAnswerError where a field isn't of the type that the answer's dataclass declares.

    A text has to be one that any database can hold, a time has to be aware, and what is kept as JSON has to be JSON.
    """
    where = _first_invalid(answer, type(answer), "")
    if where is not None:
        raise UnusableAnswerError(where)


def _first_invalid(value: Any, hint: Any, name: str) -> str | None:
    """Return the name of the innermost part that isn't what it should be, or None."""
    origin, arguments = _parts(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        invalid = [_first_invalid(value, each, name) for each in arguments]
        return None if None in invalid else max(filter(None, invalid), key=len)
    if is_dataclass(hint):
        return _first_invalid_within(value, hint, name)
    if origin is tuple:
        rows = (
            [_first_invalid(row, arguments[0], name) for row in value] if isinstance(value, tuple) else [name]
        )
        return next(filter(None, rows), None)
    return None if _fits(value, hint, name) else name


def _first_invalid_within(value: Any, hint: Any, name: str) -> str | None:
    if not isinstance(value, hint):
        return name
    prefix = f"{name}." if name else ""
    hints = _hints(hint)
    parts = (
        _first_invalid(getattr(value, part.name), hints[part.name], prefix + part.name)
        for part in fields(hint)
    )
    return next(filter(None, parts), None)


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


@cache
def _hints(dataclass: type) -> dict[str, Any]:
    return get_type_hints(dataclass)


def _fits(value: Any, hint: Any, name: str) -> bool:
    """Return whether a value that has no parts of its own is of a type."""
    origin, arguments = _parts(hint)
    if origin is Mapping:
        return isinstance(value, Mapping) and _is_json(value)
    choices = arguments or (tuple(hint) if issubclass(hint, Enum) else ())
    if choices:
        return value in choices
    if hint is str:
        text = str(value) if isinstance(value, Promise) else value
        return isinstance(text, str) and _is_text(text) and len(text) <= _longest(name)
    if hint is datetime:
        return isinstance(value, datetime) and value.utcoffset() is not None
    if hint is Decimal:
        return isinstance(value, Decimal) or type(value) is int
    return isinstance(value, hint)


def _longest(name: str) -> float:
    return MAX_REFERENCE if name.rpartition(".")[2] in _REFERENCES else math.inf


def _is_json(value: Mapping[str, Any]) -> bool:
    try:
        json.dumps(dict(value), cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return _is_storable(value)


def _is_storable(value: Any, depth: int = 0) -> bool:
    """Return whether every database keeps what JSON can write: PostgreSQL takes no NUL, MariaDB no deep nesting."""
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, Mapping):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        return not isinstance(value, float) or math.isfinite(value)
    return depth < MAX_DEPTH and all(_is_storable(each, depth + 1) for each in inner)


def _is_text(value: str) -> bool:
    """Return whether a text has neither a NUL nor half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
