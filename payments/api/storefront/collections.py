"""A payer's payment collections: open one for something of the shop, and look at it."""

from __future__ import annotations

from functools import partial
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import (
    AmountField,
    EnumField,
    InputSerializer,
    MomentField,
    OutputSerializer,
    if_found,
    not_found,
)
from payments.api.storefront.access import StorefrontView, client_secret
from payments.api.storefront.payables import blaming_the_resolver, resolve_payable
from payments.api.storefront.sessions import SessionSerializer
from payments.models import PaymentCollection
from payments.services import reading
from payments.states import CollectionStatus

MAX_REFERENCE = 255


class CollectionSerializer(OutputSerializer):
    """A collection and its sessions, as its payer sees it, who is the `actor` in the context.

    `accepts_saved_payment_methods` tells whether the payer is the customer of whom a new session may use what is saved.
    """

    id = serializers.CharField(read_only=True)
    status = EnumField(CollectionStatus)
    currency_code = serializers.CharField(read_only=True)
    amount = AmountField(read_only=True)
    authorized_amount = AmountField(read_only=True)
    captured_amount = AmountField(read_only=True)
    refunded_amount = AmountField(read_only=True)
    accepts_saved_payment_methods = serializers.SerializerMethodField()
    payment_sessions = SessionSerializer(source="sessions", many=True, read_only=True)
    completed_at = MomentField(allow_null=True)
    canceled_at = MomentField(allow_null=True)
    created_at = MomentField()

    def get_accepts_saved_payment_methods(self, collection: PaymentCollection) -> bool:
        """Return whether the payer is logged in as the collection's customer."""
        actor = self.context.get("actor")
        return actor is not None and collection.customer_id == actor.pk


class OpenedCollectionSerializer(CollectionSerializer):
    """A collection that the shop has just allowed its reader to pay, with the secret that opens it from now on."""

    client_secret = serializers.SerializerMethodField()

    def get_client_secret(self, collection: PaymentCollection) -> str:
        """Return what opens this collection, sent as `Payment-Client-Secret`."""
        return client_secret(collection.pk, collection.secret_generation)


class OpenCollectionInput(InputSerializer):
    """The reference of what is to be paid: the shop knows the rest."""

    reference = serializers.CharField(max_length=MAX_REFERENCE)


class PaymentCollectionsView(StorefrontView):
    """The opening of collections."""

    bodies = {"POST": OpenCollectionInput}
    outputs = {"POST": OpenedCollectionSerializer}
    statuses = {"POST": (201, 200)}
    unstored = frozenset({"client_secret"})

    def post(self, request: Request) -> Response:
        """Open the collection of a reference: 201, or 200 with the one that is there.

        Only this answer has the `client_secret`, for the shop decided here that the asker may pay.
        """
        reference = self.read()["reference"]
        body, is_new = self._open(reference, resolve_payable(request, reference))
        return Response(body, status=201 if is_new else 200)

    def recall(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a stored answer with the secret as it is now, if the reference still means the same to the shop.

        Otherwise return what it means now: a stored id must not give away somebody else's secret.
        """
        reference = self.read()["reference"]
        resolved = resolve_payable(self.request, reference)
        generations = PaymentCollection.objects.values_list("secret_generation", flat=True)
        generation = generations.get(
            pk=body["id"]
        )  # read before the check, so that a later one isn't given away
        if not services.is_collection_of(body["id"], resolved):
            return self._open(reference, resolved)[0]
        secret = client_secret(body["id"], generation)
        return OpenedCollectionSerializer.kept().recall(body) | {"client_secret": secret}

    def _open(self, reference: str, resolved: services.ResolvedPayable) -> tuple[dict[str, Any], bool]:
        """Return a payable's collection as it is in the database now, with its secret, and whether it is new."""
        with blaming_the_resolver(resolved):
            opened, is_new = services.open_payment_collection(
                resolved, ask_again=partial(resolve_payable, self.request, reference), **self.origin()
            )
        collection = reading.with_sessions(if_found(reading.find_collection(opened.pk)))
        if collection.secret_generation != opened.secret_generation:
            raise not_found()  # It has changed hands since.
        body = OpenedCollectionSerializer.kept(actor=self.actor).to_representation(collection)
        return body, is_new


class PaymentCollectionView(StorefrontView):
    """A collection."""

    outputs = {"GET": CollectionSerializer}

    def get(self, request: Request, collection_id: str) -> Response:
        """Answer with the collection and its sessions."""
        collection = reading.with_sessions(self.get_collection(collection_id))
        return Response(CollectionSerializer.kept(actor=self.actor).to_representation(collection))
