"""Operations, for operators: every intended call to a provider, and deciding about those that nobody could."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    FlagField,
    InputSerializer,
    MomentField,
    ObjectField,
    OutputSerializer,
    UserKeyField,
    get_row,
)
from payments.api.staff import filters
from payments.api.staff.views import PRIVATE, MoneyListMixin, PrivateDataSerializer, StaffView
from payments.models import PaymentOperation
from payments.services.search import OPERATIONS
from payments.states import EventSource, OperationKind, OperationStatus

MAX_REASON = 2000
MAX_REFERENCE = 255


class ResolutionSerializer(OutputSerializer):
    """What a person found out about an operation, how they know, and who they are; null where nobody had to."""

    reason = serializers.CharField(source="resolution_reason", read_only=True)
    evidence = serializers.CharField(source="resolution_evidence", read_only=True)
    resolved_by_id = UserKeyField(allow_null=True)

    def to_representation(self, instance: PaymentOperation) -> Any:
        """Write the resolution, if there is one."""
        return super().to_representation(instance) if instance.resolution_reason else None


class OperationSerializer(PrivateDataSerializer):
    """An operation: what was asked of whom, and what is known of it."""

    private = {"input": PRIVATE, "exchange": PRIVATE}

    id = serializers.CharField(read_only=True)
    kind = EnumField(OperationKind)
    status = EnumField(OperationStatus)
    payment_collection_id = serializers.CharField(source="collection_id", read_only=True)
    payment_session_id = serializers.CharField(source="session_id", read_only=True)
    payment_id = serializers.CharField(read_only=True, allow_null=True)
    capture_id = serializers.CharField(read_only=True, allow_null=True)
    refund_id = serializers.CharField(read_only=True, allow_null=True)
    provider_id = serializers.CharField(read_only=True)
    amount = AmountField(read_only=True)
    currency_code = serializers.CharField(read_only=True)
    error = ErrorField()
    detail = serializers.CharField(read_only=True)
    input = ObjectField(read_only=True)
    exchange = ObjectField(source="provider_log", read_only=True)
    requested_from = EnumField(EventSource, source="source")
    actor_id = UserKeyField(allow_null=True)
    attempts = serializers.IntegerField(read_only=True)
    resolution = ResolutionSerializer(source="*", read_only=True, allow_null=True)
    next_attempt_at = MomentField(allow_null=True)
    finished_at = MomentField(allow_null=True)
    created_at = MomentField()
    updated_at = MomentField()


class ResolveInput(InputSerializer):
    """What a person found out about an operation, and how."""

    has_happened = FlagField()
    amount = AmountField(required=False)
    reason = serializers.CharField(max_length=MAX_REASON)
    evidence = serializers.CharField(required=False, allow_blank=True, max_length=MAX_REASON)
    provider_reference = serializers.CharField(required=False, allow_blank=True, max_length=MAX_REFERENCE)
    accept_excess = FlagField(required=False)


def operation_rows() -> QuerySet[PaymentOperation]:
    """Return operations with what their output needs."""
    return PaymentOperation.objects.select_related("collection")


class OperationsView(MoneyListMixin):
    """The list of operations."""

    permissions = {"GET": "view_paymentoperation"}
    output = OperationSerializer
    conditions = {
        "status": filters.OneOf("status", OperationStatus),
        "kind": filters.OneOf("kind", OperationKind),
        "provider": filters.equals("provider"),
        "payment_session": filters.equals("session"),
        "payment": filters.equals("payment"),
        "provider_reference": filters.provider_reference("session"),
        **filters.of_collection("collection"),
        **filters.amounts(),
        **filters.created(),
    }
    search = OPERATIONS

    def rows(self) -> QuerySet[PaymentOperation]:
        """Return all operations."""
        return operation_rows()


class OperationView(StaffView):
    """An operation."""

    permissions = {"GET": "view_paymentoperation"}
    output = OperationSerializer

    def get(self, request: Request, operation_id: str) -> Response:
        """Answer with the operation."""
        return self.answer(get_row(operation_rows(), operation_id))


class OperationActionView(StaffView):
    """A view that runs a verb on an operation."""

    to_view = ("view_paymentoperation",)
    output = OperationSerializer
    bodies: ClassVar[Mapping[str, type[InputSerializer]]] = {"POST": ResolveInput}
    verb: ClassVar[Callable[..., Any]]

    def post(self, request: Request, operation_id: str) -> Response:
        """Answer with the operation as it is afterwards."""
        operation = get_row(operation_rows(), operation_id)
        values = self.read(currency_code=operation.currency_code)
        self.verb(operation, **values, **self.origin())
        return self.answer(get_row(operation_rows(), operation_id))


class CheckOperationView(OperationActionView):
    """A look at once at what became of an operation."""

    permissions = {"POST": "sync_session"}
    bodies = {}
    verb = staticmethod(services.check_operation)


class ResolveOperationView(OperationActionView):
    """A person's decision about an operation."""

    permissions = {"POST": "resolve_operation"}
    verb = staticmethod(services.resolve_operation)


class CorrectOperationView(OperationActionView):
    """The correction of what a person has said of an operation by mistake."""

    permissions = {"POST": "resolve_operation"}
    verb = staticmethod(services.correct_operation)
