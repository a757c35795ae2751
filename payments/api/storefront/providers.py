"""The providers that a payer may choose from."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments.api.serializers import OutputSerializer
from payments.api.storefront.access import StorefrontView
from payments.models import PaymentProvider
from payments.providers import get_provider
from payments.services import keeps_saved_payment_methods, list_offered_providers


class ProviderSerializer(OutputSerializer):
    """A provider: the id that a session names, a name to put on a button, and whether customers may save cards."""

    id = serializers.CharField(read_only=True)
    name = serializers.SerializerMethodField()
    supports_saved_payment_methods = serializers.SerializerMethodField()

    def get_name(self, provider: PaymentProvider) -> str:
        """Return the plug-in's name for itself."""
        return str(get_provider(provider.pk).verbose_name or provider.pk)

    def get_supports_saved_payment_methods(self, provider: PaymentProvider) -> bool:
        """Return whether it keeps what customers have saved."""
        return keeps_saved_payment_methods(provider.pk)


class PaymentProvidersView(StorefrontView):
    """The list of enabled providers that are for payers, in the order of the settings."""

    outputs = {"GET": ProviderSerializer}
    is_list = True

    def get(self, request: Request) -> Response:
        """Answer with all of them; there are only a few."""
        offered = list_offered_providers()
        body: dict[str, Any] = {"results": ProviderSerializer(offered, many=True).data}
        return Response(body)
