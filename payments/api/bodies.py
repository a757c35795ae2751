"""Bodies that nobody would read are refused, rather than taken for none: without an amount, a capture takes all.

DRF takes a body for empty where its length isn't announced, and where a middleware has read a form before it.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.request import Request

from payments.api.isolation import ContentNegotiation

READ: Final = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose bodies are read."""


class LengthRequired(APIException):
    """Refuse a body that is sent in pieces, of which nobody knows how many will come."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = _("Say with Content-Length how long the body is.")


def refuse_unread_body(request: Request) -> None:
    """Raise LengthRequired for a body of unknown length, and UnsupportedMediaType for one that isn't JSON."""
    if request.method not in READ:
        return
    if not _has_announced_body(request):
        if "Transfer-Encoding" in request.headers or _has_more(request):
            raise LengthRequired
    elif ContentNegotiation().select_parser(request, request.parsers or ()) is None:
        raise UnsupportedMediaType(request.content_type)


def _has_announced_body(request: Request) -> bool:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0) > 0
    except ValueError:
        return False


def _has_more(request: Request) -> bool:
    """Return whether there is a body all the same: HTTP/2 needs neither of the two headers."""
    plain: Any = request._request  # DRF has no public name for it
    return bool(plain.read(1))
