"""Serving the document: `path("payments/openapi.json", SchemaView.as_view())`, wherever a project likes."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views import View

from payments.addresses import address_of
from payments.api.schema.generator import openapi_document


class SchemaView(View):
    """Answer with the document, for the address below which this project has included `payments.urls`."""

    def get(self, request: HttpRequest) -> JsonResponse:
        """Answer with the document as JSON."""
        prefix = address_of("health", request=request).removesuffix("health/")
        return JsonResponse(openapi_document(prefix))
