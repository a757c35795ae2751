"""Finding card data where it must not be, and taking out what must not be shown.

Card numbers and codes never belong on a shop's server: a provider's own page or script takes them (PCI DSS 3.3.1: a
code must not be kept after authorization, not even encrypted). This room only looks at values; it logs nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

REDACTED: Final = "[redacted]"

# A card number has 13 to 19 digits, perhaps in groups, and starts with 2 to 6 (ISO/IEC 7812). What stands in a longer
# run of letters and digits is something else: an id, a hash, a token.
_NUMBER: Final = re.compile(
    r"(?<![0-9A-Za-z_.])"
    r"(?:[2-6][0-9](?:[ -]?[0-9]){11,17}|[2-6][0-9]{3}([./_])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7})"
    r"(?![0-9A-Za-z_]|\.[0-9])"
)
_TRACK: Final = re.compile(r"(?:%B|;)[0-9]{13,19}[\^=]")
_NAMES: Final = frozenset(
    {"cvc", "cvc2", "cvv", "cvv2", "cid", "csc", "cardcode", "securitycode", "cardverificationcode"}
    | {"cardcvc", "cardcvv", "cvccode", "cvvcode", "cardsecuritycode", "verificationvalue"}
    | {"pan", "cardnumber", "cardno", "ccnumber", "creditcardnumber", "debitcardnumber"}
    | {"track", "track1", "track2", "trackdata", "magstripe"}
)
_LOOKS_LIKE: Final = {"Zs": " ", "Cf": " ", "Pd": "-"}
"""What spaces, invisible characters and dashes pass for, by their category in Unicode."""

_MASK: Final = re.compile(r"[^a-z0-9]")


def find_card_data(value: Any, *, name: str = "") -> str | None:
    """Return the dotted name of the first value that looks like card data, or None.

    What counts is a card number anywhere in a text, by its length, its first digit and its check digit, and anything at
    all under a name such as `cvc` or `card_number`.
    """
    return next((path for path, inner in _walk(value, name) if _is_card_data(path, inner)), None)


def redact(value: Any) -> Any:
    """Return a copy of a JSON value with card data taken out."""
    if isinstance(value, Mapping):
        return {
            key: REDACTED if _is_card_data(str(key), inner) else redact(inner) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """Return a text with card numbers taken out."""
    parts, end = [], 0
    for match in _card_numbers(text):
        parts += [text[end : match.start()], REDACTED]
        end = match.end()
    return _TRACK.sub(REDACTED, "".join([*parts, text[end:]]))


def has_card_number(text: str) -> bool:
    """Return whether a text has a card number in it."""
    return bool(_TRACK.search(text)) or any(True for _match in _card_numbers(text))


def _card_numbers(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _NUMBER.finditer(_in_ascii(text)) if _has_check_digit(match[0]))


def _in_ascii(text: str) -> str:
    """Return a text of the same length, with every digit, space and dash of whatever script as ASCII has it."""
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(character: str) -> str:
    if character.isascii():
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return _LOOKS_LIKE.get(unicodedata.category(character), character)


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(key, path)
            yield from _walk(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for inner in value:
            yield from _walk(inner, path)
    else:
        yield path, value


def _is_card_data(path: str, value: Any) -> bool:
    name = _MASK.sub("", unicodedata.normalize("NFKC", path).rpartition(".")[2].lower())
    is_given = value not in (None, "", False) and not isinstance(value, Mapping | list)
    if is_given and name in _NAMES:
        return True
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return isinstance(value, str | int) and not isinstance(value, bool) and has_card_number(str(value))


def _has_check_digit(number: str) -> bool:
    """Return whether the last digit is the check digit of the others (Luhn, ISO/IEC 7812-1 annex B)."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
