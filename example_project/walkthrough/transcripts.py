"""The transcript: what was sent and what came back, the same at every run.

Ids, times, secrets and addresses differ from run to run, so they are written short: the second session that appears is
`payses_…2`, wherever it appears.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

WIDTH: Final = 108
"""How long a JSON body may be on one line."""

ELLIPSIS: Final = "…"
"""Stands for the members of an object that aren't written down."""

_ID: Final = re.compile(r"\b(pay_col|payses|pay|capt|refr|ref|payop|acchld|int|chl)_[0-9A-Za-z]{16,}")
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\bpaycs_[\w-]+"), "paycs_…"),
    (re.compile(r"\b(ct|ntk)_\w+"), r"\1_…"),
    (re.compile(r"\bSG-[0-9A-Z]{8}\b"), "SG-…"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "…Z"),
)


class Transcript:
    """Write down a walk, line by line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._names: dict[str, str] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._addresses: dict[str, str] = {}

    def name_address(self, address: str, name: str) -> None:
        """Write `name` for an address that differs from run to run, also where it is part of another's query."""
        self._addresses[address] = name
        self._addresses[quote(address, safe="")] = quote(name, safe="")

    def heading(self, number: int, title: str) -> None:
        """Begin a step."""
        self._write(f"\n{number}. {title}")

    def sent(self, who: str, method: str, url: str, body: Any = None) -> None:
        """Write down a request."""
        self._write(f"   {who} → {method} {self.shorten(url)}")
        if body is not None:
            self._lines(body, indent=6)

    def received(self, status: int, body: Any) -> None:
        """Write down an answer."""
        self._write(f"   ← {status}")
        if body is not None:
            self._lines(body, indent=6)

    def found(self, text: str) -> None:
        """Write down that something is as it should be."""
        self._write(f"   ✓ {self.shorten(text)}")

    def line(self, text: str) -> None:
        """Write a line as it is."""
        self._write(text)

    def shorten(self, text: str) -> str:
        """Return a text with everything that differs from run to run written short."""
        for address, name in self._addresses.items():
            text = text.replace(address, name)
        text = _ID.sub(self._named, text)
        for pattern, short in _PATTERNS:
            text = pattern.sub(short, text)
        return text

    def _named(self, found: re.Match[str]) -> str:
        if found[0] not in self._names:
            self._counts[found[1]] += 1
            self._names[found[0]] = f"{found[1]}_…{self._counts[found[1]]}"
        return self._names[found[0]]

    def _lines(self, body: Any, *, indent: int) -> None:
        if isinstance(body, str):
            self._write(" " * indent + self.shorten(body))
            return
        short = json.loads(self.shorten(json.dumps(body, ensure_ascii=False)))
        for line in _rendered(short, WIDTH - indent):
            self._write(" " * indent + line)


def _rendered(body: Any, width: int) -> list[str]:
    """Return JSON as lines, each as full as it can be."""
    if not isinstance(body, dict | list) or not body:
        return [json.dumps(body, ensure_ascii=False)]
    if isinstance(body, list):
        return _filled("[", [_rendered(item, width - 2) for item in body], "]", width)
    return _filled("{", [_member(name, value, width - 2) for name, value in body.items()], "}", width)


def _member(name: str, value: Any, width: int) -> list[str]:
    if name == ELLIPSIS:
        return [ELLIPSIS]
    first, *others = _rendered(value, width)
    return [f"{json.dumps(name)}: {first}", *others]


def _filled(opening: str, items: list[list[str]], closing: str, width: int) -> list[str]:
    lines = [opening]
    for number, item in enumerate(items, start=1):
        *before, last = item
        written = [*before, last + ("," if number < len(items) else closing)]
        space = "" if lines == [opening] else " "
        if len(lines[-1] + space + written[0]) <= width and (len(written) == 1 or lines == [opening]):
            lines[-1] += space + written.pop(0)
        lines += [f" {line}" for line in written]
    return lines
