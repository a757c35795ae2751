"""docs/states.md says what the models do."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.states.graphs import GRAPHS

pytestmark = pytest.mark.database_independent

DOCS = Path(__file__).resolve().parents[2] / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate_states.py"))


def test_page_of_states_is_current() -> None:
    is_current = (DOCS / "states.md").read_text(encoding="utf-8") == GENERATOR["states_page"]()
    assert is_current, f"docs/states.md is out of date. Write it anew: {GENERATOR['COMMAND']}"


def test_page_draws_every_arrow_and_says_what_it_means() -> None:
    page = GENERATOR["states_page"]()
    for graph in GRAPHS:
        section = page.split(f"## {graph.model.__name__}\n")[1].split("\n## ")[0]
        arrows = {line.strip() for line in section.splitlines() if " --> " in line}
        expected = {
            f"{source} --> {target}: {name}"
            for name, (target, sources) in graph.edges.items()
            for source in sources
        }
        assert arrows == {*expected, f"[*] --> {graph.initial}"}
        table = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
        assert len(table) == len(graph.edges)
        assert all(cells[3].rstrip("| ").endswith(".") for cells in table)
