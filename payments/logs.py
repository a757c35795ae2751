"""What Django logs of our answers: no card number, and no error for a 503, which would mail the admins."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.utils.log import log_response

from payments.redaction import has_card_number


def log_answer(request: Any, response: HttpResponse) -> None:
    """Keep an address with a card number out of Django's log of requests, and log a 503 as a warning."""
    if has_card_number(request.path):
        setattr(response, "_has_been_logged", True)  # noqa: B010 - what log_response looks at
    elif response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        log_response(
            "Service Unavailable: %s", request.path, response=response, request=request, level="warning"
        )
