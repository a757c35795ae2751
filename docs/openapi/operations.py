"""What the document says of one address and method that the code itself doesn't: names, examples, and who may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from payments.api.serializers import OutputSerializer
from payments.api.views import PaymentsView

Example = Any
Security = tuple[Mapping[str, list[str]], ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer in words, with an example; `extra` are properties beside those of `row`."""

    description: str
    example: Example = None
    row: type[OutputSerializer] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one view; its description is the docstring of the method."""

    view: type[PaymentsView]
    method: str
    name: str
    answers: Mapping[int, Answer]
    security: Security
    tag: str
    example: Example = None
    key_description: str | None = None
