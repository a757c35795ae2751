"""Captures and refunds, as a payment shows them to operators."""

from __future__ import annotations

from typing import TypedDict

from rest_framework import serializers

from payments.api.fields import AmountField, ErrorField, MomentField, WordField
from payments.api.serializers import OutputSerializer
from payments.models import Refund
from payments.states import MovementStatus


class NamedReason(TypedDict):
    """Name the reason of a refund."""

    id: str
    label: str


class MovementSerializer(OutputSerializer):
    """Show a movement of money."""

    id = serializers.CharField(read_only=True)
    status = WordField(MovementStatus)
    amount = AmountField(read_only=True)
    provider_reference = serializers.CharField(read_only=True, allow_null=True)
    error = ErrorField()
    created_at = MomentField()
    succeeded_at = MomentField(allow_null=True)


class CaptureSerializer(MovementSerializer):
    """Show a capture; of money that came by another way, when, under which reference of the payer's, and a note."""

    received_at = MomentField(allow_null=True)
    reference = serializers.CharField(read_only=True)
    note = serializers.CharField(read_only=True)


class RefundSerializer(MovementSerializer):
    """Show a refund, and why it was made."""

    refund_reason = serializers.SerializerMethodField()
    note = serializers.CharField(read_only=True)

    def get_refund_reason(self, refund: Refund) -> NamedReason | None:
        """Return the reason, or None."""
        return None if refund.reason is None else NamedReason(id=refund.reason.pk, label=refund.reason.label)
