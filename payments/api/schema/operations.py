"""What a document says of one address and method that the view itself doesn't: names, bodies, answers, examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from payments.api.schema.parameters import Parameter
from payments.api.serializers import InputSerializer, OutputSerializer
from payments.api.views import PaymentsView

Example = Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Say what comes back: a row, all rows, or a page of rows; or nothing. `extra` are properties beside the row's."""

    row: type[OutputSerializer] | None = None
    is_page: bool = False
    is_list: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    media_type: str = "application/json"
    description: str
    example: Example = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Say how one method of one view is documented; its description is the docstring of the method."""

    view: type[PaymentsView]
    method: str
    name: str
    answers: Mapping[int, Answer]
    errors: frozenset[int]
    security: tuple[Mapping[str, list[str]], ...]
    tag: str
    body: type[InputSerializer] | None = None
    example: Example = None
    parameters: tuple[Parameter, ...] = ()
