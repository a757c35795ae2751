"""What is tracked: the agreed top level, and nothing that only holds on one machine."""

from __future__ import annotations

import re

import pytest

from tests.packaging.repository import ROOT, tracked_files

pytestmark = pytest.mark.database_independent

REQUIRED = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "manage.py",
    "payments",
    "example_project",
    "tests",
}
ALLOWED = REQUIRED | {"docs", "CONTRIBUTING.md", "SECURITY.md"}
# Written so that no pattern finds itself.
MACHINE_FOLDERS = re.compile(r"(?<![\w.:-])/(?:home|Users|root|work)/[\w.]")
REGISTRY_HOSTS = re.compile(
    r"\b(?:(?:pypi|pythonhosted|npmjs|rubygems)\.org|deb\.debian\.org|crates\.io|proxy\.golang\.org)\b"
)


def test_top_level_holds_only_what_was_agreed() -> None:
    top_level = {path.parts[0] for path in tracked_files()}
    assert top_level >= REQUIRED
    assert {name for name in top_level if not name.startswith(".")} <= ALLOWED


@pytest.mark.parametrize("pattern", [MACHINE_FOLDERS, REGISTRY_HOSTS], ids=["folder", "registry"])
def test_no_tracked_file_names_a_machine_folder_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = []
    for path in tracked_files():
        text = (ROOT / path).read_bytes().decode("utf-8", errors="ignore")
        found += [
            f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]}" for hit in pattern.finditer(text)
        ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_FOLDERS, "cd /" + "home/someone/shop"),
        (MACHINE_FOLDERS, "'/" + "root/.venv'"),
        (REGISTRY_HOSTS, "https://pypi" + ".org/simple"),
        (REGISTRY_HOSTS, "https://files.pythonhosted" + ".org/packages"),
    ],
    ids=["home", "root", "index", "files"],
)
def test_patterns_find_what_they_are_meant_to_find(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
