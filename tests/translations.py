"""Reads what is translatable out of the code, and compiles the catalogs: `python -m tests.translations`.

Neither needs GNU gettext. `manage.py makemessages` does, to bring new texts into the .po files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polib
from django.utils.translation.template import templatize

from tests.packaging.repository import ROOT

PACKAGE: Final = ROOT / "payments"
SHOP: Final = ROOT / "example_project" / "shop"
LANGUAGES: Final = ("ar", "de")

Message = tuple[str, str]
"""A text and its plural, or the text and nothing."""

_SINGULAR: Final = frozenset({"_", "gettext", "gettext_lazy", "gettext_noop"})
_PLURAL: Final = frozenset({"ngettext", "ngettext_lazy"})
_LITERAL: Final = r"""(u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
_IN_TEMPLATE: Final = re.compile(
    rf"\bngettext\(\s*{_LITERAL}\s*,\s*{_LITERAL}|(?:\bgettext|\b_)\(\s*{_LITERAL}", re.DOTALL
)


def catalog_path(language: str, app: Path = PACKAGE) -> Path:
    """Return where the texts of a language are."""
    return app / "locale" / language / "LC_MESSAGES" / "django.po"


def catalog(language: str, app: Path = PACKAGE) -> polib.POFile:
    """Return the texts of a language."""
    return polib.pofile(str(catalog_path(language, app)))


def compile_catalogs() -> None:
    """Write every .mo anew."""
    for app in (PACKAGE, SHOP):
        for language in LANGUAGES:
            catalog_path(language, app).with_suffix(".mo").write_bytes(catalog(language, app).to_binary())


def messages(app: Path = PACKAGE) -> set[Message]:
    """Return every translatable text of the package, or of the example project; the simulator is no part of either."""
    folder = SHOP.parent if app == SHOP else app
    found: set[Message] = set()
    for path in folder.rglob("*.py"):
        if PACKAGE / "simulator" not in path.parents:
            found.update(_in_code(path.read_text()))
    for path in folder.rglob("*.html"):
        found.update(_in_template(path.read_text()))
    return found


def _in_code(source: str) -> Iterator[Message]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if node.func.id in _SINGULAR and texts and isinstance(texts[0], str):
                yield texts[0], ""
            elif node.func.id in _PLURAL:
                singular, plural = texts[:2]
                yield str(singular), str(plural)


def _in_template(source: str) -> Iterator[Message]:
    for singular, plural, text in _IN_TEMPLATE.findall(templatize(source)):
        if text:
            yield ast.literal_eval(text), ""
        else:
            yield ast.literal_eval(singular), ast.literal_eval(plural)


if __name__ == "__main__":
    compile_catalogs()
