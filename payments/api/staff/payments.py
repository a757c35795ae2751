"""Payments, for operators: capture, refund, cancel, sync."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, TypedDict

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
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
    find_row,
    if_found,
)
from payments.api.staff import filters
from payments.api.staff.views import PRIVATE, MoneyListMixin, PrivateDataSerializer, StaffView
from payments.exceptions import NotFoundError
from payments.ids import MAX_LENGTH
from payments.models import Payment, Refund, RefundReason
from payments.services import reading
from payments.services.idempotency import reconnecting
from payments.services.search import PAYMENTS
from payments.states import MovementStatus, OperationKind, OperationStatus, PaymentStatus


class NamedReason(TypedDict):
    """The reason of a refund."""

    id: str
    label: str


class MovementSerializer(OutputSerializer):
    """A movement of money."""

    id = serializers.CharField(read_only=True)
    status = EnumField(MovementStatus)
    amount = AmountField(read_only=True)
    provider_reference = serializers.CharField(read_only=True, allow_null=True)
    error = ErrorField()
    metadata = ObjectField(read_only=True)
    created_at = MomentField()
    succeeded_at = MomentField(allow_null=True)


class CaptureSerializer(MovementSerializer):
    """A capture; of money that came by another way, when, under which reference of the payer's, and a note."""

    received_at = MomentField(allow_null=True)
    reference = serializers.CharField(read_only=True)
    note = serializers.CharField(read_only=True)


class RefundSerializer(MovementSerializer):
    """A refund, and why it was made."""

    refund_reason = serializers.SerializerMethodField()
    note = serializers.CharField(read_only=True)

    def get_refund_reason(self, refund: Refund) -> NamedReason | None:
        """Return the reason, or None."""
        return None if refund.reason is None else NamedReason(id=refund.reason.pk, label=refund.reason.label)


MAX_NOTE = 2000


class UnclearSerializer(OutputSerializer):
    """An operation with an unclear outcome, and when its provider is asked next."""

    operation_id = serializers.CharField(source="pk", read_only=True)
    kind = EnumField(OperationKind)
    status = EnumField(OperationStatus)
    amount = AmountField(read_only=True)
    next_attempt_at = MomentField(allow_null=True)
    created_at = MomentField()


class PaymentSerializer(PrivateDataSerializer):
    """A payment with its captures and refunds, as operators see it."""

    private = {"provider_data": PRIVATE, "captures": "view_capture", "refunds": "view_refund"}

    id = serializers.CharField(read_only=True)
    payment_collection_id = serializers.CharField(source="collection_id", read_only=True)
    payment_session_id = serializers.CharField(source="session_id", read_only=True)
    provider_id = serializers.CharField(read_only=True)
    provider_reference = serializers.CharField(read_only=True, allow_null=True)
    status = EnumField(PaymentStatus)
    currency_code = serializers.CharField(read_only=True)
    amount = AmountField(read_only=True)
    captured_amount = AmountField(read_only=True)
    refunded_amount = AmountField(read_only=True)
    canceled_amount = AmountField(read_only=True)
    charged_back_amount = AmountField(read_only=True)
    reinstated_amount = AmountField(read_only=True)
    capturable_amount = AmountField(read_only=True)
    refundable_amount = AmountField(read_only=True)
    captures = CaptureSerializer(many=True, read_only=True)
    refunds = RefundSerializer(many=True, read_only=True)
    unclear = UnclearSerializer(source="unclear_operations", many=True, read_only=True)
    metadata = ObjectField(read_only=True)
    provider_data = ObjectField(read_only=True)
    expires_at = MomentField(allow_null=True)
    captured_at = MomentField(allow_null=True)
    canceled_at = MomentField(allow_null=True)
    created_at = MomentField()
    updated_at = MomentField()


class CaptureInput(InputSerializer):
    """The amount to be captured; without one, all that is left."""

    amount = AmountField(required=False)
    metadata = ObjectField(required=False)
    despite_unclear = FlagField(required=False)


class RefundInput(InputSerializer):
    """The amount to be refunded, and why; without one, all that is left."""

    amount = AmountField(required=False)
    refund_reason_id = serializers.CharField(required=False, allow_null=True, max_length=MAX_LENGTH)
    note = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE)
    metadata = ObjectField(required=False)
    despite_unclear = FlagField(required=False)


class PaymentsListView(MoneyListMixin):
    """The list of payments."""

    permissions = {"GET": "view_payment"}
    output = PaymentSerializer
    conditions = {
        "status": filters.OneOf("status", PaymentStatus),
        "provider": filters.equals("provider"),
        "payment_session": filters.equals("session"),
        "provider_reference": filters.provider_reference("session"),
        **filters.of_collection("collection"),
        **filters.amounts(),
        **filters.created(),
    }
    search = replace(PAYMENTS, exact=(*PAYMENTS.exact, "collection__payable_id"))

    def rows(self) -> QuerySet[Payment]:
        """Return all payments."""
        return Payment.objects.select_related("collection").prefetch_related(*reading.PARTS)


class PaymentView(StaffView):
    """A payment."""

    permissions = {"GET": "view_payment"}
    output = PaymentSerializer

    def get(self, request: Request, payment_id: str) -> Response:
        """Answer with the payment."""
        return self.answer(_whole(None, payment_id))


class PaymentActionView(StaffView):
    """A view that runs a verb on a payment."""

    output = PaymentSerializer
    to_view = ("view_payment",)
    statuses = {"POST": (200, 202)}
    kind: ClassVar[OperationKind]

    def act(self, payment: Payment, values: dict[str, Any]) -> Payment | None:
        """Run the verb, and return the payment as it has left it, or None where that must be read."""
        raise NotImplementedError

    def post(self, request: Request, payment_id: str) -> Response:
        """Answer with the payment as it is afterwards: 200, or 202 where that isn't known yet."""
        payment = if_found(reading.find_payment(payment_id))
        values = self.read(currency_code=payment.currency_code)
        result = self.run_verb(lambda: self.act(payment, values), kind=self.kind)
        return self.answer(reconnecting(lambda: _whole(result.row, payment_id)), result.open_operation)


class CapturePaymentView(PaymentActionView):
    """The capture of a payment, in whole or in part."""

    permissions = {"POST": "capture_payment"}
    bodies = {"POST": CaptureInput}
    kind = OperationKind.CAPTURE

    def act(self, payment: Payment, values: dict[str, Any]) -> Payment:
        """Take the amount."""
        return services.capture_payment(payment, **values, **self.origin())


class RefundPaymentView(PaymentActionView):
    """The refund of a payment, in whole or in part."""

    permissions = {"POST": "refund_payment"}
    bodies = {"POST": RefundInput}
    kind = OperationKind.REFUND

    def act(self, payment: Payment, values: dict[str, Any]) -> Payment:
        """Give the amount back."""
        reason = _refund_reason(values.pop("refund_reason_id", None))
        return services.refund_payment(payment, reason=reason, **values, **self.origin())


class CancelPaymentView(PaymentActionView):
    """The release of what a payment holds."""

    permissions = {"POST": "cancel_payment"}
    kind = OperationKind.CANCEL

    def act(self, payment: Payment, values: dict[str, Any]) -> Payment:
        """Release it."""
        return services.cancel_payment(payment, **self.origin())


class SyncPaymentView(PaymentActionView):
    """A question to the provider about a payment's session."""

    permissions = {"POST": "sync_session"}
    kind = OperationKind.SYNC

    def act(self, payment: Payment, values: dict[str, Any]) -> None:
        """Ask."""
        services.sync_payment_session(payment.session, **self.origin())


def _whole(payment: Payment | None, payment_id: str) -> Payment:
    """Return a payment with what its output needs; only its parts are read if a verb has returned it."""
    return reading.with_parts(payment or if_found(reading.find_payment(payment_id)))


def _refund_reason(reason_id: str | None) -> RefundReason | None:
    if reason_id is None:
        return None
    reason = find_row(RefundReason.objects.all(), reason_id)
    if reason is None:
        raise NotFoundError(
            _("There is no refund reason with this id."),
            code="unknown_refund_reason",
            field="refund_reason_id",
        )
    return reason
