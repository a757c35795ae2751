"""Where a payer's browser may be sent after a provider's page: to the shop itself, or where its settings allow.

Anything else would make the shop's own address a trampoline to a stranger's.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from payments.conf import return_url_origins
from payments.exceptions import InputError

_PORTS: Final = {"http": 80, "https": 443}

# Browsers repair what parsers refuse: a backslash becomes a slash, a tab vanishes. None of that is in an honest URL.
_PLAIN: Final = re.compile(r"https?://[^\s\\\x00-\x20\x7f]+", re.IGNORECASE)


def check_return_url(url: str, request: HttpRequest) -> str:
    """Return a URL to which a payer may be sent back.

    It is absolute and has the origin (scheme, host and port) of the request, or one of
    `PAYMENTS["RETURN_URL_ORIGINS"]`. Raises InputError (`return_url_not_allowed`).
    """
    own = f"{request.scheme}://{request.get_host()}"
    allowed = {_origin(known) for known in (own, *return_url_origins())}
    origin = _origin(url) if _PLAIN.fullmatch(url) else None
    if origin is None or origin not in allowed:
        raise InputError(
            _(
                "A payer can't be sent there: give an absolute address of this site, or of one of the origins in "
                'PAYMENTS["RETURN_URL_ORIGINS"].'
            ),
            code="return_url_not_allowed",
            field="return_url",
        )
    return url


def _origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port, or None where there is no such thing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port
