"""Holding an answer against what it has to be. A difference ends the walk, with its step, the expected and the got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class UnexpectedAnswerError(Exception):
    """Say at which step an answer differs, and how."""

    def __init__(self, *, step: str, what: str, expected: object, got: object) -> None:
        self.step = step
        self.what = what
        self.expected = expected
        self.got = got
        super().__init__(f"Step {step}: {what}\n  expected: {expected!r}\n  got:      {got!r}")


def difference(expected: Any, got: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return the first place where an answer isn't what is expected, with both values; None where there is none.

    Members of an object that aren't expected may be there; lists have to be of one length; everything else is equal,
    types included, so that `100` is not `"100.00"`.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        pairs = (
            (f"{path}.{key}".lstrip("."), value, got.get(key, _MISSING)) for key, value in expected.items()
        )
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"the length of {path or 'the list'}", len(expected), len(got)
        pairs = ((f"{path}[{index}]", value, got[index]) for index, value in enumerate(expected))
    else:
        is_same = type(expected) is type(got) and expected == got
        return None if is_same else (path or "the body", expected, got)
    return next((found for name, one, other in pairs if (found := difference(one, other, name))), None)


class _Missing:
    """Stand for a member that isn't there."""

    def __repr__(self) -> str:
        return "(missing)"


_MISSING = _Missing()
