"""Card data is found wherever it hides, and what only looks like it is left alone."""

from __future__ import annotations

import json
import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from time import process_time
from typing import Any

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import example, given, settings
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
    "⁴²⁴²⁴²⁴²⁴²⁴²⁴²⁴²",
    "4️2️4️2️4️2️4️2️4️2️4️2️4️2️4️2",
    "4242  4242  4242  4242",
    "4242\t4242\t4242\t4242",
    "4242\n4242\r\n4242\n4242",
    "4242\u00004242\u00004242\u00004242",
    "4242\u2028 4242 - 4242 -- 4242",
    "4242:4242:4242:4242",
    "4242,4242,4242,4242",
    "4242|4242|4242|4242",
    "4242·4242·4242·4242",
    "3782/822463/10005",
    "3056.930902.5904",
    "6205.5000.0000.0000.004",
    "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
    "42 42 42 42 42 42 42 42",
    "4242424242424242 12/34",
    "4242424242424242 12/2034, 123",
    "4242424242424242 123",
    "4242424242424242-123",
    "4242 4242 4242 4242 12/34 123",
    "4242:4242:4242:4242:12/34:123",
    "378282246310005 1234",
    "4242424242424242.5555555555554444",
]
HIDDEN = [
    "4242&nbsp;4242&nbsp;4242&nbsp;4242",
    "4242&#160;4242&#xa0;4242&nbsp;4242",
    "&#52;242424242424242",
    "&#" + "0" * 30 + "52;242424242424242",
    "card4242424242424242",
    "card_4242424242424242",
    "my_card_5555555555554444",
    "4242424242424242EUR",
    "4242424242424242_usd",
    "%34242424242424242",
    "%2534242424242424242",
    "4242%25204242%25204242%25204242",
    "&amp;#52;242424242424242",
    "%26%2352%3B242424242424242",
    "%26amp%3B%2352%3B242424242424242",
    *(
        json.dumps(json.dumps(text)) if times == 2 else json.dumps(text)
        for times in (1, 2)
        for text in ("\n4242424242424242", "\t5555555555554444\t")
    ),
    *(f"{slashes}u0034242{slashes}u0034 4242 4242 4242" for slashes in ("\\", "\\\\", "\\" * 4)),
    "%5Cn4242424242424242",
]


@pytest.mark.parametrize("number", HIDDEN)
def test_a_card_number_in_html_or_beside_a_word_is_found_and_taken_out(number: str) -> None:
    text = f"my card is {number}, thanks"
    assert has_card_number(text)
    assert not any(digits in redact_text(text) for digits in ("4242", "5555"))
    assert find_card_data({"note": text}) == "note"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_card_number_is_found_and_taken_out_of_any_text(number: str) -> None:
    text = f"my card is {number}, thanks"
    assert has_card_number(text)
    assert redact_text(text).replace(f"{REDACTED}.{REDACTED}", REDACTED) == f"my card is {REDACTED}, thanks"
    assert not has_card_number(redact_text(text))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("1 4242424242424242", f"1 {REDACTED}"),
        ("no.4242424242424242!", f"no.{REDACTED}!"),
        ("4242424242424242 10.00 eur", f"{REDACTED} 10.00 eur"),
        ("4242424242424242 12345", f"{REDACTED} 12345"),
        ("DE88 3704 4242 4242 4242 4242", f"DE88 3704 {REDACTED}"),
        ("+4242 4242 - 4242 4242", f"+{REDACTED}"),
        ("+49 30 901820, 4242424242424242", f"+49 30 901820, {REDACTED}"),
        ("2026-11-24 4242424242424242", f"2026-11-24 {REDACTED}"),
        ("?card=%34242%204242%204242%204242", REDACTED),
        ("4242424242424242 %34242424242424242", REDACTED),
    ],
)
def test_only_the_card_is_taken_out_of_what_stands_around_it(text: str, cut: str) -> None:
    assert has_card_number(text)
    assert redact_text(text) == cut


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # the check digit is wrong
        "1234567890123452",  # no network starts with 1
        "order 12345678",
        "424242424242",  # too short
        "42424242424242424242",  # too long
        "4242 4242 4242 4242x",
        "4242424242424242_123",
        "4111 1111 1111 1112 12/34",
        "42424242-4242-4242-8242-424242424242",
        "0.4242424242424242",
        "13.4242424242424242",
        "2026-11-24 05:32:12.123456+00:00",
        "IBAN DE21 5001 0517 4242 4242 42, thanks",
        "+49 15 11 23 45 67 89",
        "10.00, 4242.42, 4242.42, 4242.42",
        "302-4242424-4242424",
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
        ({"cvn": "123"}, "cvn"),
        ({"cardCvn": "123"}, "cardCvn"),
        ({"card_security": "123"}, "card_security"),
        ({"card_security_code": "123"}, "card_security_code"),
        ({"pin": "1234"}, "pin"),
        ({"cvc": ["", ["123"]]}, "cvc"),
        ({"cvc": {"value": "123"}}, "cvc"),
        ({f"{'x' * 10_000}.cvc": "123"}, f"{'x' * 10_000}.cvc"),
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
        {"cvc": None, "cvv": "", "cvn": [], "pin": {}},
        {"cvc" + "x" * 100: "123", "x" * 100 + "cvc": "123"},
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


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ({"cvc": ["123", ["4"]]}, {"cvc": [REDACTED, [REDACTED]]}),
        ({"cvc": {"value": 123, "checked": None}}, {"cvc": {"value": REDACTED, "checked": None}}),
        ({"seen": [4242424242424242, 4242424242424242.0]}, {"seen": [REDACTED, REDACTED]}),
        ({"4242424242424242": 1}, {REDACTED: 1}),
    ],
)
def test_card_data_is_taken_out_however_deep_it_is(value: Any, redacted: Any) -> None:
    assert find_card_data(value) is not None
    assert redact(value) == redacted


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


@pytest.mark.parametrize("value", [gettext_lazy("of 4242424242424242"), Decimal("4242424242424242")])
def test_a_card_number_is_taken_out_of_what_becomes_a_text_in_json(value: Any) -> None:
    assert redact({"note": [value]}) == {"note": [REDACTED]}


PIECES = [
    *(
        "&#",
        "&#x",
        "&",
        ";",
        "%",
        "%26%23",
        "%25",
        "amp;",
        "\\",
        "u0034",
        "%ud83d",
        "0",
        "1" * 20,
        "1" * 4400,
        "4242424242424242",
        " ",
        "%B",
        "^",
    ),
    *("\ud83d", "\udc00", "\x00", "\u202e", "٤", "é", "cvc", ".", "IBAN DE89 ", "+", "2026-11-29"),
]


@settings(max_examples=50)
@example(pieces=["&#", "1" * 4400, ";"])
@example(pieces=["%26%23", "1" * 4400])
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8))
def test_any_text_at_all_can_be_judged(pieces: list[str]) -> None:
    text = "".join(pieces)
    for value in (text, {text: [text]}):
        find_card_data(value)
        redact(value)
    assert not has_card_number(redact_text(text))


def an_id_of_a_provider(random: Random) -> str:
    return f"pi_3{''.join(random.choices(string.ascii_letters + string.digits, k=23))}"


def a_paypal_id(random: Random) -> str:
    return "".join(random.choices(string.ascii_uppercase + string.digits, k=17))


def a_uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def a_ulid(random: Random) -> str:
    return f"payses_{''.join(random.choices('0123456789ABCDEFGHJKMNPQRSTVWXYZ', k=26))}"


def a_hash(random: Random) -> str:
    return f"{random.getrandbits(random.choice([64, 128, 256])):x}abc"


def an_order_number(random: Random) -> str:
    prefix = random.choice(["", "#", "A-", "R", "INV-", "ORDER-", "2026-", "order_"])
    return f"{prefix}{random.randrange(10**4, 10**12)}"


def a_time(random: Random) -> str:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(10**15))
    return random.choice([moment.isoformat(), str(moment), f"{moment.timestamp()}"])


def an_amount(random: Random) -> str:
    return ", ".join(f"{random.randrange(10**6) / 100:,.2f}" for _ in range(5))


def a_telephone_number(random: Random) -> str:
    return f"+{random.randrange(1, 99)} {random.randrange(10, 999)} {random.randrange(10**6, 10**8)}"


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    "kind",
    [
        an_id_of_a_provider,
        a_paypal_id,
        a_uuid,
        a_hash,
        a_ulid,
        an_order_number,
        a_time,
        an_amount,
        a_telephone_number,
    ],
)
def test_what_is_there_for_good_reasons_is_never_taken_for_a_card(
    kind: Callable[[Random], str], count: int
) -> None:
    random = Random(4242)  # noqa: S311
    texts = (kind(random) for _ in range(count))
    assert [text for text in texts if has_card_number(text)] == []


@pytest.mark.parametrize("size", [200_000, pytest.param(1_000_000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    "piece",
    [
        *("4", "4 ", "4242-", "4242:", "4a ", "+4 ", "4.", "DE88 4242 ", "%34", "&#0", "&#x1"),
        *("%2534", "4 %2525", "&amp;#52;", "\\", "\\u0034", "4 \\\\u005c"),
    ],
)
def test_a_long_text_takes_no_more_than_its_share_of_time(piece: str, size: int) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = process_time()
        redact_text(text)
        return process_time() - started

    seconds(10_000)
    assert seconds(size) < 60 * max(seconds(size // 20), size / 2e8)
