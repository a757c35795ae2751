"""The document of the whole API, made by drf-spectacular under settings of its own."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings

from docs.openapi.errors import SCHEMA, error_responses
from docs.openapi.inspection import DocumentSchema
from payments import __version__
from payments.api.openapi import HEADERS
from payments.api.storefront.access import HEADER

_DESCRIPTION: Final = """\
Payment collections, sessions and payments of a shop.

An amount is a string in major units, at the precision of its currency. A collection is what is to be paid for one
thing; its sessions are the ways in which it is paid. Card data never goes through here: it is refused anywhere.
"""

_TAGS: Final = [
    {
        "name": "storefront",
        "description": "For payers: the customer, or whoever holds the collection's secret.",
    },
    {"name": "staff", "description": "For operators: members of staff, with a permission for each action."},
    {"name": "monitoring", "description": "For whoever watches over it."},
]

_lock: Final = Lock()


class PaymentsSchemaGenerator(SchemaGenerator):
    """The generator of the document, from the app's addresses."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"urlconf": "payments.urls"} | kwargs))  # type: ignore[no-untyped-call]

    def create_view(self, callback: Any, method: str, request: Any = None) -> Any:
        """Return the view that answers, with our own way of looking at it."""
        view = super().create_view(callback, method, request)  # type: ignore[no-untyped-call]
        schema = DocumentSchema()
        schema.view = view
        view.schema = schema
        self.schemas_storage.append(schema)
        return view

    def get_schema(self, request: Any = None, public: bool = True) -> Any:
        """Return the document, under settings of our own."""
        with _lock, patched_settings(_settings()), translation.override("en"):
            document = super().get_schema(request, public=True)  # type: ignore[no-untyped-call]
        components = document["components"]
        components["schemas"] = dict(sorted((components["schemas"] | {"Error": deepcopy(SCHEMA)}).items()))
        components |= {"responses": error_responses(), "headers": deepcopy(HEADERS)}
        return document


@cache
def openapi_document() -> dict[str, Any]:
    """Return the document of the API as it is mounted below /payments/."""
    document: dict[str, Any] = PaymentsSchemaGenerator().get_schema()
    document["servers"] = [{"url": "/payments"}]
    return document


def _settings() -> dict[str, Any]:
    own = {
        "OAS_VERSION": "3.1.1",
        "TITLE": "Payments",
        "DESCRIPTION": _DESCRIPTION,
        "VERSION": __version__,
        "TAGS": _TAGS,
        "COMPONENT_SPLIT_PATCH": False,
        "POSTPROCESSING_HOOKS": [],
        "SCHEMA_PATH_PREFIX": "/",
        "SORT_OPERATION_PARAMETERS": False,
        "APPEND_COMPONENTS": {"securitySchemes": _security_schemes()},
    }
    fixed = {name for name in SPECTACULAR_DEFAULTS if name.startswith("SERVE_")} | {"DEFAULT_GENERATOR_CLASS"}
    defaults = {name: value for name, value in SPECTACULAR_DEFAULTS.items() if name not in fixed}
    return defaults | own


def _security_schemes() -> dict[str, Any]:
    return {
        "clientSecret": {
            "type": "apiKey",
            "in": "header",
            "name": HEADER,
            "description": "The secret of one collection, from the answer that opened it.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "Django's session. A shop may configure other classes to recognize users.",
        },
        "csrf": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRFToken",
            "description": "Django's CSRF token, which a session needs to change anything.",
        },
        "metricsToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "The token that the settings name.",
        },
    }
