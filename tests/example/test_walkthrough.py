"""The walkthrough passes on the shop as it is, and on nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from example_project.walkthrough.expectations import UnexpectedAnswerError
from example_project.walkthrough.script import Walkthrough
from example_project.walkthrough.transcripts import Transcript
from tests.example.commands import run_command
from tests.example.proxies import Falsify, Seen, falsifying_proxy
from tests.packaging.repository import ROOT

pytestmark = [pytest.mark.database_independent, pytest.mark.xdist_group("example")]

LAST_LINE = "Every answer was as expected."


def play(url: str) -> list[str]:
    lines: list[str] = []
    walkthrough = Walkthrough(
        url, Transcript(lines.append), username="admin", password="admin", simulator_key="sk_sim_test"
    )
    walkthrough.run()
    return lines


@pytest.fixture(scope="module")
def played(shop_url: str) -> list[str]:
    return play(shop_url)


def unchanged(seen: Seen) -> tuple[int, str]:
    return seen.status, seen.body


def a_cent_too_much_is_captured(seen: Seen) -> tuple[int, str]:
    is_capture = seen.path.endswith("/capture/") and seen.status == 200
    return seen.status, seen.body.replace('"25.00"', '"25.01"') if is_capture else seen.body


def a_further_capture_is_accepted(seen: Seen) -> tuple[int, str]:
    is_refusal = seen.path.endswith("/capture/") and seen.status == 400
    return (200, seen.body) if is_refusal else unchanged(seen)


def no_code_is_asked_for(seen: Seen) -> tuple[int, str]:
    if not seen.path.endswith("/authorize/") or '"requires_more"' not in seen.body:
        return unchanged(seen)
    return seen.status, json.dumps(json.loads(seen.body) | {"status": "authorized", "next_action": None})


def private_data_is_published(seen: Seen) -> tuple[int, str]:
    if not re.search(r"/storefront/payment-sessions/\w+/authorize/", seen.path) or seen.status != 200:
        return unchanged(seen)
    return seen.status, json.dumps(json.loads(seen.body) | {"provider_data": {"risk_score": 7}})


def the_refund_is_forgotten(seen: Seen) -> tuple[int, str]:
    is_collection = re.search(r"/staff/payment-collections/\w+/$", seen.path)
    forgotten = seen.body.replace('"refunded_amount":"15.00"', '"refunded_amount":"0.00"')
    return seen.status, forgotten if is_collection else seen.body


def strangers_are_told_apart(seen: Seen) -> tuple[int, str]:
    return (403, seen.body) if seen.status == 404 and "payses_none" not in seen.path else unchanged(seen)


def amounts_are_numbers(seen: Seen) -> tuple[int, str]:
    is_collection = "/storefront/payment-collections/" in seen.path
    return seen.status, seen.body.replace(
        '"amount":"100.00"', '"amount":100.00'
    ) if is_collection else seen.body


@pytest.mark.thorough
def test_command_plays_the_main_job_on_a_shop_of_its_own(tmp_path: Path) -> None:
    transcript = tmp_path / "transcript.txt"
    played = run_command("walkthrough", "--transcript", str(transcript), database=tmp_path / "unused.sqlite3")
    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stdout.rstrip().endswith(LAST_LINE)
    assert transcript.read_text(encoding="utf-8") == played.stdout.lstrip()
    assert not (tmp_path / "unused.sqlite3").exists()


def test_written_transcript_is_what_the_walkthrough_says_today(played: list[str]) -> None:
    """`python manage.py walkthrough --transcript docs/walkthrough.txt` writes it anew."""
    written = (ROOT / "docs" / "walkthrough.txt").read_text(encoding="utf-8")
    assert written == "\n".join(played).strip() + "\n"


@pytest.mark.thorough
def test_command_starts_a_shop_where_none_answers(tmp_path: Path) -> None:
    played = run_command("walkthrough", "--url", "http://127.0.0.1:9", database=tmp_path / "unused.sqlite3")
    assert played.returncode == 0, played.stdout + played.stderr
    assert "No shop answers at http://127.0.0.1:9" in played.stderr


def test_command_names_step_expected_and_got_when_an_answer_is_falsified(
    shop_url: str, tmp_path: Path
) -> None:
    with falsifying_proxy(shop_url, a_cent_too_much_is_captured) as url:
        played = run_command("walkthrough", "--url", url, database=tmp_path / "unused.sqlite3")
    assert played.returncode == 1
    assert "Step 12 (60.00 are captured as 25.00" in played.stderr
    assert "captured_amount" in played.stderr
    assert "expected: '25.00'" in played.stderr
    assert "got:      '25.01'" in played.stderr
    assert LAST_LINE not in played.stdout


def test_walk_through_an_honest_proxy_passes_and_says_the_same_again(
    shop_url: str, played: list[str]
) -> None:
    with falsifying_proxy(shop_url, unchanged) as url:
        again = play(url)
    assert again == played
    assert again[-1].strip() == LAST_LINE


@pytest.mark.parametrize(
    ("falsify", "step", "got"),
    [
        (amounts_are_numbers, "2", "100.0"),
        (no_code_is_asked_for, "6", "'authorized'"),
        (strangers_are_told_apart, "9", "403"),
        # The later the step, the longer the walk.
        pytest.param(private_data_is_published, "11", "provider_data|risk_score", marks=pytest.mark.thorough),
        pytest.param(a_further_capture_is_accepted, "13", "200", marks=pytest.mark.thorough),
        pytest.param(the_refund_is_forgotten, "14", "'0.00'", marks=pytest.mark.thorough),
    ],
)
def test_falsified_answer_ends_the_walk_at_its_step(
    shop_url: str, falsify: Falsify, step: str, got: str
) -> None:
    with falsifying_proxy(shop_url, falsify) as url, pytest.raises(UnexpectedAnswerError) as caught:
        play(url)
    assert caught.value.step.startswith(f"{step} (")
    assert re.search(got, repr(caught.value.got) + caught.value.what)


def test_transcript_holds_neither_ids_nor_secrets_nor_addresses(played: list[str]) -> None:
    text = "\n".join(played)
    assert not re.search(r"_[0-9A-Z]{26}|127\.0\.0\.1|paycs_\w|ntk_\w|ct_\w|\d{4}-\d\d-\d\dT", text)
