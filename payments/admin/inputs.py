"""What no browser sends, refused in front of every page: so no page has to ask what its database makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern

View = Callable[..., HttpResponseBase]

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object


class PlainInputMixin(_ModelAdmin):
    """Answer a request that holds a NUL character with 400: PostgreSQL fails where it is asked for one.

    It stands around the addresses as a whole, those that a project's own ModelAdmin adds included.
    """

    @property
    def urls(self) -> Any:
        """The addresses of the pages."""
        patterns: list[Any] = self.get_urls()
        for pattern in (each for each in patterns if isinstance(each, URLPattern)):
            pattern.callback = _guarded(pattern.callback)
        return patterns


def _guarded(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if _has_nul(request):
            raise BadRequest("The request holds a NUL character.")
        return view(request, *args, **kwargs)

    return guarded


def _has_nul(request: HttpRequest) -> bool:
    sent = (
        text
        for values in (request.GET, request.POST)
        for name, texts in values.lists()
        for text in (name, *texts)
    )
    return any("\0" in str(text) for text in (request.path, *sent))
