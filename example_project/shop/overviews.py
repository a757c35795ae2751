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
    """One part of an order's payment: an amount with one provider, and what became of it."""

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
    """An order's payment in all. All amounts are in major units of the order's currency."""

    total: Decimal
    is_canceled: bool = False
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
        return self.open > ZERO and not self.is_canceled


def overview_of(order: Order) -> PaymentOverview:
    """Return what there is to say about an order's payment."""
    rows = list(PaymentCollection.objects.for_payable(order))
    alive = [row for row in rows if row.status != CollectionStatus.CANCELED]
    shown = alive or rows[:1]
    # A canceled collection that holds money takes no more.
    amounts = (row.authorized_amount if alive and row.is_canceled else row.amount for row in shown)
    total = sum(amounts, ZERO)
    sessions = PaymentSession.objects.filter(collection__in=shown).select_related("authorized_payment")
    captured = sum((row.captured_amount for row in shown), ZERO)
    return PaymentOverview(
        total=total if shown else order.total,
        is_canceled=bool(rows) and not alive,
        paid=captured,
        held=sum((row.authorized_amount for row in shown), ZERO) - captured,
        refunded=sum((row.refunded_amount for row in shown), ZERO),
        parts=[_part(row) for row in sessions.order_by("created_at", "id") if _is_worth_showing(row)],
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
