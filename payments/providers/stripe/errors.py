"""Sorting what goes wrong by how certain it is.

A refusal by a card's bank is final. A refused request, “too many requests”, a refused key and a connection that was
never made mean that nothing was done, unless the library has repeated a request whose first answer was lost: then only
a success or a bank's refusal is believed, both of which Stripe keeps under the idempotency key. All else is raised as
it is, which the handler takes for an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import stripe

from payments.exceptions import ProviderUnavailableError
from payments.providers import refusals
from payments.providers.connections import never_left
from payments.providers.facts import Failure
from payments.providers.stripe.declines import card_failure, request_failure

_IN_PROGRESS: Final = "idempotency_key_in_use"
_MISSING: Final = "resource_missing"


class StripeAnswerError(Exception):
    """Say that an answer is of no use, so that the outcome is unknown."""


class RefusedError(refusals.RefusedError):
    """Carry a definite refusal; `is_by_card` tells that the payer's bank has refused.

    `param` is Stripe's name for the parameter that is to blame, if it names one.
    """

    def __init__(
        self,
        failure: Failure,
        *,
        is_missing: bool = False,
        is_by_card: bool = False,
        param: str | None = None,
    ) -> None:
        super().__init__(failure, is_missing=is_missing)
        self.is_by_card = is_by_card
        self.param = param


def sorted_error(error: stripe.StripeError, *, is_uncertain: bool) -> Exception:
    """Return what an error amounts to.

    `is_uncertain` tells that an earlier attempt of the same call may have been acted on.
    """
    if isinstance(error, stripe.CardError):
        failure = card_failure(_body(error), request_id=error.request_id)
        return RefusedError(failure, is_by_card=True)
    if is_uncertain:
        return error
    if isinstance(error, stripe.InvalidRequestError) and error.code != _IN_PROGRESS:
        failure = request_failure(_body(error), request_id=error.request_id)
        return RefusedError(failure, is_missing=error.code == _MISSING, param=error.param)
    return _not_done(error) or error


def _not_done(error: stripe.StripeError) -> ProviderUnavailableError | None:
    """Return what an error amounts to after which nothing was done, and trying again is safe."""
    if isinstance(error, stripe.RateLimitError):
        return ProviderUnavailableError("Stripe has too much to do right now.", code="rate_limited")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderUnavailableError("Stripe refuses the API key.", code="api_key_refused")
    if isinstance(error, stripe.APIConnectionError) and never_left(error):
        return ProviderUnavailableError("Stripe can't be reached.")
    return None


def _body(error: stripe.StripeError) -> Mapping[str, Any]:
    """Return the error object as Stripe sent it."""
    body = error.json_body
    problem = body.get("error") if isinstance(body, dict) else None
    return problem if isinstance(problem, dict) else {}
