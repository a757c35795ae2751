"""Words that are kept in a row, and read later by people of many languages.

They are kept as the source has them, whoever was there, and translated for each reader. What a third party says in its
own words is in no catalog, so everybody reads that as it came.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext, override

from payments.exceptions import PaymentError


def kept_words(words: str | Promise | PaymentError) -> str:
    """Return a text, or an error's message, in no language but its own."""
    with override(None):
        return str(words)


def told_words(words: str) -> str:
    """Return a text that was kept in the language of whoever reads it."""
    told = gettext(words) if words else ""
    # Where there is no translation, gettext has still made all ends of lines alike.
    return words if told == words.replace("\r\n", "\n").replace("\r", "\n") else told
