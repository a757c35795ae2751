"""Which HTTP request is being served, so that the operations it claims can be found when it is sent again.

The link is written in the claim's own transaction. If the process dies before it answers, the request sent again finds
the operation, and doesn't make a second one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request_key: ContextVar[str | None] = ContextVar("payments_request_key", default=None)


def current_request_key() -> str | None:
    """Return the key of the request being served, or None."""
    return _request_key.get()


@contextmanager
def serving(request_key: str) -> Iterator[None]:
    """Have every operation that is claimed in the block linked to a request."""
    token = _request_key.set(request_key)
    try:
        yield
    finally:
        _request_key.reset(token)
