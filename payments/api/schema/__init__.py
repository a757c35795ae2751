"""The OpenAPI 3.1 document of the API: what may be sent where, and every answer there is.

It needs drf-spectacular (the extra `openapi`); the API itself works without it, and imports nothing from here. Nothing
depends on the project's SPECTACULAR_SETTINGS, and the project's own document doesn't have these addresses.
"""

from __future__ import annotations

from payments.api.schema.generator import openapi_document
from payments.api.schema.views import SchemaView

__all__ = ["SchemaView", "openapi_document"]
