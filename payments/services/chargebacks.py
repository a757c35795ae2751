"""Recording what a payer's bank took back from the merchant: nobody asked for it, and somebody has to look at it."""

from __future__ import annotations

from decimal import Decimal

from payments.models import Payment
from payments.services.discrepancies import Discrepancy
from payments.services.journals import Journal
from payments.services.movements import captured_sum
from payments.states import AttentionReason


def record_charge_back(payment: Payment, total: Decimal | None, journal: Journal) -> list[Discrepancy]:
    """Record that a bank has taken back `total` (cumulative, major units) of a payment, as far as that is news.

    Return what a person has to look at. A total never falls here: money that comes back after a won dispute is theirs
    to note.
    """
    known = payment.charged_back_amount
    if total is None or total <= known:
        return []
    captured = captured_sum(payment)
    charged_back = min(total, captured)
    if charged_back > known:
        payment.captured_amount, payment.charged_back_amount = captured, charged_back
        payment.save_fields("captured_amount", "charged_back_amount")
        journal.note("payment.charged_back", payment, amount=charged_back - known)
    # None was expected, whatever is known by now: so the same total, heard again, is the same discrepancy.
    return [Discrepancy.between(AttentionReason.CHARGED_BACK, expected=Decimal(0), reported=total)]
