"""Pages of a list, newest first: a cursor over `created_at` and `id`."""

from __future__ import annotations

import re
from typing import Any, Final

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from rest_framework import pagination
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

_LIMIT: Final = re.compile(r"[1-9][0-9]?|100", re.ASCII)


class CreatedAtPagination(pagination.CursorPagination):
    """Page through rows by the time of their creation; `limit` says how many make a page."""

    ordering = ("-created_at", "-id")
    page_size = 50
    max_page_size = 100
    page_size_query_param = "limit"
    cursor_query_param = "cursor"

    def get_page_size(self, request: Request) -> int:
        """Return how many rows make a page; raise for what isn't a number from 1 to 100."""
        given = request.query_params.get("limit")
        if given is None:
            return type(self).page_size
        if not _LIMIT.fullmatch(given):
            raise _invalid("limit", _("Give a whole number from 1 to 100."))
        return int(given)

    def decode_cursor(self, request: Request) -> Any:
        """Return where a page starts; raise for a cursor that this API didn't make."""
        try:
            cursor: Any = super().decode_cursor(request)
        except NotFound as error:
            raise _invalid("cursor", self.invalid_cursor_message) from error
        if cursor is not None and cursor.position is not None and not _is_moment(cursor.position):
            raise _invalid("cursor", self.invalid_cursor_message)
        return cursor


def _is_moment(position: str) -> bool:
    try:
        return parse_datetime(position) is not None
    except ValueError:
        return False


def _invalid(field: str, message: Any) -> ValidationError:
    return ValidationError({field: [message]}, code=f"invalid_{field}")
