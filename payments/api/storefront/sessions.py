"""A payer's payment sessions: create, look, change, authorize, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from payments import services
from payments.api.serializers import (
    AmountField,
    EnumField,
    ErrorField,
    InputSerializer,
    MomentField,
    NextActionField,
    ObjectField,
    OutputSerializer,
    ProgressField,
)
from payments.api.storefront.access import StorefrontView, check_return_url
from payments.api.throttling import limiting_declines
from payments.api.views import VerbResult, left_open, operation_of, outcome_of, session_after
from payments.exceptions import NotFoundError, OutcomeUnknownError
from payments.ids import MAX_LENGTH
from payments.models import PaymentOperation, PaymentSession
from payments.providers import get_provider
from payments.providers.public_data import publication
from payments.services import reading
from payments.states import OperationKind, SessionStatus

MAX_URL = 2048


class SessionSerializer(OutputSerializer):
    """A session as its payer sees it, the `actor` in the context: only what the provider declares public today.

    The data of a payment from a customer's account are for that customer alone: whoever had them could have their own
    card saved there. `accepts_saved_payment_methods` tells whether what the payer has saved can be used.
    """

    id = serializers.CharField(read_only=True)
    payment_collection_id = serializers.CharField(source="collection_id", read_only=True)
    provider_id = serializers.CharField(read_only=True)
    status = EnumField(SessionStatus)
    amount = AmountField(read_only=True)
    authorized_amount = AmountField(read_only=True)
    currency_code = serializers.CharField(read_only=True)
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # a declared field hides no attribute
    in_progress = ProgressField()
    next_action = NextActionField()
    accepts_saved_payment_methods = serializers.SerializerMethodField()
    error = ErrorField(status=SessionStatus.ERROR)
    due_at = MomentField(allow_null=True)
    expires_at = MomentField(allow_null=True)
    authorized_at = MomentField(allow_null=True)
    created_at = MomentField()

    def get_data(self, session: PaymentSession) -> dict[str, Any]:
        """Return the public data; a provider that is gone or broken publishes nothing."""
        return _published(session.provider_id, session.data)

    def get_accepts_saved_payment_methods(self, session: PaymentSession) -> bool:
        """Return whether the session is paid from the payer's own account."""
        return bool(session.context.get("account_reference")) and not self._is_anothers(session)

    def to_representation(self, session: PaymentSession) -> dict[str, Any]:
        """Write a session, without the provider's data where these are another payer's, and no bank is waiting.

        A bank that wants the absent customer of a charge waits for nobody else. Of a former customer's payment nothing
        of the provider's is shown.
        """
        action = session.next_action or {}
        is_waiting = session.status == SessionStatus.REQUIRES_MORE
        is_for_customer = action.get("type") == "challenge" and not action.get("url")
        is_hidden = self._is_anothers(session) and (not is_waiting or is_for_customer)
        hidden: dict[str, Any] = {"data": {}} if is_hidden else {}
        if services.is_of_former_customer(session):
            hidden = {"data": {}, "next_action": None}
        return super().to_representation(session) | hidden

    def recall(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was written earlier, with no data but what is still public."""
        data = _published(written["provider_id"], written["data"])
        return super().recall(written) | {"data": data}

    def _is_anothers(self, session: PaymentSession) -> bool:
        return services.is_from_anothers_account(session, self.context.get("actor"))


def _published(provider_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of stored data is declared today, and no secret option's; the rest was judged when it came in."""
    try:
        provider = get_provider(provider_id)
    except (NotFoundError, ImproperlyConfigured):
        return {}
    return publication(provider).data(data)


class CreateSessionInput(InputSerializer):
    """What a payer may say about a new session."""

    provider_id = serializers.CharField(max_length=MAX_LENGTH)
    amount = AmountField(required=False)
    data = ObjectField(required=False)  # type: ignore[assignment]  # a declared field hides no attribute
    return_url = serializers.CharField(required=False, max_length=MAX_URL)


class UpdateSessionInput(InputSerializer):
    """What a payer may change about a session."""

    amount = AmountField(required=False)
    data = ObjectField(required=False)  # type: ignore[assignment]  # a declared field hides no attribute


class AuthorizeInput(InputSerializer):
    """What a payer sends along: a token, or a code."""

    data = ObjectField(required=False)  # type: ignore[assignment]  # a declared field hides no attribute


class SessionBaseView(StorefrontView):
    """A view that answers with a session."""

    outputs = dict.fromkeys(("GET", "PATCH", "POST"), SessionSerializer)
    statuses: ClassVar[Mapping[str, Sequence[int]]] = {"PATCH": (200, 202), "POST": (200, 202)}

    def answer(self, session_id: str, result: VerbResult[PaymentSession], *, status: int = 200) -> Response:
        """Return the session as it is now: with 202 and its address while an operation is open."""
        body = self.render(session_after(result, session_id))
        if result.open_operation is None:
            return Response(body, status=status)
        return self.accepted(body, name="storefront-payment-session", key=session_id)

    def render(self, session: PaymentSession) -> dict[str, Any]:
        """Return a session as its asker may see it."""
        return SessionSerializer.kept(actor=self.actor).to_representation(session)

    def limiting_declines(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Count a request that may have a card tried, for its payer sends something to the provider."""
        return limiting_declines(self.request, self.claims) if values.get("data") else nullcontext()


class SessionActionView(SessionBaseView):
    """A view that answers with a session, as often as the request is sent."""

    def recall(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a stored answer, with no data but what is still public."""
        return SessionSerializer.kept().recall(body)


class CollectionSessionsView(SessionActionView):
    """The creation of a collection's sessions."""

    bodies = {"POST": CreateSessionInput}
    statuses = {"POST": (201, 202)}

    def post(self, request: Request, collection_id: str) -> Response:
        """Create a session: 201, or 202 where the provider hasn't answered."""
        collection = self.get_collection(collection_id)
        # An earlier try may have replaced a session, and then not reached the provider of the new one.
        if self.earlier is not None and self.earlier.kind == OperationKind.INITIATE:
            return self._resume(self.earlier)
        values = self.read(currency_code=collection.currency_code)
        return_url = values.pop("return_url", None)
        if return_url is not None:
            check_return_url(return_url, request)
        context = services.payment_context(collection, return_url=return_url)
        try:
            with self.limiting_declines(values):
                session = services.create_payment_session(
                    collection, **values, context=context, **self.origin()
                )
        except OutcomeUnknownError as error:
            operation = PaymentOperation.objects.get(pk=operation_of(error))
            return self.answer(operation.session_id, VerbResult(open_operation=operation.pk))
        result = VerbResult(row=session, open_operation=left_open(self.claims, OperationKind.INITIATE))
        return self.answer(session.pk, result, status=201)

    def _resume(self, operation: PaymentOperation) -> Response:
        """Answer with the session that an earlier try of the request had created."""
        return self.answer(operation.session_id, VerbResult(open_operation=outcome_of(operation)), status=201)


class PaymentSessionView(SessionBaseView):
    """A session, and its amount."""

    bodies = {"PATCH": UpdateSessionInput}

    def get(self, request: Request, session_id: str) -> Response:
        """Answer with the session."""
        return Response(self.render(self.get_session(session_id, reading.find_session_now)))

    def patch(self, request: Request, session_id: str) -> Response:
        """Change its amount, which makes it a split, or what the payer sent."""
        session = self.get_session(session_id)
        values = self.read(currency_code=session.currency_code)
        verb = partial(services.update_payment_session, session, **values, **self.origin())
        with self.limiting_declines(values):
            result = self.run_verb(verb, kind=OperationKind.UPDATE)
        return self.answer(session.pk, result)


class AuthorizeSessionView(SessionActionView):
    """The authorization of a session."""

    bodies = {"POST": AuthorizeInput}

    def post(self, request: Request, session_id: str) -> Response:
        """Authorize it: 200 with its status, which may be `error`, or 202 where that isn't known yet."""
        session = self.get_session(session_id)
        values = self.read()
        verb = partial(services.authorize_payment_session, session, **values, **self.origin())
        is_asked_again = self.earlier is not None and self.earlier.kind == OperationKind.AUTHORIZE
        if is_asked_again or not session.is_unauthorized:
            return self.answer(session.pk, self.run_verb(verb, kind=OperationKind.AUTHORIZE))
        with limiting_declines(request, self.claims):
            result = self.run_verb(verb, kind=OperationKind.AUTHORIZE)
        return self.answer(session.pk, result)


class CancelSessionView(SessionActionView):
    """The cancelation of a session."""

    def post(self, request: Request, session_id: str) -> Response:
        """Abandon it, or release what it holds."""
        session = self.get_session(session_id)
        self.read()
        verb = partial(services.cancel_payment_session, session, **self.origin())
        return self.answer(session.pk, self.run_verb(verb, kind=OperationKind.CANCEL))
