"""Messages that are stored untranslated in a row, and translated later for each reader.

A third party's own messages aren't in a catalog, so every reader gets them unchanged.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext, override

from payments.exceptions import PaymentError


def kept_words(words: str | Promise | PaymentError) -> str:
    """Return a text, or an error's message, untranslated."""
    with override(None):
        return str(words)


def told_words(words: str) -> str:
    """Return a stored text in the active language."""
    message = gettext(words) if words else ""
    # Without a translation, gettext still normalizes line endings; then the original is returned.
    return words if message == words.replace("\r\n", "\n").replace("\r", "\n") else message
