"""Which HTTP request is being served, and what it claims, so that its answer can tell what is still open.

The link from an operation to its request is written in the claim's own transaction. If the process dies before it
answers, the request sent again finds the operation, and doesn't make a second one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request_key: ContextVar[str | None] = ContextVar("payments_request_key", default=None)
_claims: ContextVar[list[str] | None] = ContextVar("payments_claims", default=None)


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


def note_claim(operation_id: str) -> None:
    """Tell who collects claims of one more, or of another's whose end is waited for instead of claiming one."""
    claims = _claims.get()
    if claims is not None:
        claims.append(operation_id)


@contextmanager
def collecting_claims() -> Iterator[list[str]]:
    """Yield a list that gets the id of every operation that is claimed in the block."""
    claims: list[str] = []
    token = _claims.set(claims)
    try:
        yield claims
    finally:
        _claims.reset(token)
