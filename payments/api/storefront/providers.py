"""The providers that a payer may choose from, and the payment methods that a customer has saved at one.

Saved methods are a person's and not an order's: a client secret doesn't open them, whoever has sent it.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import (
    InputSerializer,
    ObjectField,
    OutputSerializer,
    SetupActionField,
    not_found,
)
from payments.api.storefront.access import StorefrontView, check_return_url
from payments.api.storefront.sessions import MAX_URL
from payments.api.throttling import SETUPS
from payments.conf import provider_aliases
from payments.exceptions import NotFoundError
from payments.models import AccountHolder, PaymentProvider
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


class SavedPaymentMethodSerializer(OutputSerializer):
    """A saved payment method, as its owner recognizes it. What a provider doesn't say is empty."""

    id = serializers.CharField(read_only=True)
    type = serializers.CharField(read_only=True)
    brand = serializers.CharField(read_only=True)
    last4 = serializers.CharField(read_only=True)
    expires = serializers.CharField(read_only=True)


class PaymentMethodSetupSerializer(OutputSerializer):
    """What a browser needs to save a payment method."""

    data = ObjectField(read_only=True)  # type: ignore[assignment]  # a declared field hides no attribute
    next_action = SetupActionField()


class SaveMethodInput(InputSerializer):
    """The address to which the browser is to be sent back."""

    return_url = serializers.CharField(required=False, max_length=MAX_URL)


class CustomerPermission(BasePermission):
    """A permission for everybody who is logged in."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may go on."""
        return cast("CustomerView", view).actor is not None


class CustomerView(StorefrontView):
    """A view for logged-in customers about their own account at a provider."""

    permission_classes = (CustomerPermission,)

    def principal(self) -> str | None:
        """Return whose requests these are: the customer's, whatever secret they send along."""
        return super(StorefrontView, self).principal()

    def check_access(self, **kwargs: str) -> None:
        """Raise what becomes a 404 for a provider that isn't there."""
        if kwargs["provider_id"] not in provider_aliases():
            raise not_found()

    @property
    def customer(self) -> AbstractBaseUser:
        """Who asks; nobody else gets this far."""
        return cast(AbstractBaseUser, self.actor)

    def get_holder(self, provider_id: str) -> AccountHolder | None:
        """Return the customer's account at a provider, if they have one; raise where the provider keeps none."""
        self.check_access(provider_id=provider_id)
        return services.find_account_holder(self.customer, provider_id=provider_id)


class SavedPaymentMethodsView(CustomerView):
    """The list of saved payment methods, and new ones."""

    bodies = {"POST": SaveMethodInput}
    outputs = {"GET": SavedPaymentMethodSerializer, "POST": PaymentMethodSetupSerializer}
    statuses = {"POST": (201,)}
    is_list = True
    calling_methods = CustomerView.calling_methods | {"GET"}

    def get(self, request: Request, provider_id: str) -> Response:
        """Answer with all of them, the newest first; the provider is only asked where the customer has an account."""
        holder = self.get_holder(provider_id)
        methods = () if holder is None else services.list_saved_payment_methods(holder)
        return Response({"results": SavedPaymentMethodSerializer(methods, many=True).data})

    def post(self, request: Request, provider_id: str) -> Response:
        """Start saving one; the browser goes on with the `next_action`. The account is made with the first."""
        self.check_access(provider_id=provider_id)
        if not services.is_for_payers(get_provider(provider_id)):
            raise not_found()
        return_url = self.read().get("return_url")
        if return_url is not None:
            check_return_url(return_url, request)
        SETUPS.take(request)
        holder = services.create_account_holder(self.customer, provider_id=provider_id)
        setup = services.start_adding_payment_method(holder, return_url=return_url)
        return Response(PaymentMethodSetupSerializer(setup).data, status=201)


class SavedPaymentMethodView(CustomerView):
    """The removal of a saved payment method."""

    def delete(self, request: Request, provider_id: str, method_id: str) -> Response:
        """Have the provider forget it."""
        holder = self.get_holder(provider_id)
        if holder is None:
            raise not_found()
        try:
            services.remove_saved_payment_method(holder, method_id)
        except NotFoundError:
            raise not_found() from None
        return Response(status=204)
