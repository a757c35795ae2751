"""The view to which providers send their events.

It answers 200 for an event that is stored, known already or not ours; 400 if it can't be verified; 411 without a
length, since some servers then pass on an empty body; 413 if it is too large; and 503 if it can't be verified or stored
right now, so that the provider sends it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.db import Error as AnyDatabaseError
from django.db import connections, transaction
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from payments.exceptions import (
    NotFoundError,
    NotSupportedError,
    ProviderUnavailableError,
    WebhookVerificationError,
)
from payments.providers import WebhookRequest
from payments.redaction import log_answer
from payments.services.background.inbox import apply_at_once, receive_webhook

logger = logging.getLogger("payments.webhooks")

MAX_BODY: Final = 256 * 1024
"""The longest body that is read, in bytes; providers' events are much smaller."""

RETRY_AFTER: Final = 30

TOO_LARGE: Final = "webhook_too_large"
MALFORMED: Final = "webhook_malformed"


@csrf_exempt
@login_not_required  # a signature authenticates the sender, and providers don't follow redirects
@sensitive_post_parameters()
@sensitive_variables()
def receive(request: HttpRequest, provider_id: str) -> JsonResponse:
    """Verify, store, answer."""
    answer = _receive(request, provider_id) if request.method == "POST" else _not_allowed()
    log_answer(request, answer)
    return answer


def _receive(request: HttpRequest, provider_id: str) -> JsonResponse:
    try:
        sent = _read(request)
        if not sent.body and "Transfer-Encoding" in request.headers:
            return _error(411, "length_required", _("Say with Content-Length how long the body is."))
        receipt = receive_webhook(provider_id, sent)
    except (NotFoundError, NotSupportedError):
        return _error(404, "not_found", _("There is nothing here."))
    except WebhookVerificationError as error:
        logger.warning("A webhook for %s was refused: %s", provider_id, error.code)
        return _error(413 if error.code == TOO_LARGE else 400, error.code, error.message)
    except ProviderUnavailableError as error:
        logger.warning("A webhook for %s can't be proven right now: %s", provider_id, error.code)
        return _unavailable()
    except AnyDatabaseError:
        logger.exception("A webhook for %s could not be stored.", provider_id)
        return _unavailable()
    if receipt.is_new:
        apply_at_once(receipt.event)
    return JsonResponse({"received": True, "duplicate": not receipt.is_new})


def _read(request: HttpRequest) -> WebhookRequest:
    """Return the request's body and headers; raise WebhookVerificationError if the body is too long or cut off."""
    if _announced_length(request) > MAX_BODY:
        raise WebhookVerificationError(_("The event is too large."), code=TOO_LARGE)
    try:
        body = request.read(MAX_BODY + 1)
    except UnreadablePostError as error:
        raise WebhookVerificationError(_("The event is cut off."), code=MALFORMED) from error
    if len(body) > MAX_BODY:
        raise WebhookVerificationError(_("The event is too large."), code=TOO_LARGE)
    return WebhookRequest(body=body, headers={name.lower(): value for name, value in request.headers.items()})


def _announced_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # as in Django, which then reads no body either


def _error(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse(
        {"type": "webhook_error", "code": code, "message": message, "errors": []}, status=status
    )


def _not_allowed() -> JsonResponse:
    answer = _error(405, "method_not_allowed", _("Events are sent with POST."))
    answer["Allow"] = "POST"
    return answer


def _unavailable() -> JsonResponse:
    answer = _error(503, "unavailable", _("The event can't be stored right now; send it again."))
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer


def _non_atomic() -> Callable[..., HttpResponseBase]:
    view: Callable[..., HttpResponseBase] = receive
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


_view = _non_atomic()

urlpatterns = [
    path("<str:provider_id>/", _view, name="webhook"),
    path("<str:provider_id>", _view),  # some operators omit the slash, and a redirect would lose the event
]
