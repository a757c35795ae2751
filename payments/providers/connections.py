"""What the exceptions of HTTP libraries on top of urllib3 say about whether anything was sent.

Only providers that come with such a library import this room.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError


def never_left(error: BaseException) -> bool:
    """Return whether a connection couldn't even be made, so that nothing was sent."""
    return any(isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what has led to an error, through all that libraries wrap it in."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or cause in seen:
            continue
        seen.append(cause)
        yield cause
        waiting += [cause.__cause__, cause.__context__, *cause.args]
        if isinstance(cause, MaxRetryError):
            waiting.append(cause.reason)
