"""Following a page as its reader does: what it sends in curl is sent to the demo, and answered as it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.docs.examples import Answer, Names, Step, read_answer, steps
from tests.programs import missing, program, run

SHOP: Final = "http://127.0.0.1:8000"
SIMULATOR: Final = "http://127.0.0.1:8001"


def assert_as_shown(names: Names, step: Step, got: Answer) -> None:
    """Assert that an answer is the one that a page shows."""
    assert step.answer is not None
    differences = names.differences(step.answer, got)
    assert differences == [], f"after\n{step.program}\ncame\n{got.status}\n{got.body}"


def follow_in_curl(page: Path, site: str, folder: Path, *, simulator: str = SIMULATOR) -> None:
    """Send what a page sends in curl, from its top to its end, to the shop and the simulator at their addresses."""
    if "--json" not in run(program("curl"), "--help", "all", folder=folder).stdout:
        missing("curl is older than 7.82.")
    names, known = Names(known={SHOP: site, SIMULATOR: simulator}), ""
    for step in steps(page, "sh"):
        text = names.put_in(step.program)
        if step.is_assignment:
            known += text
            continue
        done = run(program("bash"), "-euo", "pipefail", "-c", known + text, folder=folder)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        if step.answer is not None:
            assert_as_shown(names, step, read_answer(done.stdout.rpartition("HTTP/1.1 ")[2]))
