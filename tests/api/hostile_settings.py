"""Settings of a project whose own, and whose global DRF settings, contradict everything that the API needs.

`tests/api/test_views.py` runs the API's tests a second time under them.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tests.settings import *  # noqa: F403


def explode(error: Exception, context: dict[str, Any]) -> NoReturn:
    """Be an exception handler that must not be called."""
    raise AssertionError("The project's exception handler was asked.")


INSTALLED_APPS = [*INSTALLED_APPS, "tests.people"]  # noqa: F405
AUTH_USER_MODEL = "people.Person"
USE_TZ = False
TIME_ZONE = "America/Los_Angeles"
LANGUAGE_CODE = "de"
APPEND_SLASH = False
ATOMIC_REQUESTS = True  # for tests/api/conftest.py, as the database's settings are made for each run

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.StaticHTMLRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissions"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "0/day"},
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "rest_framework.negotiation.BaseContentNegotiation",
    "DEFAULT_METADATA_CLASS": "rest_framework.metadata.BaseMetadata",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "DEFAULT_VERSION": "7",
    "ALLOWED_VERSIONS": ["8"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.SearchFilter"],
    "PAGE_SIZE": 1,
    "EXCEPTION_HANDLER": "tests.api.hostile_settings.explode",
    "NON_FIELD_ERRORS_KEY": "amount",
    "URL_FORMAT_OVERRIDE": "status",
    "FORMAT_SUFFIX_KWARG": "collection_id",
    "URL_FIELD_NAME": "id",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "DATETIME_FORMAT": "%H",
    "COERCE_DECIMAL_TO_STRING": False,
    "UNICODE_JSON": False,
    "COMPACT_JSON": False,
    "STRICT_JSON": False,
}
