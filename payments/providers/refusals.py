"""Refusals that say more than what they are raised with, and how every verb answers with one.

For providers whose third party explains itself: an operator reads all of it, the payer only what is meant for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from payments.exceptions import DeclinedError
from payments.providers.facts import Failure
from payments.providers.results import ProviderResult
from payments.states import Outcome

ResultT = TypeVar("ResultT", bound=ProviderResult)


class RefusedError(DeclinedError):
    """Carry a definite refusal with all that operators may read of it.

    `is_missing` tells that what was asked about isn't there.
    """

    def __init__(self, failure: Failure, *, is_missing: bool = False) -> None:
        super().__init__(failure.message, code=failure.code)
        self.failure = failure
        self.is_missing = is_missing


def answered(result_class: type[ResultT], ask: Callable[[], ResultT]) -> ResultT:
    """Return an answer, or the refusal with all that operators may read of it."""
    try:
        return ask()
    except RefusedError as error:
        return result_class(outcome=Outcome.DECLINED, failure=error.failure)
