"""Words that are kept in a row as the source has them, and translated later for each reader.

What a third party says in its own words isn't in a catalog, so everybody reads that as it came.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext, override

from payments.exceptions import PaymentError


def kept_words(words: str | Promise | PaymentError) -> str:
    """Return a text, or an error's message, as the source has it."""
    with override(None):
        return str(words)


def told_words(words: str) -> str:
    """Return a text that was kept, in the active language."""
    message = gettext(words) if words else ""
    # Where there is no translation, gettext has still made all ends of lines alike.
    return words if message == words.replace("\r\n", "\n").replace("\r", "\n") else message
