"""German and Arabic are complete, current and well formed."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polib
import pytest
from django.utils.translation import gettext, ngettext, override

from tests.translations import LANGUAGES, PACKAGE, SHOP, Message, catalog, catalog_path, messages

pytestmark = pytest.mark.database_independent

PLACES = re.compile(r"%\(\w+\)s|%%")

each_language = pytest.mark.parametrize("language", LANGUAGES)
each_app = pytest.mark.parametrize("app", [PACKAGE, SHOP], ids=["payments", "shop"])


@pytest.fixture(scope="module")
def in_code() -> Callable[[Path], set[Message]]:
    return cache(messages)


@each_app
@each_language
def test_every_text_is_translated_and_none_is_left_over(
    language: str, app: Path, in_code: Callable[[Path], set[Message]]
) -> None:
    entries = {(entry.msgid, entry.msgid_plural or "") for entry in catalog(language, app)}
    assert in_code(app) - entries == set(), "run makemessages, and translate"
    assert entries - in_code(app) == set(), "run makemessages --no-obsolete"
    assert [entry.msgid for entry in catalog(language, app) if not entry.translated()] == []


@each_app
@each_language
def test_nothing_is_fuzzy_or_obsolete(language: str, app: Path) -> None:
    texts = catalog(language, app)
    assert texts.fuzzy_entries() == []
    assert texts.obsolete_entries() == []


@each_app
@each_language
def test_compiled_catalog_is_current(language: str, app: Path) -> None:
    compiled = catalog_path(language, app).with_suffix(".mo").read_bytes()
    assert compiled == catalog(language, app).to_binary(), "run python -m tests.translations"


@each_app
@each_language
def test_translations_have_the_same_places_to_fill_in(language: str, app: Path) -> None:
    wrong = [
        entry.msgid
        for entry in catalog(language, app)
        for text in (entry.msgstr_plural or {0: entry.msgstr}).values()
        if not _fits(entry, text)
    ]
    assert wrong == []


@pytest.mark.parametrize(("language", "count"), [("de", 2), ("ar", 6)])
def test_plurals_have_every_form(language: str, count: int) -> None:
    forms = {len(entry.msgstr_plural) for entry in catalog(language) if entry.msgid_plural}
    assert forms == {count}


def test_texts_are_found_by_django() -> None:
    with override("de"):
        assert gettext("payment collection") == "Zahlungsvorgang"
        text = ngettext("%(count)s operation needs attention", "%(count)s operations need attention", 2)
        assert text % {"count": 2} == "2 Operationen müssen geklärt werden"
    with override("ar"):
        assert gettext("payment collection") == "مجموعة دفع"
        two = ngettext("%(count)s operation needs attention", "%(count)s operations need attention", 2)
        assert two == "عمليتان تحتاجان إلى انتباه"


def _fits(entry: polib.POEntry, text: str) -> bool:
    places, named = sorted(PLACES.findall(entry.msgid)), _fields(entry.msgid)
    if entry.msgid_plural:  # "two rows" needs no number
        return set(PLACES.findall(text)) <= set(places)
    return sorted(PLACES.findall(text)) == places and _fields(text) == named


def _fields(text: str) -> list[str]:
    try:
        return sorted(
            str(name)
            for _text, name, _spec, _conversion in string.Formatter().parse(text)
            if name is not None
        )
    except ValueError:  # a brace that is none of str.format's, such as in an example
        return []
