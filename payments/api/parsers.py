"""What a request may carry: a JSON body of sensible size and known length, and no card data anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from django.http.request import UnreadablePostError
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, parsers, renderers, status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.request import Request

from payments.redaction import find_card_data

MAX_BODY_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
"""How many arrays and objects may be inside each other; no request of this API needs more than a few."""

READ: Final = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose bodies are read."""
_ADDED_ON_THE_WAY: Final = frozenset(
    {"cookie", "referer", "host", "via", "forwarded", "traceparent", "tracestate", "baggage", "b3"}
)
_TRACES: Final = ("x-b3-", "x-datadog-", "x-cloud-trace", "x-amzn-", "x-forwarded-", "cf-", "uber-trace-")


class BodyTooLarge(APIException):
    """An answer to a body that is larger than any request of this API needs."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = _("The body is larger than 64 KiB.")


class JSONRenderer(renderers.JSONRenderer):
    """Compact JSON in UTF-8, never NaN or Infinity."""

    compact = True
    strict = True
    ensure_ascii = False


class JSONParser(parsers.BaseParser):
    """Strict JSON: no NaN, no key twice or with half a character, no bad UTF-8, no endless nesting."""

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body's value. Raises ParseError and BodyTooLarge."""
        try:
            body = stream.read(MAX_BODY_BYTES + 1)
        except UnreadablePostError as error:
            raise ParseError(_("The body is cut off."), code="body_cut_off") from error
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            value = json.loads(
                body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_checked_object
            )
            _check_depth(value)
        except (ValueError, RecursionError) as error:
            raise ParseError(
                _("The body is not valid JSON: %(reason)s") % {"reason": str(error)}, code="invalid_json"
            ) from error
        return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _depth in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _checked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is there twice")
    if any(not _can_be_written(key) for key in values):
        raise ValueError("a key holds half of a surrogate pair")
    return values


def _can_be_written(text: str) -> bool:
    """Return whether a text is whole; an error couldn't name a key that isn't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class LengthRequired(APIException):
    """An answer to a body that is sent in pieces, without its length."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = _("Say with Content-Length how long the body is.")


def check_body_is_readable(request: Request) -> None:
    """Raise LengthRequired for a body of unknown length, and UnsupportedMediaType for one that isn't JSON."""
    if request.method not in READ:
        return
    negotiator: Any = request.negotiator
    if not _has_announced_body(request):
        if "Transfer-Encoding" in request.headers or _has_more(request):
            raise LengthRequired
    elif negotiator.select_parser(request, request.parsers or ()) is None:
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


class CardDataRefused(exceptions.ValidationError):
    """An answer to a request with card data, which names where and doesn't repeat what was sent."""

    status_code = 422

    def __init__(self, field: str) -> None:
        message = _("This looks like card data. It belongs on the provider's own page or script, never here.")
        super().__init__({field: [message]}, code="card_data_refused")


def check_no_card_data(request: Request, path_values: Mapping[str, Any]) -> None:
    """Raise CardDataRefused where the address, a query parameter, a header or the body has card data in it."""
    sent: list[Any] = [path_values, dict(request.query_params.lists()), _checked_headers(request)]
    if request.method in READ:
        sent.append(request.data)
    for values in sent:
        found = find_card_data(values)
        if found is not None:
            raise CardDataRefused(found)


def _checked_headers(request: Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _ADDED_ON_THE_WAY and not name.lower().startswith(_TRACES)
    }
