"""Finding card data where it must not be, and removing it.

Card numbers and codes never belong on a shop's server: a provider's own page or script takes them (PCI DSS 3.3.1: a
code must not be kept after authorization, not even encrypted).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from heapq import merge
from html import unescape
from http import HTTPStatus
from itertools import accumulate
from typing import Any, Final
from urllib.parse import unquote

from django.http import HttpResponse
from django.utils.log import log_response

REDACTED: Final = "[redacted]"

# Ids, hashes, dates and telephone numbers consist of digits too, and about one number in ten has a valid check digit by
# chance. So a text is searched for digits in the places and groups in which people and programs write card numbers.
# These patterns run on texts from strangers: possessive quantifiers (`++`) keep them from backtracking.

_GROUPS: Final = re.compile(
    # Digits within a longer run of letters and digits belong to an id, a hash or a token. Nor do decimals count.
    r"(?<![0-9A-Za-z_])(?<!\b[0-9]\.)(?<!\b[0-9]{2}\.)(?<!\b[0-9]{3}\.)"
    r"[0-9]++(?![0-9A-Za-z_])(?:[ -]{1,4}[0-9]++(?![0-9A-Za-z_]))*+"
)
"""Digits in groups of any length, separated by spaces and dashes."""

_PRINTED: Final = re.compile(
    r"(?<![0-9A-Za-z_])(?=((?:[0-9]{4}([^0-9A-Za-z])[0-9]{4}\2[0-9]{4}\2[0-9]{1,4}"
    r"|[0-9]{4}([^0-9A-Za-z])[0-9]{6}\3[0-9]{4,5})(?![0-9A-Za-z_]))((?:(?:\2|\3)[0-9]{3}(?![0-9A-Za-z_]))?))"
)
"""Digits in the groups that are printed on cards, with any separator that stays the same."""

_IN_WORDS: Final = re.compile(
    r"(?<![0-9A-Za-z_])(?:[A-Za-z_]{4,}+(?P<behind>[245][0-9]{15})|(?P<before>[245][0-9]{15})_?[A-Za-z]{3})"
    r"(?![0-9A-Za-z_])"
)
"""Sixteen digits right after a word, or right before a currency's code.

The word has at least four letters; the prefixes of ids are shorter.
"""

_OTHER_NUMBERS: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]"
    r"|\+[1-9](?:[ -]?[0-9]){6,14}(?![ -]{1,4}[0-9])"
    r"|(?P<iban>[A-Z]{2}[0-9]{2}(?: [0-9A-Z]{4}){2,7}(?: [0-9A-Z]{1,3})?)"
    r")(?![0-9A-Za-z])"
)
"""UUIDs, dates, telephone numbers (ITU-T E.164) and account numbers (ISO 13616), which may look like card numbers."""

_ISSUERS: Final = (
    (re.compile("4"), (19, 16, 13)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile("3[47]"), (15,)),
    (re.compile("30[0-5]|3095|3[689]"), (19, 16, 14)),
    (re.compile("50|5[6-8]|220[0-5]|352[89]|35[3-8]|6"), (19, 18, 17, 16)),
)
"""The first digits of each network's numbers (ISO/IEC 7812), and their possible lengths, longest first."""

_EXPIRY_AND_CODE: Final = re.compile(
    r"(?:[ ,;:|/.-]{1,3}(?:0[1-9]|1[0-2]) ?[/-] ?(?:20)?[0-9]{2}(?![0-9A-Za-z_]))?"
    r"(?:[ ,;:|/.-]{1,3}[0-9]{3,4}(?![0-9A-Za-z_]|[.,][0-9]))?"
)
"""The expiry date and code that people write after a card number."""

_TRACK: Final = re.compile(r"(?:%B|;)[0-9]{13,19}[\^=]")
_NAMES: Final = frozenset(
    {"cvc", "cvc2", "cvv", "cvv2", "cvn", "cvn2", "cid", "csc", "pin", "cardpin", "cardcode", "securitycode"}
    | {"cardcvc", "cardcvv", "cardcvn", "cardsecurity", "cardsecuritycode", "cardverificationcode"}
    | {"cvccode", "cvvcode", "cvncode", "verificationvalue"}
    | {"pan", "cardnumber", "cardno", "ccnumber", "creditcardnumber", "debitcardnumber"}
    | {"track", "track1", "track2", "trackdata", "magstripe"}
)
_DIGITS: Final = re.compile("[0-9]+")
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
"""The value of every second digit in Luhn's sum: its double, or the sum of the double's two digits."""

_SHORTEST: Final = 13
_NUMBERS: Final = range(10 ** (_SHORTEST - 1), 10**19)
"""The whole numbers that can be card numbers."""

_LONGEST_KEY: Final = 64
"""How many characters at the end of a key are compared with the names, including separators."""

_DASHES: Final = frozenset({"Pd"})
_BLANKS: Final = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Me"})
"""The Unicode categories that are read as a dash, and those that are read as a space."""

_SCALARS: Final = (str, int, float, bytes, type(None))
_MASK: Final = re.compile(r"[^a-z0-9]")

_ESCAPE: Final = re.compile(r"(?<!\\)\\++(?:u([0-9A-Fa-f]{4})|[bfnrt])")
"""A character as JSON escapes it; in JSON within JSON it has several backslashes."""

_REFERENCE: Final = re.compile(r"&#0*([0-9]{1,8})[0-9]*")
"""A numeric character reference of HTML, with any number of leading zeros; no character's number has eight digits."""


def find_card_data(value: Any) -> str | None:
    """Return the dotted name of the first value that looks like card data, or None.

    Card data is a card number anywhere in a text, recognized by its length, first digits and check digit, and any value
    under a name such as `cvc` or `card_number`.
    """
    place = _place_of_card_data(value)
    return None if place is None else ".".join(place)


def redact(value: Any, *, is_named: bool = False) -> Any:
    """Return a copy of a JSON value without card data; `is_named` means that a key above it is a name of card data."""
    if isinstance(value, Mapping):
        return {
            redact_text(key) if isinstance(key, str) else key: redact(
                inner, is_named=is_named or _is_name(key)
            )
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(inner, is_named=is_named) for inner in value]
    return REDACTED if _is_card_data(value, is_named=is_named) else value


def redact_text(text: str) -> str:
    """Return a text without card numbers, and without an expiry date and code that follow one.

    If a card number is hidden by percent-encoding, HTML or JSON escapes, the whole text is replaced.
    """
    parts, end, plain = [], 0, _in_ascii(text)
    for first, last in _card_numbers(plain):
        # Numbers may overlap; what was removed already isn't appended again.
        if first >= end:
            parts += [text[end:first], REDACTED]
        tail = _EXPIRY_AND_CODE.match(plain, last)
        end = max(end, last if tail is None else tail.end())
    redacted = _TRACK.sub(REDACTED, "".join([*parts, text[end:]]))
    return REDACTED if any(map(_has_plain_number, _decoded(redacted))) else redacted


def has_card_number(text: str) -> bool:
    """Return whether a text contains a card number, possibly encoded for a URL, HTML or JSON, once or twice."""
    if len(text) < _SHORTEST:
        return False
    return _has_plain_number(text) or any(map(_has_plain_number, _decoded(text)))


def _decoded(text: str) -> Iterator[str]:
    """Yield a text decoded once and twice, as far as that changes it."""
    # Every further decoding costs another whole search, so a text that is encoded more often isn't decoded to the end.
    for _time in range(2):
        before, text = text, _decoded_once(text)
        if text == before:
            return
        yield text


def _decoded_once(text: str) -> str:
    """Return a text with its percent-encoding, HTML references and JSON escapes decoded."""
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        text = unescape(_REFERENCE.sub(r"&#\1", text))
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else " "


def _has_plain_number(text: str) -> bool:
    return bool(_TRACK.search(text)) or any(True for _span in _card_numbers(_in_ascii(text)))


def _card_numbers(plain: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each card number, in order of the starts; they may overlap."""
    plain = _OTHER_NUMBERS.sub(_without_digits, plain)
    return merge(_in_groups(plain), _as_printed(plain), _in_words(plain))


def _in_groups(plain: str) -> Iterator[tuple[int, int]]:
    """Yield the card numbers that consist of whole groups of digits, whatever groups stand before and after them."""
    for run in _GROUPS.finditer(plain):
        if run.end() - run.start() < _SHORTEST:
            continue
        groups = [(group.start(), group.end()) for group in _DIGITS.finditer(plain, *run.span())]
        digits = "".join(plain[first:last] for first, last in groups)
        if len(digits) < _SHORTEST:
            continue
        sums = _running_sums(digits)
        counts = list(accumulate((last - first for first, last in groups), initial=0))
        ends = dict(zip(counts[1:], (last for _first, last in groups), strict=True))
        for (first, _last), count in zip(groups, counts, strict=False):
            for length in _lengths(digits[count : count + 4]):
                end = count + length
                # The difference of two running sums is Luhn's sum of the digits between them.
                if end in ends and (sums[end % 2][end] - sums[end % 2][count]) % 10 == 0:
                    yield first, ends[end]
                    break


def _running_sums(digits: str) -> tuple[list[int], list[int]]:
    """Return Luhn's running sums of digits, for numbers that end at even places, and for those that end at odd ones."""
    # Luhn doubles every second digit counted from the end of a number, so which ones depends on where it ends. With the
    # two lists, every candidate takes one subtraction, and a long run of digits takes linear time.
    figures = digits.encode()
    plain, doubled = figures.translate(_PLAIN), figures.translate(_DOUBLED)
    for_even, for_odd = bytearray(plain), bytearray(plain)
    for_even[0::2], for_odd[1::2] = doubled[0::2], doubled[1::2]
    return list(accumulate(for_even, initial=0)), list(accumulate(for_odd, initial=0))


def _as_printed(plain: str) -> Iterator[tuple[int, int]]:
    for match in _PRINTED.finditer(plain):
        for last in (match.end(4), match.end(1)):
            digits = "".join(_DIGITS.findall(plain, match.start(), last))
            if len(digits) in _lengths(digits[:4]) and _has_check_digit(digits):
                yield match.start(), last
                break


def _in_words(plain: str) -> Iterator[tuple[int, int]]:
    for match in _IN_WORDS.finditer(plain):
        group = match.lastgroup or 0
        if len(match[group]) in _lengths(match[group][:4]) and _has_check_digit(match[group]):
            yield match.span(group)


@cache
def _lengths(prefix: str) -> tuple[int, ...]:
    """Return the possible lengths of a card number that begins with these four digits, longest first."""
    return next((lengths for issuer, lengths in _ISSUERS if issuer.match(prefix)), ())


def _without_digits(match: re.Match[str]) -> str:
    """Return as many letters in place of another number; an account number with wrong check digits stays."""
    is_other = match["iban"] is None or _is_iban(match["iban"].replace(" ", ""))
    return "x" * len(match[0]) if is_other else match[0]


def _is_iban(text: str) -> bool:
    """Return whether an account number has valid check digits (ISO 13616, ISO/IEC 7064 MOD 97-10)."""
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def _in_ascii(text: str) -> str:
    """Return a text of the same length, with the digits, spaces and dashes of all scripts replaced by ASCII's.

    The length must stay, since the places found in the result are used to cut the original.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_plain, text))


def _plain(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(character)
    return " " if category in _BLANKS else "-" if category in _DASHES else character


def _place_of_card_data(value: Any, *, is_named: bool = False) -> list[str] | None:
    """Return the keys that lead to the first card data; `is_named` means that a key before is a name of card data."""
    if isinstance(value, _SCALARS):
        return [] if _is_card_data(value, is_named=is_named) else None
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if _is_card_data(key, is_named=is_named):
                return []
            place = _place_of_card_data(inner, is_named=is_named or _is_name(key))
            if place is not None:
                return [str(key), *place]
        return None
    for inner in value if isinstance(value, Sequence) else ():
        place = _place_of_card_data(inner, is_named=is_named)
        if place is not None:
            return place
    return None


def _is_name(key: Any) -> bool:
    """Return whether a key is a name of card data, whatever its case and separators.

    Only the end of a long key is compared, since normalization may turn one character into eighteen.
    """
    end = unicodedata.normalize("NFKC", str(key)[-_LONGEST_KEY:]).rpartition(".")[2]
    return _MASK.sub("", end.lower()) in _NAMES


def _is_card_data(value: Any, *, is_named: bool) -> bool:
    """Return whether a scalar is card data: any value under a name of card data, or one with a card number in it."""
    if is_named and value not in (None, "", False):
        return True
    if isinstance(value, str):
        return has_card_number(value)
    if isinstance(value, int | float):
        is_whole = isinstance(value, int) or value.is_integer()
        return is_whole and abs(int(value)) in _NUMBERS and has_card_number(str(abs(int(value))))
    # For instance a lazy text or a decimal, which are text in JSON.
    return value is not None and has_card_number(str(value))


def _has_check_digit(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (Luhn, ISO/IEC 7812-1 annex B)."""
    figures = digits.encode()
    return (sum(figures[-1::-2].translate(_PLAIN)) + sum(figures[-2::-2].translate(_DOUBLED))) % 10 == 0


def log_answer(request: Any, response: HttpResponse) -> None:
    """Keep a path with a card number out of Django's request log, and log a 503 as a warning instead of an error."""
    if has_card_number(request.path):
        setattr(response, "_has_been_logged", True)  # noqa: B010 - what log_response looks at
    elif response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        log_response(
            "Service Unavailable: %s", request.path, response=response, request=request, level="warning"
        )
