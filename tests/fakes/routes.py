"""What a fake can be asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    """Tie a method and a path to what handles it: one line of a fake's table.

    `path` is a regular expression whose groups the handler gets, `known` says which parameters may be sent, `status` is
    that of a success.
    """

    operation: str
    method: str
    path: str
    known: Any
    handler: Handler
    status: int = 200
