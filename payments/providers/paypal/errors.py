"""Sorting answers by how certain they are.

A refusal with one of PayPal's issues is final. “Too many requests”, a refused app and a connection that was never made
mean that nothing was done. All else (a timeout, 409, 5xx, an answer that isn't PayPal's) is raised as it is, which the
handler takes for an unknown outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from payments.exceptions import ProviderUnavailableError
from payments.providers import refusals
from payments.providers.facts import Failure
from payments.providers.paypal.issues import request_failure

Json = dict[str, Any]

_REFUSALS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
_UNCERTAIN: Final = frozenset({"DUPLICATE_REQUEST_ID", "PREVIOUS_REQUEST_IN_PROGRESS"})
"""Issues which say that an earlier request, perhaps the same one, isn't done with."""


class PayPalAnswerError(Exception):
    """Say that an answer is of no use, so that the outcome is unknown."""


class NotPermittedError(ProviderUnavailableError):
    """Say that PayPal doesn't let this app do something; nothing was done."""


class RefusedError(refusals.RefusedError):
    """Carry a definite refusal; `issue` is PayPal's own word for it."""

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
    """Return what an error of PayPal's amounts to, which has a name: a proxy's in between has none."""
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
        raise PayPalAnswerError("PayPal's answer is no JSON.") from error
    if not isinstance(answer, dict):
        raise PayPalAnswerError("PayPal's answer is no object.")
    return answer
