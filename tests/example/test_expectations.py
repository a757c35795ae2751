"""How the walkthrough compares, and how it writes down what differs from run to run."""

from __future__ import annotations

from typing import Any

import pytest

from example_project.shop.cards import TRIAL_CARDS
from example_project.walkthrough.expectations import difference
from example_project.walkthrough.transcripts import WIDTH, Transcript
from payments.simulator.faults import CARDS

pytestmark = pytest.mark.database_independent


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": "1"}, {"a": "1", "b": 2}),
        ({"a": {"b": None}}, {"a": {"b": None, "c": 1}}),
        ([{"a": 1}, {}], [{"a": 1, "b": 2}, {"c": 3}]),
        ("10.00", "10.00"),
    ],
)
def test_members_that_are_not_expected_may_be_there(expected: Any, got: Any) -> None:
    assert difference(expected, got) is None


@pytest.mark.parametrize(
    ("expected", "got", "place"),
    [
        ({"a": "1"}, {}, "a"),
        ({"a": None}, {}, "a"),
        ({"a": {"b": "1"}}, {"a": {"b": "2"}}, "a.b"),
        ({"a": [1, 2]}, {"a": [1]}, "the length of a"),
        ([{"a": 1}], [{"a": 2}], "[0].a"),
        ("100.00", 100.0, "the body"),
        (1, True, "the body"),
        ({"a": 1}, None, "the body"),
    ],
)
def test_first_difference_is_named_by_its_place(expected: Any, got: Any, place: str) -> None:
    found = difference(expected, got)
    assert found is not None
    assert found[0] == place


def test_same_id_has_the_same_short_name_everywhere() -> None:
    transcript = Transcript(lambda _line: None)
    one, other = "payses_" + "0" * 26, "payses_" + "1" * 26
    assert transcript.shorten(f"{one} {other} {one}") == "payses_…1 payses_…2 payses_…1"
    assert transcript.shorten("pay_" + "0" * 26) == "pay_…1"


def test_address_is_named_also_inside_a_query() -> None:
    transcript = Transcript(lambda _line: None)
    transcript.name_address("http://127.0.0.1:8000", "http://shop")
    assert (
        transcript.shorten("http://x/?back=http%3A%2F%2F127.0.0.1%3A8000%2F")
        == "http://x/?back=http%3A%2F%2Fshop%2F"
    )


def test_long_bodies_are_written_over_several_lines_and_none_is_lost() -> None:
    lines: list[str] = []
    body = {f"member_{number}": {"values": ["x" * 20, number]} for number in range(12)}
    Transcript(lines.append).received(200, body)
    assert len(lines) > 2
    assert all(len(line) <= WIDTH for line in lines)
    assert "".join(line.strip() for line in lines[1:]).count('"values"') == 12


def test_every_trial_card_is_one_that_the_simulator_knows() -> None:
    assert {card.id for card in TRIAL_CARDS} <= set(CARDS)
