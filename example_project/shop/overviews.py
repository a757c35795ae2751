"""What an order's page says about its payment: how much is paid, held and open, and in which parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from django.utils.translation import gettext_lazy as _

from example_project.shop.models import Order
from payments.models import Payment, PaymentCollection, PaymentSession, Refund
from payments.money import ZERO
from payments.states import CollectionStatus, MovementStatus, SessionStatus

PROVIDER_NAMES: Final = {"simulator": _("Card"), "system": _("Bank transfer")}
"""What the shop calls its providers in front of a payer."""


@dataclass(frozen=True, kw_only=True)
class PaymentPart:
    """Be one part of an order's payment: an amount with one provider, and what became of it."""

    name: object
    amount: Decimal
    status: str
    label: object
    captured_amount: Decimal = ZERO
    due_at: object = None
    installment: int | None = None
    refunds: list[Refund] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PaymentOverview:
    """Add up an order's payment. All amounts are in major units of the order's currency."""

    collection: PaymentCollection | None
    total: Decimal
    paid: Decimal = ZERO
    held: Decimal = ZERO
    refunded: Decimal = ZERO
    parts: list[PaymentPart] = field(default_factory=list)

    @property
    def open(self) -> Decimal:
        """What nothing covers yet."""
        return max(self.total - self.paid - self.held, ZERO)

    @property
    def is_payable(self) -> bool:
        """Whether the payer can still do something about it."""
        is_over = self.collection is not None and self.collection.status == CollectionStatus.CANCELED
        return self.open > ZERO and not is_over


def overview_of(order: Order) -> PaymentOverview:
    """Return what there is to say about an order's payment."""
    collection = PaymentCollection.objects.for_payable(order).first()
    if collection is None:
        return PaymentOverview(collection=None, total=order.total)
    sessions = collection.sessions.select_related("authorized_payment").order_by("created_at", "id")
    return PaymentOverview(
        collection=collection,
        total=collection.amount,
        paid=collection.captured_amount,
        held=collection.authorized_amount - collection.captured_amount,
        refunded=collection.refunded_amount,
        parts=[_part(session) for session in sessions if _is_worth_showing(session)],
    )


def _is_worth_showing(session: PaymentSession) -> bool:
    return session.payment is not None or session.status != SessionStatus.CANCELED


def _part(session: PaymentSession) -> PaymentPart:
    payment = session.payment
    return PaymentPart(
        name=PROVIDER_NAMES.get(session.provider_id, session.provider_id),
        amount=session.amount if payment is None else payment.amount,
        status=str(session.status if payment is None else payment.status),
        label=session.get_status_display() if payment is None else payment.get_status_display(),
        captured_amount=ZERO if payment is None else payment.captured_amount,
        due_at=session.due_at,
        installment=session.installment,
        refunds=_refunds(payment),
    )


def _refunds(payment: Payment | None) -> list[Refund]:
    if payment is None:
        return []
    return list(payment.refunds.filter(status=MovementStatus.SUCCEEDED).select_related("reason"))
