"""Refusals that say more than what they are raised with, and how every verb answers with one.

For providers whose third party explains itself: an operator reads all of it, the payer only what is meant for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from payments.exceptions import DeclinedError
from payments.providers.facts import Failure
from payments.providers.results import ProviderResult
from payments.states import Outcome

P = ParamSpec("P")
ResultT = TypeVar("ResultT", bound=ProviderResult)


class RefusedError(DeclinedError):
    """Carry a definite refusal with all that operators may read of it.

    `is_missing` tells that what was asked about isn't there.
    """

    def __init__(self, failure: Failure, *, is_missing: bool = False) -> None:
        super().__init__(failure.message, code=failure.code)
        self.failure = failure
        self.is_missing = is_missing


def answering(result_class: type[ResultT]) -> Callable[[Callable[P, ResultT]], Callable[P, ResultT]]:
    """Have a verb answer a refusal that it runs into with all that operators may read of it."""

    def decorated(verb: Callable[P, ResultT]) -> Callable[P, ResultT]:
        @functools.wraps(verb)
        def answered(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            try:
                return verb(*args, **kwargs)
            except RefusedError as error:
                return result_class(outcome=Outcome.DECLINED, failure=error.failure)

        return answered

    return decorated
