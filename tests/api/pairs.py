"""Trying one thing with another: every day each with a few, and each with each in the thorough run."""

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


PAIRS: Final = [
    pytest.param(some, id="each with a few"),
    pytest.param(product, id="each with each", marks=pytest.mark.thorough),
]
"""What `pairs` is, as a parameter of a test."""
