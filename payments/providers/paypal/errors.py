"""PayPal's refusals: how certain each one is, and in which words a shop and a payer read it.

Whatever isn't sorted here (a timeout, 409, 5xx, an answer that isn't PayPal's) counts as an unknown outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from payments.exceptions import ProviderUnavailableError
from payments.providers import errors
from payments.providers.facts import Failure

Json = dict[str, Any]

MAX_CODE: Final = 64

_REFUSALS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
_UNCERTAIN: Final = frozenset({"DUPLICATE_REQUEST_ID", "PREVIOUS_REQUEST_IN_PROGRESS"})
"""Issues which say that an earlier request, perhaps the same one, isn't done with."""
_REFUSED: Final = _("The payment provider refused this.")

# Sources, read in November 2026: https://developer.paypal.com/api/rest/reference/orders/v2/errors/ and
# https://developer.paypal.com/api/payments/v2/errors/. A failure's code is PayPal's issue in lower case.
_MESSAGES: Final[Mapping[Promise, str]] = {
    _("PayPal could not use what you chose to pay with. Choose another way to pay there."): """
        INSTRUMENT_DECLINED CARD_EXPIRED CARD_CLOSED REDIRECT_PAYER_FOR_ALTERNATE_FUNDING PAYER_CANNOT_PAY
    """,
    _("Your payment was declined. Use another payment method, or ask your bank."): """
        AUTHORIZATION_DENIED CAPTURE_DECLINED COMPLIANCE_VIOLATION PAYER_ACCOUNT_LOCKED_OR_CLOSED
        PAYER_ACCOUNT_RESTRICTED TRANSACTION_BLOCKED_BY_PAYEE TRANSACTION_REFUSED
    """,
    _("This payment is over your limit. Use another payment method, or ask your bank."): """
        MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED TRANSACTION_LIMIT_EXCEEDED
    """,
    _("The payment has to be confirmed at PayPal first."): "ORDER_NOT_APPROVED PAYER_ACTION_REQUIRED",
    _("The payment is no longer open at PayPal. Start again."): """
        INVALID_RESOURCE_ID ORDER_CANCELED ORDER_COMPLETED_OR_VOIDED ORDER_EXPIRED
    """,
    _("The authorization has expired."): "AUTHORIZATION_EXPIRED",
    _("The amount is more than is left, or not possible here."): """
        AMOUNT_CANNOT_BE_ZERO CANNOT_BE_NEGATIVE CANNOT_BE_ZERO_OR_NEGATIVE MAX_CAPTURE_AMOUNT_EXCEEDED
        REFUND_AMOUNT_EXCEEDED
    """,
    _("The amount is more than is possible here."): "MAX_VALUE_EXCEEDED",
    _("The money was captured already."): """
        AUTHORIZATION_ALREADY_CAPTURED MAX_CAPTURE_COUNT_EXCEEDED ORDER_ALREADY_CAPTURED PREVIOUSLY_CAPTURED
    """,
    _("The money was refunded already."): "CAPTURE_FULLY_REFUNDED MAX_NUMBER_OF_REFUNDS_EXCEEDED",
    _("The refund could not be paid out."): "REFUND_FAILED",
    _("Only a part of this was refunded."): "REFUNDED_IN_PART",
    _("The payment is disputed at the payer's bank, so it can't be refunded."): """
        CAPTURE_DISPUTED_PARTIAL_REFUND_NOT_ALLOWED REFUND_CAPTURE_DISPUTED
    """,
    _("The payment is in a state that doesn't allow this any more."): """
        AUTHORIZATION_VOIDED CANNOT_BE_VOIDED ORDER_ALREADY_AUTHORIZED ORDER_ALREADY_COMPLETED PENDING_CAPTURE
        PREVIOUSLY_VOIDED REFUND_NOT_ALLOWED REFUND_TIME_LIMIT_EXCEEDED
    """,
}

_WORDS: Final[Mapping[str, Promise]] = {
    issue: message for message, issues in _MESSAGES.items() for issue in issues.split()
}


def failure(issue: str, *, detail: str = "") -> Failure:
    """Return why something was refused, from an issue of PayPal's or from one that we found ourselves."""
    return Failure(code=issue.lower()[:MAX_CODE], message=_WORDS.get(issue, _REFUSED), detail=detail or issue)


def request_failure(answer: Mapping[str, Any], issue: str) -> Failure:
    """Return why PayPal refused a request; the detail has the `debug_id` that PayPal's support asks for."""
    details = answer.get("details")
    first = details[0] if isinstance(details, list) and details else {}
    said = first.get("description") if isinstance(first, dict) else None
    parts = {
        "issue": issue,
        "field": first.get("field") if isinstance(first, dict) else None,
        "debug_id": answer.get("debug_id"),
    }
    known = "; ".join(f"{name}: {value}" for name, value in parts.items() if value)
    return failure(issue, detail=f"{said or answer.get('message') or ''} ({known})".strip())


def status_failure(issue: str, reason: str | None) -> Failure:
    """Return why an authorization, a capture or a refund didn't come about, with PayPal's reason for operators."""
    return failure(issue, detail=f"{issue}: {reason}" if reason else issue)


class PayPalAnswerError(Exception):
    """An unusable answer, so that the outcome is unknown."""


class NotPermittedError(ProviderUnavailableError):
    """PayPal's word that this app may not do something; nothing was done."""


class RefusedError(errors.RefusedError):
    """A definite refusal; `issue` is PayPal's own word for it."""

    def __init__(self, failure: Failure, *, issue: str = "", is_missing: bool = False) -> None:
        super().__init__(failure, is_missing=is_missing)
        self.issue = issue


def sorted_answer(status: int, body: bytes) -> Json:
    """Return an answer's object, empty where there is none to be; raise what a refusal amounts to."""
    if status == HTTPStatus.NO_CONTENT:
        return {}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise ProviderUnavailableError("PayPal has too much to do right now.", code="rate_limited")
    if status == HTTPStatus.UNAUTHORIZED:
        raise ProviderUnavailableError("PayPal refuses the client id or secret.", code="api_key_refused")
    answer = _decoded(body)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    raise _problem(status, answer)


def _problem(status: int, answer: Json) -> Exception:
    """Return what an error amounts to; PayPal's own errors have a name, those of a proxy in between don't."""
    if not isinstance(answer.get("name"), str):
        return PayPalAnswerError(f"Something that isn't PayPal answered {status}.")
    if status == HTTPStatus.FORBIDDEN:
        return NotPermittedError("PayPal doesn't let this app do that.", code="api_key_refused")
    issue = issue_of(answer)
    if status not in _REFUSALS or issue in _UNCERTAIN:
        return PayPalAnswerError(f"PayPal answered {status} {issue}.")
    return RefusedError(
        request_failure(answer, issue), issue=issue, is_missing=status == HTTPStatus.NOT_FOUND
    )


def issue_of(answer: Mapping[str, Any]) -> str:
    """Return the first issue of an error, or the error's name where it has none."""
    details = answer.get("details")
    first = details[0] if isinstance(details, list) and details else {}
    issue = first.get("issue") if isinstance(first, dict) else None
    return str(issue or answer.get("name"))


def _decoded(body: bytes) -> Json:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PayPalAnswerError("PayPal's answer is not JSON.") from error
    if not isinstance(answer, dict):
        raise PayPalAnswerError("PayPal's answer is not an object.")
    return answer
