"""Reading request bodies: JSON, of a sensible size, and nothing that a database or another reader would choke on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from django.http.request import UnreadablePostError
from django.utils.translation import gettext_lazy as _
from rest_framework import parsers
from rest_framework.exceptions import APIException, ParseError

from payments.api.isolation import JSONRenderer

MAX_BODY_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
"""How many arrays and objects may be inside each other; no request of this API needs more than a few."""


class BodyTooLarge(APIException):
    """Refuse a body that no request of this API needs."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = _("The body is larger than 64 KiB.")


class JSONParser(parsers.BaseParser):
    """Parse a JSON body; refuse NaN, a key that is there twice or isn't whole, bad UTF-8 and endless nesting."""

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
            _refuse_deep_nesting(value)
        except (ValueError, RecursionError) as error:
            raise ParseError(
                _("The body is not valid JSON: %(reason)s") % {"reason": str(error)}, code="invalid_json"
            ) from error
        return value


def _refuse_deep_nesting(value: Any) -> None:
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
