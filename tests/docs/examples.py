"""The examples of a page: what is sent, in two languages, and the answer that is shown, to hold others against."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ELLIPSIS: Final = "…"

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENTS: Final = re.compile(r"([A-Z]+=(\S+|\$\(.+\))\n)+")
_NAMED: Final = re.compile(rf"[\w:/]+{ELLIPSIS}\d+")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold an answer, as it came or as a page shows it: `body` is its text."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """Hold a piece of a program, the section it is in, and the answer to what it sends; None where it sends nothing."""

    section: str
    program: str
    answer: str | None

    @property
    def is_assignment(self) -> bool:
        """Whether it only gives names to values."""
        return _ASSIGNMENTS.fullmatch(self.program) is not None


def steps(page: Path, language: str) -> list[Step]:
    """Return what a page's reader sends, step by step, in one language. Raises ValueError for an answer to nothing."""
    found: list[Step] = []
    section = ""
    for heading, kind, text in _pieces(page.read_text(encoding="utf-8")):
        section = heading or section
        if kind == language:
            found.append(Step(section=section, program=text, answer=None))
        elif kind == "http":
            if not found or found[-1].answer is not None:
                raise ValueError(f"Nothing in {language} is answered with:\n{text}")
            found[-1] = Step(section=found[-1].section, program=found[-1].program, answer=text)
    return found


def read_answer(text: str) -> Answer:
    """Read an answer, with HTTP's first line or a page's: 200 OK."""
    head, _empty, body = text.replace("\r\n", "\n").partition("\n\n")
    first, *rest = head.strip().splitlines()
    headers = dict(line.split(": ", 1) for line in rest)
    status = re.search(r"\b\d{3}\b", first)
    assert status is not None, first
    return Answer(
        status=int(status[0]), headers={name.lower(): value for name, value in headers.items()}, body=body
    )


@dataclass(kw_only=True)
class Names:
    """Remember what the names of a page stand for: `pay_col_…1` is the same everywhere."""

    known: dict[str, str] = field(default_factory=dict)

    def put_in(self, text: str) -> str:
        """Return a text with the values in the names' places."""
        for name, value in self.known.items():
            text = re.sub(rf"{re.escape(name)}(?!\d)", lambda _match, value=value: value, text)  # type: ignore[misc]
        return text

    def differences(self, shown: str, got: Answer) -> list[str]:
        """Return where an answer isn't what a page shows, learning the names that are new."""
        expected = read_answer(self.put_in(shown))
        found = [] if expected.status == got.status else [f"status: {expected.status}, not {got.status}"]
        headers = {name: got.headers.get(name) for name in expected.headers}
        found += self._compare("headers", dict(expected.headers), headers)
        if expected.body.strip():
            found += self._compare("body", json.loads(expected.body), json.loads(got.body))
        return found

    def _compare(self, where: str, expected: Any, got: Any) -> list[str]:
        if isinstance(expected, dict) and isinstance(got, dict):
            return [each for inner in self._members(where, expected, got) for each in inner]
        if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
            pairs = enumerate(zip(expected, got, strict=True))
            return [each for place, pair in pairs for each in self._compare(f"{where}[{place}]", *pair)]
        if isinstance(expected, str) and isinstance(got, str) and self._is_like(expected, got):
            return []
        return [] if expected == got else [f"{where}: {expected!r}, not {got!r}"]

    def _members(self, where: str, expected: dict[str, Any], got: dict[str, Any]) -> Iterator[list[str]]:
        named = set(expected) - {ELLIPSIS}
        if unnamed := set(got) - named if ELLIPSIS not in expected else set():
            yield [f"{where}: {sorted(unnamed)} is there too"]
        for name in sorted(named):
            if name not in got:
                yield [f"{where}: {name} is missing"]
            else:
                yield self._compare(f"{where}.{name}", expected[name], got[name])

    def _is_like(self, expected: str, got: str) -> bool:
        pattern = re.sub(r"\d+$", "", expected) if _NAMED.fullmatch(expected) else expected
        if re.fullmatch(".+".join(map(re.escape, pattern.split(ELLIPSIS))), got) is None:
            return False
        if _NAMED.fullmatch(expected):
            self.known[expected] = got
        return True


def _pieces(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield headings, and fenced blocks with their language."""
    for match in re.finditer(rf"^## ([^\n]+)$|{_BLOCK.pattern}", text, re.MULTILINE | re.DOTALL):
        yield match[1] or "", match[2] or "", match[3] or ""
