"""Whether what a provider returned can be kept and shown: it is what its dataclass says, through and through.

Nothing here judges what a provider reports: an amount that can't be, or one that differs, is a fact like any other.
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
    """Say which part of an answer can't be used, by its dotted name; what it holds is not repeated."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


def require_usable(answer: Any) -> None:
    """Raise UnusableAnswerError where a field isn't of the type that the answer's dataclass declares.

    A text has to be one that any database can hold, a time has to be aware, and what is kept as JSON has to be JSON.
    """
    where = _misfit(answer, type(answer), "")
    if where is not None:
        raise UnusableAnswerError(where)


def _misfit(value: Any, hint: Any, name: str) -> str | None:
    """Return the name of the innermost part that isn't what it should be, or None."""
    origin, arguments = _parts(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        misfits = [_misfit(value, each, name) for each in arguments]
        return None if None in misfits else max(filter(None, misfits), key=len)
    if is_dataclass(hint):
        return _misfit_within(value, hint, name)
    if origin is tuple:
        rows = [_misfit(row, arguments[0], name) for row in value] if isinstance(value, tuple) else [name]
        return next(filter(None, rows), None)
    return None if _fits(value, hint, name) else name


def _misfit_within(value: Any, hint: Any, name: str) -> str | None:
    if not isinstance(value, hint):
        return name
    prefix = f"{name}." if name else ""
    hints = _hints(hint)
    parts = (
        _misfit(getattr(value, part.name), hints[part.name], prefix + part.name) for part in fields(hint)
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
