"""The factories of captures, refunds, and the reasons for refunds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from payments.models import Capture, Payment, Refund, RefundReason
from payments.states import MovementStatus
from payments.testing.factories.base import RowFactory, settled
from payments.testing.factories.payments import PaymentFactory


def _capturable(row: Any) -> Decimal:
    payment: Payment = row.payment
    return payment.capturable_amount or payment.amount


def _refundable(row: Any) -> Decimal:
    payment: Payment = row.payment
    return payment.refundable_amount or payment.amount


def _succeeded_at(row: Any) -> Any:
    return timezone.now() if row.status == MovementStatus.SUCCEEDED else None


class MovementFactory(RowFactory[Any]):
    """Make a movement that succeeded, and settle its payment and collection."""

    class Meta:
        abstract = True

    class Params:
        pending = factory.Trait(status=MovementStatus.PENDING)
        failed = factory.Trait(
            status=MovementStatus.FAILED,
            provider_reference=None,
            error_message="The bank declined.",
        )

    status = MovementStatus.SUCCEEDED
    succeeded_at = factory.LazyAttribute(_succeeded_at)
    error_code = factory.LazyAttribute(lambda row: "declined" if row.status == MovementStatus.FAILED else "")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
        movement = super()._create(model_class, *args, **kwargs)
        settled(movement.payment.collection, movement.payment)
        return movement


class CaptureFactory(MovementFactory):
    """Make a capture that succeeded, of all that its payment holds. Traits: `pending`, `failed`."""

    class Meta:
        model = Capture

    payment = factory.SubFactory(PaymentFactory)
    amount = factory.LazyAttribute(_capturable)
    provider_reference = factory.Sequence(lambda number: f"capture-{number}")


class RefundReasonFactory(RowFactory[RefundReason]):
    """Make a reason for refunds."""

    class Meta:
        model = RefundReason

    label = factory.Sequence(lambda number: f"Returned goods {number}")
    description = "The customer sent the goods back."


class RefundFactory(MovementFactory):
    """Make a refund that succeeded, of all that was captured of its payment. Traits: `pending`, `failed`."""

    class Meta:
        model = Refund

    payment = factory.SubFactory(PaymentFactory, captured=True)
    amount = factory.LazyAttribute(_refundable)
    reason = factory.SubFactory(RefundReasonFactory)
    note = "Size didn't fit."
    provider_reference = factory.Sequence(lambda number: f"refund-{number}")
