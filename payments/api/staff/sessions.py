"""Payment sessions, for operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import (
    AmountField,
    EnumField,
    ErrorField,
    MomentField,
    NextActionField,
    ObjectField,
    ProgressField,
    if_found,
)
from payments.api.staff import filters
from payments.api.staff.views import PRIVATE, MoneyListMixin, PrivateDataSerializer, StaffView
from payments.api.views import session_after
from payments.models import PaymentSession
from payments.services import reading
from payments.services.search import SESSIONS
from payments.states import OperationKind, SessionStatus


class SessionSerializer(PrivateDataSerializer):
    """A session, as operators see it."""

    private = {"provider_data": PRIVATE, "context": PRIVATE}

    id = serializers.CharField(read_only=True)
    payment_collection_id = serializers.CharField(source="collection_id", read_only=True)
    payment_id = serializers.SerializerMethodField()
    provider_id = serializers.CharField(read_only=True)
    provider_reference = serializers.CharField(read_only=True, allow_null=True)
    status = EnumField(SessionStatus)
    amount = AmountField(read_only=True)
    authorized_amount = AmountField(read_only=True)
    currency_code = serializers.CharField(read_only=True)
    is_split = serializers.BooleanField(read_only=True)
    data = ObjectField(read_only=True)  # type: ignore[assignment]  # a declared field hides no attribute
    provider_data = ObjectField(read_only=True)
    context = ObjectField(read_only=True)  # type: ignore[assignment]  # a declared field hides no attribute
    metadata = ObjectField(read_only=True)
    in_progress = ProgressField()
    next_action = NextActionField()
    error = ErrorField()
    installment = serializers.IntegerField(read_only=True, allow_null=True)
    due_at = MomentField(allow_null=True)
    is_automatic = serializers.BooleanField(read_only=True)
    expires_at = MomentField(allow_null=True)
    initiated_at = MomentField(allow_null=True)
    authorized_at = MomentField(allow_null=True)
    canceled_at = MomentField(allow_null=True)
    created_at = MomentField()
    updated_at = MomentField()

    def get_payment_id(self, session: PaymentSession) -> str | None:
        """Return what the session has become, or None."""
        return None if session.payment is None else session.payment.pk


class PaymentSessionsView(MoneyListMixin):
    """The list of sessions."""

    permissions = {"GET": "view_paymentsession"}
    output = SessionSerializer
    conditions = {
        "status": filters.OneOf("status", SessionStatus),
        "provider": filters.equals("provider"),
        "provider_reference": filters.provider_reference("pk"),
        **filters.of_collection("collection"),
        **filters.amounts(),
        **filters.created(),
    }
    search = replace(SESSIONS, exact=(*SESSIONS.exact, "collection__payable_id"))

    def rows(self) -> QuerySet[PaymentSession]:
        """Return all sessions."""
        return reading.with_progress(
            PaymentSession.objects.select_related("collection", "authorized_payment")
        )


class PaymentSessionView(StaffView):
    """A session."""

    permissions = {"GET": "view_paymentsession"}
    output = SessionSerializer

    def get(self, request: Request, session_id: str) -> Response:
        """Answer with the session."""
        return self.answer(if_found(reading.find_session_now(session_id)))


class SessionActionView(StaffView):
    """A view that runs a verb on a session."""

    output = SessionSerializer
    to_view = ("view_paymentsession",)
    statuses = {"POST": (200, 202)}
    verb: ClassVar[Callable[..., Any]]
    kind: ClassVar[OperationKind]

    def post(self, request: Request, session_id: str) -> Response:
        """Answer with the session as it is afterwards: 200, or 202 where that isn't known yet."""
        session = if_found(reading.find_session(session_id))
        self.read()
        result = self.run_verb(lambda: self.verb(session, **self.origin()), kind=self.kind)
        return self.answer(session_after(result, session_id), result.open_operation)


class AuthorizeSessionView(SessionActionView):
    """The authorization of a session."""

    permissions = {"POST": "authorize_session"}
    verb = staticmethod(services.authorize_payment_session)
    kind = OperationKind.AUTHORIZE


class CancelSessionView(SessionActionView):
    """The cancelation of a session."""

    permissions = {"POST": "cancel_session"}
    verb = staticmethod(services.cancel_payment_session)
    kind = OperationKind.CANCEL


class SyncSessionView(SessionActionView):
    """A question to the provider about a session."""

    permissions = {"POST": "sync_session"}
    verb = staticmethod(services.sync_payment_session)
    kind = OperationKind.SYNC
