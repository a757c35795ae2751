"""Card data is found wherever it hides, and what only looks like it is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.ids import new_session_id
from payments.redaction import REDACTED, find_card_data, has_card_number, redact, redact_text

pytestmark = pytest.mark.database_independent

# The published test numbers of the networks; no real card has them.
NUMBERS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "3056930009020004",
    "6205500000000000004",
    "4242.4242.4242.4242",
    "4242/4242/4242/4242",
    "4242_4242_4242_4242",
    "4242\u00a04242\u20094242\u202f4242",
    "4242\u20134242\u20144242\u20114242",
    "4242\u200b4242\u20604242\u200d4242",
    "４２４２４２４２４２４２４２４２",
    "٤٢٤٢ ٤٢٤٢ ٤٢٤٢ ٤٢٤٢",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_card_number_is_found_and_taken_out_of_any_text(number: str) -> None:
    text = f"my card is {number}, thanks"
    assert has_card_number(text)
    assert redact_text(text) == f"my card is {REDACTED}, thanks"


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # the check digit is wrong
        "1234567890123452",  # no network starts with 1
        "order 12345678",
        "424242424242",  # too short
        "42424242424242424242",  # too long
        "2026-11-24T05:32:12.123456Z",
        "+49 30 901820",
        "a4242424242424242",
        "pi_4242424242424242abc",
        "1.4242424242424242",
        "2026.1124.0532.1212",
        "192.168.4242.4242",
    ],
)
def test_what_is_no_card_number_is_left_alone(text: str) -> None:
    assert not has_card_number(text)
    assert redact_text(text) == text


def test_our_own_ids_are_never_taken_for_cards() -> None:
    assert not any(has_card_number(new_session_id()) for _ in range(2000))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"data": {"note": "4242424242424242"}}, "data.note"),
        ({"data": {"card": {"CVC": "123"}}}, "data.card.CVC"),
        ({"card_number": "1"}, "card_number"),
        ({"ＣＶＣ": "123"}, "ＣＶＣ"),
        ({"card[cvv]": "123"}, "card[cvv]"),
        ({"security-code": 12}, "security-code"),
        ({"lines": [{"text": "ok"}, {"text": "5555555555554444"}]}, "lines.text"),
        ({"amount": 4242424242424242}, "amount"),
        ({"4242424242424242": "x"}, ""),
        ({"track": ";4242424242424242=2512"}, "track"),
        ("4242424242424242", ""),
    ],
)
def test_the_first_place_is_named(value: Any, where: str) -> None:
    assert find_card_data(value) == where


@pytest.mark.parametrize(
    "value",
    [
        {"data": {"card": "card_3ds", "code": "123456"}},
        {"cvc": None, "cvv": ""},
        {"amount": "10.00", "note": "call +49 30 901820"},
        {"provider_id": "system", "return_url": "https://shop.example/orders/4711"},
        None,
        [],
    ],
)
def test_an_ordinary_body_is_fine(value: Any) -> None:
    assert find_card_data(value) is None


def test_redacting_keeps_the_shape() -> None:
    value = {"a": [1, "4242424242424242"], "cvc": "123", "b": {"c": None}}
    assert redact(value) == {"a": [1, REDACTED], "cvc": REDACTED, "b": {"c": None}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from(NUMBERS))
def test_nothing_is_left_to_find_in_what_was_redacted(value: Any, number: str) -> None:
    redacted = redact({"value": value, "note": f"{number}."})
    assert number not in json.dumps(redacted)
    assert find_card_data({"note": redacted["note"]}) is None


@pytest.mark.parametrize("number", [4242424242424242, 4242424242424242.0])
def test_a_card_number_that_is_a_json_number_is_found(number: float) -> None:
    assert find_card_data({"note": [number]}) == "note"
    assert redact({"note": number}) == {"note": REDACTED}
