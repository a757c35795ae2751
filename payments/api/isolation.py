"""Keeps the project's global DRF settings out: what a view would look up there is answered here."""

from __future__ import annotations

from typing import Any, Final

from django.apps import apps
from rest_framework import negotiation, renderers
from rest_framework.settings import DEFAULTS, APISettings

# Given settings of its own, an APISettings object doesn't look at the project's; everything else is DRF's default.
_OWN: Final[Any] = {"URL_FORMAT_OVERRIDE": None, "FORMAT_SUFFIX_KWARG": None}
ISOLATED_SETTINGS: Final[Any] = APISettings(_OWN, DEFAULTS)


class ContentNegotiation(negotiation.DefaultContentNegotiation):
    """Choose by the Accept header alone, so that no query parameter is taken for a format."""

    settings = ISOLATED_SETTINGS


class JSONRenderer(renderers.JSONRenderer):
    """Write compact JSON in UTF-8, never NaN or Infinity."""

    compact = True
    strict = True
    ensure_ascii = False


class BrowsableRenderer(renderers.BrowsableAPIRenderer):
    """Show JSON as a page to an operator's browser."""

    def get_default_renderer(self, view: Any) -> renderers.BaseRenderer:
        """Fill the page with JSON."""
        return JSONRenderer()

    def get_context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what the page shows: no link asks for a format by a parameter, which no list knows."""
        context: dict[str, Any] = super().get_context(*args, **kwargs)
        return context | {"api_settings": ISOLATED_SETTINGS}


def browsable_renderers() -> list[renderers.BaseRenderer]:
    """Return the page renderer where the project has DRF's templates, or nothing."""
    return [BrowsableRenderer()] if apps.is_installed("rest_framework") else []
