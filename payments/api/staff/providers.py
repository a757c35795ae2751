"""Payment providers, for operators: which there are, and whether new sessions may use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import MomentField, OutputSerializer, get_row
from payments.api.staff.views import StaffView
from payments.exceptions import NotFoundError
from payments.models import PaymentProvider
from payments.providers import get_provider


class ProviderSerializer(OutputSerializer):
    """A provider; one whose alias has left the settings isn't configured any more."""

    id = serializers.CharField(read_only=True)
    name = serializers.SerializerMethodField()
    is_enabled = serializers.BooleanField(read_only=True)
    is_configured = serializers.SerializerMethodField()
    created_at = MomentField()
    updated_at = MomentField()

    def get_name(self, provider: PaymentProvider) -> str:
        """Return the plug-in's name for itself, or else the alias."""
        built = _built(provider)
        return str((built and built.verbose_name) or provider.pk)

    def get_is_configured(self, provider: PaymentProvider) -> bool:
        """Return whether the settings name a plug-in that can be built."""
        return _built(provider) is not None


class PaymentProvidersView(StaffView):
    """The list of providers."""

    permissions = {"GET": "view_paymentprovider"}
    output = ProviderSerializer
    is_list = True

    def get(self, request: Request) -> Response:
        """Answer with all of them: the configured ones in the order of the settings, then those that are gone."""
        configured = services.list_providers()
        gone = PaymentProvider.objects.exclude(pk__in=[provider.pk for provider in configured])
        return Response({"results": self.render(*configured, *gone.order_by("id"))})


class ProviderActionView(StaffView):
    """A view that runs a verb on a provider."""

    permissions = {"POST": "change_paymentprovider"}
    output = ProviderSerializer
    verb: ClassVar[Callable[..., Any]]

    def post(self, request: Request, provider_id: str) -> Response:
        """Answer with the provider as it is afterwards."""
        services.list_providers()
        provider = get_row(PaymentProvider.objects.all(), provider_id)
        self.read()
        return self.answer(self.verb(provider))


class EnableProviderView(ProviderActionView):
    """The permission for new sessions to use a provider."""

    verb = staticmethod(services.enable_provider)


class DisableProviderView(ProviderActionView):
    """The end of new sessions with a provider."""

    verb = staticmethod(services.disable_provider)


def _built(provider: PaymentProvider) -> Any:
    try:
        return get_provider(provider.pk)
    except (NotFoundError, ImproperlyConfigured):
        return None
