"""docs/reliability.md says what the tests show."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.database_independent

DOCS = Path(__file__).resolve().parents[2] / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate_reliability.py"))

SHOWN = '''
"""Losing things.

More about it.
"""
import pytest

@pytest.mark.parametrize("verb", [pytest.param("b", marks=pytest.mark.shows("b breaks", "b | mends"))])
@pytest.mark.shows("it breaks", "it mends")
def test_it(verb): ...

def test_nothing_shown(): ...
'''


def test_page_of_reliability_is_current() -> None:
    is_current = (DOCS / "reliability.md").read_text(encoding="utf-8") == GENERATOR["reliability_page"]()
    assert is_current, f"docs/reliability.md is out of date. Write it anew: {GENERATOR['COMMAND']}"


def test_page_lists_what_tests_and_their_parameters_show(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "losses"
    folder.mkdir(parents=True)
    (folder / "test_losing_things.py").write_text(SHOWN, encoding="utf-8")
    (folder / "test_silent.py").write_text("def test_silent(): ...", encoding="utf-8")
    page = GENERATOR["reliability_page"](tmp_path / "tests")
    link = "[`test_it`](../tests/losses/test_losing_things.py)"
    section = page.split("\n## ")[1].splitlines()
    assert section[:4] == ["Losses: Losing things", "", "Losing things.", ""]
    assert section[6:] == [f"| b breaks | b \\| mends | {link} |", f"| it breaks | it mends | {link} |"]
    assert "silent" not in page
    assert "2 cases." in page


@pytest.mark.parametrize(
    "marker", ['shows("only one")', 'shows("a", f"b")', 'shows("a", outcome="b")', 'shows("a", " ")']
)
def test_marker_that_cannot_be_read_is_an_error(tmp_path: Path, marker: str) -> None:
    source = f"import pytest\n\n@pytest.mark.{marker}\ndef test_it(): ...\n"
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"test_it\.py:3: write @pytest\.mark\.shows"):
        GENERATOR["reliability_page"](tmp_path)
