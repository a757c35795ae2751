"""Errors as HTTP answers: one shape, one handler, one table.

    {"type", "code", "message", "errors": [{"field", "code", "message"}]}

`type` is one of a dozen words to branch on, `code` is stable and exact, `message` is for people. `errors` names the
fields that are to blame, dotted where they are nested, 200 at most; it is empty where no single field is.

| what happened                                               | status | type                 | Retry-After |
|-------------------------------------------------------------|--------|----------------------|-------------|
| AmountError, CurrencyError, InputError, ValidationError     | 400    | invalid_request      |             |
| bad JSON; an unknown key of the body, an unknown parameter  | 400    | invalid_request      |             |
| NotFoundError for a value of the body (provider_id, ...)    | 400    | invalid_request      |             |
| NotSupportedError: the provider can't do that               | 400    | invalid_request      |             |
| nobody is logged in                                         | 401    | authentication_error |             |
| DeclinedError: the provider refused, for good               | 402    | provider_error       |             |
| not permitted, or no CSRF token                             | 403    | permission_error     |             |
| the resource in the URL isn't there, or isn't yours         | 404    | not_found            |             |
| no such method; not JSON asked for or sent; too large       | 4xx    | invalid_request      |             |
| a body of unknown length                                    | 411    | invalid_request      |             |
| TransitionError: the state graph forbids it                 | 409    | conflict             |             |
| OperationInProgressError: the target is being worked on     | 409    | conflict             | as it takes |
| IdempotencyError: the key was used for another request      | 422    | idempotency_error    |             |
| card data anywhere in the request                           | 422    | invalid_request      |             |
| LimitError: tried too often on one collection               | 429    | throttled            | as it takes |
| more requests from one client than it may make              | 429    | throttled            | as it takes |
| OpenTransactionError: the server calls us in a transaction  | 500    | server_error         |             |
| the PAYABLE_RESOLVER says what can't be paid                | 500    | server_error         |             |
| no PAYABLE_RESOLVER is configured                           | 501    | server_error         |             |
| ProviderUnavailableError: nothing was sent                  | 503    | provider_error       | 5           |
| OutcomeUnknownError, where no row tells of it (a sync)      | 503    | provider_error       | 5           |
| the database is locked or away                              | 503    | unavailable          | 1           |

400 and not 422 for values: 422 is kept for a body that is understood but must not be (an idempotency key used again
with another body, a card number). 402 for a refusal of the provider, as Stripe does (https://docs.stripe.com/api/errors):
the request was in order, so 400 would blame the caller; and 409 says “look again, then decide”, which a client may
automate, while a decline stays one. Where an outcome is unknown and a row tells of it, a view answers 202 with the row:
that is no error. A declined authorization isn't one either: it is a session in `error`.

An exception that isn't in the table is not handled here: Django answers 500 and tells the operators.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, TypedDict

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.response import Response

from payments.exceptions import (
    DeclinedError,
    IdempotencyError,
    LimitError,
    NotFoundError,
    OpenTransactionError,
    OperationInProgressError,
    OutcomeUnknownError,
    PaymentError,
    ProviderError,
    ProviderUnavailableError,
    TransitionError,
)

logger = logging.getLogger("payments.api")

MAX_FIELD_ERRORS: Final = 200
"""How many fields an answer blames: who sends thousands of wrong ones has not mistyped."""

RETRY_SOON: Final = 2
RETRY_PROVIDER: Final = 5
RETRY_DATABASE: Final = 1


class FieldError(TypedDict):
    """One field that is to blame."""

    field: str | None
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How one kind of error is answered; `field` is blamed where the error itself names none."""

    status: int
    type: str
    retry_after: int | None = None
    field: str | None = None


INVALID: Final = Rule(status=400, type="invalid_request")
NOT_FOUND: Final = Rule(status=404, type="not_found")
UNAVAILABLE: Final = Rule(status=503, type="unavailable", retry_after=RETRY_DATABASE)

PAYMENT_RULES: Final[tuple[tuple[type[PaymentError], Rule], ...]] = (
    (TransitionError, Rule(status=409, type="conflict")),
    (IdempotencyError, Rule(status=422, type="idempotency_error", field="Idempotency-Key")),
    (OperationInProgressError, Rule(status=409, type="conflict")),
    (LimitError, Rule(status=429, type="throttled")),
    (OpenTransactionError, Rule(status=500, type="server_error")),
    (DeclinedError, Rule(status=402, type="provider_error")),
    (ProviderUnavailableError, Rule(status=503, type="provider_error", retry_after=RETRY_PROVIDER)),
    (OutcomeUnknownError, Rule(status=503, type="provider_error", retry_after=RETRY_PROVIDER)),
    (ProviderError, Rule(status=503, type="provider_error", retry_after=RETRY_PROVIDER)),
    (PaymentError, INVALID),
)
"""The first class that an error belongs to decides."""

TYPES: Final = {
    status.HTTP_401_UNAUTHORIZED: "authentication_error",
    status.HTTP_403_FORBIDDEN: "permission_error",
    status.HTTP_404_NOT_FOUND: "not_found",
    status.HTTP_409_CONFLICT: "conflict",
    status.HTTP_429_TOO_MANY_REQUESTS: "throttled",
}

ERROR_TYPES: Final = frozenset(
    {*TYPES.values(), UNAVAILABLE.type, *(rule.type for _kind, rule in PAYMENT_RULES)}
)
ERROR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Every error has this shape. `type` is a word to branch on, `code` is stable and exact, `message` "
    "is for people, in their language. `errors` names the fields that are to blame.",
    "properties": {
        "type": {"type": "string"},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": ["string", "null"], "description": "Dotted where it is nested."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
                "required": ["field", "code", "message"],
            },
        },
    },
    "required": ["type", "code", "message", "errors"],
}
"""The shape, in JSON Schema (2020-12)."""


class NotConfigured(APIException):
    """An answer for what the shop has not set up."""

    status_code = status.HTTP_501_NOT_IMPLEMENTED
    default_code = "not_configured"


class PayableMisconfigured(APIException):
    """An answer for a resolver that returned what can't be paid: nothing that the payer sent is to blame."""

    default_code = "payable_misconfigured"


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an error, or None for one that is not in the table."""
    if isinstance(error, PaymentError):
        return _answer_payment_error(error, context)
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database did not do what a request needed.", exc_info=error)
        return _answer(
            UNAVAILABLE, "database_unavailable", _("The server is busy; try again in a moment."), []
        )
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    return _answer_api_error(error) if isinstance(error, APIException) else None


def _answer_payment_error(error: PaymentError, context: dict[str, Any]) -> Response:
    rule = next(rule for kind, rule in PAYMENT_RULES if isinstance(error, kind))
    if isinstance(error, NotFoundError) and not _is_in_body(error.field, context):
        rule = NOT_FOUND
    if isinstance(error, OpenTransactionError):
        logger.error("A payment view ran inside a transaction.", exc_info=error)
    if isinstance(error, LimitError | OperationInProgressError):
        rule = replace(rule, retry_after=error.retry_after)
    field = error.field or rule.field
    named = [FieldError(field=field, code=error.code, message=error.message)] if field else []
    return _answer(rule, error.code, error.message, named)


def _is_in_body(field: str | None, context: dict[str, Any]) -> bool:
    body = context["request"].data
    return field is not None and isinstance(body, dict) and field in body


def _answer_api_error(error: APIException) -> Response:
    is_server_error = error.status_code >= status.HTTP_500_INTERNAL_SERVER_ERROR
    kind = TYPES.get(error.status_code, "server_error" if is_server_error else "invalid_request")
    rule = Rule(status=error.status_code, type=kind)
    is_about_fields = isinstance(error, exceptions.ValidationError)
    named = list(islice(_field_errors(error.detail), MAX_FIELD_ERRORS)) if is_about_fields else []
    if len(named) > 1:
        answer = _answer(rule, "invalid_input", _("Several values are not as they should be."), named)
    elif named:
        answer = _answer(rule, named[0]["code"], named[0]["message"], named)
    else:
        answer = _answer(rule, str(error.get_codes()), str(error.detail), [])
    _add_headers(answer, error)
    return answer


def _add_headers(answer: Response, error: APIException) -> None:
    challenge = getattr(error, "auth_header", None)
    if challenge:
        answer["WWW-Authenticate"] = challenge
    wait = getattr(error, "wait", None)
    if wait:
        answer["Retry-After"] = str(int(wait))


def _field_errors(detail: Any, field: str | None = None) -> Iterator[FieldError]:
    """Walk through DRF's nested details, one error after the other."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _field_errors(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(detail, list | tuple):
        for inner in detail:
            yield from _field_errors(inner, field)
    else:
        code = detail.code if isinstance(detail, ErrorDetail) else "invalid"
        yield FieldError(field=field, code=str(code), message=str(detail))


def _answer(rule: Rule, code: str, message: str, errors: list[FieldError]) -> Response:
    body = {"type": rule.type, "code": code, "message": message, "errors": errors}
    answer = Response(body, status=rule.status)
    if rule.retry_after is not None:
        answer["Retry-After"] = str(rule.retry_after)
    return answer
