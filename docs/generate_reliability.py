"""Write docs/reliability.md from the tests that show it: `python docs/generate_reliability.py`.

A test says what it shows with `@pytest.mark.shows("what goes wrong", "what comes out")`, or with `marks=` on one of its
parameters. The tests are read, not run, so this needs nothing but Python; that they pass is for pytest to say.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TESTS: Final = ROOT / "tests"
PAGE: Final = ROOT / "docs" / "reliability.md"
COMMAND: Final = "python docs/generate_reliability.py"

INTRODUCTION: Final = f"""\
# Reliability

<!-- Written by `{COMMAND}` from the `shows` markers in tests/. Change those, not this page. -->

Every fault, race and abuse that the tests try, what comes out of it, and the test that shows it. The oracle is the
simulator's own ledger: after the dust has settled, our books say what it says, and money has moved at most once.

That these tests bite is shown by `python -m tests.reliability.mutations`: it takes each guard away from a copy of the
code, and the test named with it must fail there.
"""


@dataclass(frozen=True, kw_only=True)
class Showing:
    """Hold what one test shows."""

    fault: str
    outcome: str
    test: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Hold what the tests of one file show."""

    path: Path
    summary: str
    showings: tuple[Showing, ...]


def reliability_page(tests: Path = TESTS) -> str:
    """Return the whole page, as the tests below a folder have it."""
    sections = [_section(path, tests) for path in sorted(tests.rglob("test_*.py"))]
    told = [section for section in sections if section.showings]
    count = sum(len(section.showings) for section in told)
    parts = [f"{INTRODUCTION}\n{count} cases.\n", *(_render(section) for section in told)]
    return "\n".join(parts)


def _section(path: Path, tests: Path) -> Section:
    source = path.read_text(encoding="utf-8")
    # Most files have no marker, and parsing is what takes time.
    tree = ast.parse(source if "mark.shows(" in source else "")
    return Section(
        path=path.relative_to(tests.parent),
        summary=(ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " "),
        showings=tuple(showing for test in _tests(tree) for showing in _showings(test, path)),
    )


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node


def _showings(test: ast.FunctionDef, path: Path) -> Iterator[Showing]:
    for decorator in test.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.shows":
                fault, outcome = _words(node, path)
                yield Showing(fault=fault, outcome=outcome, test=test.name)


def _words(marker: ast.Call, path: Path) -> tuple[str, str]:
    words = [argument.value for argument in marker.args if isinstance(argument, ast.Constant)]
    texts = [word for word in words if isinstance(word, str) and word.strip()]
    if len(texts) != len(marker.args) or len(texts) != 2 or marker.keywords:  # noqa: PLR2004
        raise SystemExit(
            f'{path}:{marker.lineno}: write @pytest.mark.shows("what goes wrong", "what comes out"), '
            "with two plain strings"
        )
    return texts[0], texts[1]


def _render(section: Section) -> str:
    title = section.path.stem.removeprefix("test_").replace("_", " ").capitalize()
    folder = section.path.parent.name.capitalize()
    rows = [
        f"| {_cell(each.fault)} | {_cell(each.outcome)} | [`{each.test}`](../{section.path.as_posix()}) |"
        for each in section.showings
    ]
    head = ["| what goes wrong | what comes out | shown by |", "|---|---|---|"]
    return "\n".join([f"## {folder}: {title}", "", section.summary, "", *head, *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(reliability_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")
