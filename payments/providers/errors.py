"""Refusals that say more than what they are raised with, and whether anything was sent before an error.

For providers on top of urllib3: nothing else imports this room.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from payments.exceptions import DeclinedError
from payments.providers.facts import Failure
from payments.providers.results import ProviderResult
from payments.states import Outcome

P = ParamSpec("P")
ResultT = TypeVar("ResultT", bound=ProviderResult)


class RefusedError(DeclinedError):
    """A definite refusal with all that operators may read of it; payers only read what is meant for them.

    `is_missing` tells that what was asked about isn't there.
    """

    def __init__(self, failure: Failure, *, is_missing: bool = False) -> None:
        super().__init__(failure.message, code=failure.code)
        self.failure = failure
        self.is_missing = is_missing


def answering(result_class: type[ResultT]) -> Callable[[Callable[P, ResultT]], Callable[P, ResultT]]:
    """Make a verb answer a RefusedError with a result that has its whole failure."""

    def decorated(verb: Callable[P, ResultT]) -> Callable[P, ResultT]:
        @functools.wraps(verb)
        def answered(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            try:
                return verb(*args, **kwargs)
            except RefusedError as error:
                return result_class(outcome=Outcome.DECLINED, failure=error.failure)

        return answered

    return decorated


def never_left(error: BaseException) -> bool:
    """Return whether a connection couldn't even be made, so that nothing was sent."""
    return any(isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what has led to an error, whatever libraries wrap it in."""
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
