"""What the flow over HTTP is compared with: plain views of Django REST framework, behind which is the floor's SQL.

There are as many requests, rows and commits as ours take, and as many checks of a login and of a body. It is the least
that views of DRF can cost: no access by a secret, no limits, no repeated requests, and no provider.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

from django.shortcuts import get_object_or_404
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAdminUser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from payments.models import Payment, PaymentCollection, PaymentSession
from tests.benchmarks.floor import CAPTURE, REFUND, Floor, Movement
from tests.shop.models import Order

_LOCAL: Final = threading.local()


def floor() -> Floor:
    """Return this thread's connection."""
    if not hasattr(_LOCAL, "floor"):
        _LOCAL.floor = Floor(os.environ["FLOOR_URL"])
    return _LOCAL.floor  # type: ignore[no-any-return]


class Body(serializers.Serializer[Any]):
    """What any request may say."""

    reference = serializers.CharField(required=False, max_length=255)
    provider_id = serializers.CharField(required=False, max_length=64)
    amount = serializers.DecimalField(required=False, max_digits=19, decimal_places=4)


class SessionAnswer(serializers.ModelSerializer[PaymentSession]):
    """A session."""

    class Meta:
        model = PaymentSession
        fields = (
            "id",
            "collection_id",
            "provider_id",
            "status",
            "amount",
            "data",
            "error_code",
            "error_message",
            "due_at",
            "expires_at",
            "authorized_at",
            "created_at",
        )


class CollectionAnswer(serializers.ModelSerializer[PaymentCollection]):
    """A collection with its sessions."""

    sessions = SessionAnswer(many=True)

    class Meta:
        model = PaymentCollection
        fields = (
            "id",
            "status",
            "currency_code",
            "amount",
            "authorized_amount",
            "captured_amount",
            "refunded_amount",
            "sessions",
            "completed_at",
            "canceled_at",
            "created_at",
        )


class PaymentAnswer(serializers.ModelSerializer[Payment]):
    """A payment."""

    class Meta:
        model = Payment
        fields = (
            "id",
            "collection_id",
            "session_id",
            "provider_id",
            "status",
            "amount",
            "captured_amount",
            "refunded_amount",
            "canceled_amount",
            "metadata",
            "captured_at",
            "created_at",
            "updated_at",
        )


class View(APIView):
    """A view that speaks JSON, for whoever has a session."""

    authentication_classes = [SessionAuthentication]
    permission_classes: Any = []
    parser_classes = [JSONParser]
    renderer_classes = [JSONRenderer]

    def read(self) -> dict[str, Any]:
        """Return the validated body."""
        body = Body(data=self.request.data)
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)


class Collections(View):
    """The creation of a collection for an order."""

    def post(self, request: Request) -> Response:
        """Create it."""
        order = get_object_or_404(Order, number=self.read()["reference"])
        collection = PaymentCollection(
            pk=floor().create_collection(), amount=order.total, currency_code=order.currency_code
        )
        return Response(CollectionAnswer(collection).data, status=201)


class Collection(View):
    """A collection."""

    def get(self, request: Request, pk: str) -> Response:
        """Show it."""
        rows = PaymentCollection.objects.prefetch_related("sessions")
        return Response(CollectionAnswer(get_object_or_404(rows, pk=pk)).data)


class Sessions(View):
    """The creation of a session."""

    def post(self, request: Request, pk: str) -> Response:
        """Create it."""
        collection, values = get_object_or_404(PaymentCollection, pk=pk), self.read()
        session = PaymentSession(pk=floor().create_session(collection.pk), collection=collection, **values)
        return Response(SessionAnswer(session).data, status=201)


class Authorization(View):
    """The authorization of a session."""

    def post(self, request: Request, pk: str) -> Response:
        """Authorize it."""
        session = get_object_or_404(PaymentSession, pk=pk)
        self.read()
        floor().authorize({"collection_id": session.collection_id, "session_id": session.pk})
        return Response(SessionAnswer(session).data)


class Move(View):
    """A capture or refund."""

    permission_classes = [IsAdminUser]
    movement: Movement = CAPTURE

    def post(self, request: Request, pk: str) -> Response:
        """Take the money, or give it back."""
        payment = get_object_or_404(Payment, pk=pk)
        self.read()
        links = {"collection_id": payment.collection_id, "session_id": payment.session_id}
        floor().move(self.movement, links | {"payment_id": payment.pk})
        return Response(PaymentAnswer(payment).data)


urlpatterns = [
    path("payments/storefront/payment-collections/", Collections.as_view()),
    path("payments/storefront/payment-collections/<str:pk>/", Collection.as_view()),
    path("payments/storefront/payment-collections/<str:pk>/payment-sessions/", Sessions.as_view()),
    path("payments/storefront/payment-sessions/<str:pk>/authorize/", Authorization.as_view()),
    path("payments/staff/payments/<str:pk>/capture/", Move.as_view()),
    path("payments/staff/payments/<str:pk>/refund/", Move.as_view(movement=REFUND)),
]
