"""Our books held against the service's ledger, amount by amount and movement by movement."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from payments.models import Capture, Payment, PaymentSession, Refund
from payments.money import ZERO, from_minor_units
from payments.simulator import SimulatorService
from payments.states import MovementStatus


@dataclass(frozen=True, kw_only=True)
class Books:
    """Say what became of one session's money, in major units, and in how many movements."""

    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    canceled: Decimal
    charged_back: Decimal
    captures: int
    refunds: int


def our_books(session: PaymentSession) -> Books:
    """Return what our rows add up to."""
    payment = Payment.objects.filter(session=session).first()
    captures = Capture.objects.filter(payment__session=session, status=MovementStatus.SUCCEEDED)
    refunds = Refund.objects.filter(payment__session=session, status=MovementStatus.SUCCEEDED)
    return Books(
        authorized=ZERO if payment is None else payment.amount,
        captured=sum((row.amount for row in captures), ZERO),
        refunded=sum((row.amount for row in refunds), ZERO),
        canceled=ZERO if payment is None else payment.canceled_amount,
        charged_back=ZERO if payment is None else payment.charged_back_amount,
        captures=len(captures),
        refunds=len(refunds),
    )


def their_books(session: PaymentSession, service: SimulatorService) -> Books:
    """Return what the service's ledger adds up to."""
    totals = service.totals(session.pk)
    return Books(
        authorized=from_minor_units(totals.authorized, session.currency_code),
        captured=from_minor_units(totals.captured, session.currency_code),
        refunded=from_minor_units(totals.refunded, session.currency_code),
        canceled=from_minor_units(totals.canceled, session.currency_code),
        charged_back=from_minor_units(totals.charged_back, session.currency_code),
        captures=totals.captures,
        refunds=totals.refunds,
    )


def books_equal_ledger(session: PaymentSession, service: SimulatorService) -> bool:
    """Check that our books say what the ledger says, and that nothing was opened or held twice; fail otherwise."""
    assert our_books(session) == their_books(session, service)
    totals = service.totals(session.pk)
    assert totals.intents <= 1, "The service has the session twice."
    assert totals.authorizations <= 1, "The service holds the money twice."
    return True
