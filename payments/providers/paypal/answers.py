"""Turning what was raised into what is answered, the same for every verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from payments.providers.paypal.errors import RefusedError
from payments.providers.results import ProviderResult
from payments.states import Outcome

ResultT = TypeVar("ResultT", bound=ProviderResult)


def answered(result_class: type[ResultT], ask: Callable[[], ResultT]) -> ResultT:
    """Return an answer, or the refusal with all that operators may read of it."""
    try:
        return ask()
    except RefusedError as error:
        return result_class(outcome=Outcome.DECLINED, failure=error.failure)
