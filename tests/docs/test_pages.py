"""The pages tell the truth: every setting, check, job and discrepancy they should name is named, and no other."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from payments import conf
from payments.services.background.jobs import JOBS
from payments.states import AttentionReason

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

pytestmark = pytest.mark.database_independent


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "payments").rglob("*.py"))


def test_every_setting_is_described() -> None:
    described = set(re.findall(r"^\| `([A-Z_]+)` \|", page("settings.md"), re.MULTILINE))
    assert described == conf.SETTING_NAMES


def test_every_check_is_described() -> None:
    raised = set(re.findall(r'id="(payments\.[EW]\d{3})"', sources()))
    assert set(re.findall(r"`(payments\.[EW]\d{3})`", page("settings.md"))) == raised


def test_every_job_is_described_with_a_command_that_is_there() -> None:
    text = page("operations.md")
    commands = {path.stem for path in (ROOT / "payments/management/commands").glob("payments_*.py")}
    assert set(re.findall(r"`(payments_\w+)", text)) == commands
    assert set(re.findall(r"^\| (\w+): ", text, re.MULTILINE)) == set(JOBS)


def test_the_schedule_for_celery_names_every_job() -> None:
    block = page("operations.md").partition("```python\n# settings.py\n")[2].partition("```")[0]
    shown: dict[str, Any] = {}
    exec(block, shown)  # noqa: S102 - the page's own code
    assert {entry["task"] for entry in shown["CELERY_BEAT_SCHEDULE"].values()} == {
        f"payments.{name}" for name in JOBS
    }
    assert [import_module(name).__name__ for name in shown["CELERY_IMPORTS"]] == ["payments.contrib.celery"]


def test_every_reason_for_attention_is_described() -> None:
    table = page("operations.md").partition("| detail |")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == AttentionReason.values


@pytest.mark.parametrize(
    "path",
    sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "tests/README.md"]),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", path.read_text(encoding="utf-8")
    ):
        found = path.parent / target if target else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", page("README.md")))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"README.md"}
    assert linked == pages | {"openapi.yaml"}


def test_the_walkthrough_is_shown_as_it_is() -> None:
    _before, _mark, after = page("walkthrough.md").partition(
        "<!-- transcript: docs/walkthrough.txt -->\n```text\n"
    )
    shown = after.partition("\n```\n")[0]
    assert shown == page("walkthrough.txt").rstrip("\n")
