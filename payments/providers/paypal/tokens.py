"""Access tokens: fetched with the client id and secret, and kept in this process until shortly before they expire.

PayPal's tokens live for hours and it asks that they be used again (https://developer.paypal.com/api/rest/authentication/,
November 2026).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from payments.providers.paypal.options import PayPalOptions

MARGIN: Final = 60.0
"""How long before it expires a token isn't used any more, in seconds."""

_Owner = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Token:
    """Hold an access token; `lasts` is in seconds from now."""

    value: str = field(repr=False)
    lasts: float
    fetched_at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether it may still be used."""
        return time.monotonic() < self.fetched_at + self.lasts - MARGIN


_tokens: dict[_Owner, Token] = {}
_lock = threading.Lock()


def token_for(options: PayPalOptions, fetch: Callable[[], Token]) -> Token:
    """Return the token that is kept, or a new one. Two threads may fetch one each, which does no harm."""
    kept = _tokens.get(_owner(options))
    if kept is not None and kept.is_fresh:
        return kept
    fresh = fetch()
    remember(options, fresh)
    return fresh


def remember(options: PayPalOptions, token: Token) -> None:
    """Keep a token for the calls to come."""
    with _lock:
        _tokens[_owner(options)] = token


def forget(options: PayPalOptions, token: Token) -> None:
    """Let go of a token that was refused, unless another thread has replaced it already."""
    with _lock:
        if _tokens.get(_owner(options)) == token:
            del _tokens[_owner(options)]


def _owner(options: PayPalOptions) -> _Owner:
    return options.url, options.client_id, options.client_secret
