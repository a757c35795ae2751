"""What Django logs about our answers: no card number, and no error for a 503, since errors are mailed to the admins."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.utils.log import log_response

from payments.redaction import has_card_number


def log_answer(request: Any, response: HttpResponse) -> None:
    """Keep a path with a card number out of Django's request log, and log a 503 as a warning instead of an error."""
    if has_card_number(request.path):
        setattr(response, "_has_been_logged", True)  # noqa: B010 - what log_response looks at
    elif response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        log_response(
            "Service Unavailable: %s", request.path, response=response, request=request, level="warning"
        )
