"""Trying many things, or one with another: every day some, or each with a few, and all in the thorough run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Final, TypeVar

import pytest

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")

Pairs = Callable[[Sequence[Any], Sequence[Any]], Iterable[tuple[Any, Any]]]

ROUNDS: Final = 2


def some(first: Sequence[FirstT], second: Sequence[SecondT]) -> Iterator[tuple[FirstT, SecondT]]:
    """Yield pairs in which each of either side is there twice or more, and with something else each time."""
    longest = max(len(first), len(second))
    for turn in range(ROUNDS):
        for index in range(longest):
            yield first[index % len(first)], second[(index + turn) % len(second)]


def daily(cases: Iterable[Any], *, step: int = 4) -> list[Any]:
    """Return cases as parameters: one of so many is tried every day, and the others in the thorough run."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[pytest.mark.thorough] if number % step else [],
        )
        for number, case in enumerate(cases)
    ]


PAIRS: Final = [
    pytest.param(some, id="each with a few"),
    pytest.param(product, id="each with each", marks=pytest.mark.thorough),
]
"""What `pairs` is, as a parameter of a test."""
