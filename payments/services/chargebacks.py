"""Recording what a payer's bank took back from the merchant: nobody asked for it, and somebody has to look at it.

What comes back after a dispute was won is recorded too. Both totals only grow, so a late report changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

from payments.models import Payment
from payments.money import ZERO
from payments.providers import SessionFact
from payments.services.discrepancies import Discrepancy
from payments.services.journals import Journal
from payments.services.movements import captured_sum
from payments.states import AttentionReason


def record_charge_back(payment: Payment, fact: SessionFact, journal: Journal) -> list[Discrepancy]:
    """Record what a bank has taken back of a payment, and what of that came back, as far as it is news.

    Return what a person has to look at: a withdrawal, unless all of it came back already. One whose amount nobody knows
    in the payment's currency is none of the books' sums.
    """
    unclear = [_charged_back(words) for words in fact.unclear_charge_backs]
    return [*_record_totals(payment, fact, journal), *unclear]


def _record_totals(payment: Payment, fact: SessionFact, journal: Journal) -> list[Discrepancy]:
    taken, returned = fact.charged_back_amount or ZERO, fact.reinstated_amount or ZERO
    is_news = taken > payment.charged_back_amount
    if not is_news and returned <= payment.reinstated_amount:
        return []
    total = max(taken, payment.charged_back_amount)
    reinstated = min(max(returned, payment.reinstated_amount), total)
    captured = captured_sum(payment)
    _grow(payment, "charged_back", min(total, captured + reinstated), journal)
    _grow(payment, "reinstated", reinstated, journal)
    payment.captured_amount = captured
    payment.save_fields("captured_amount", "charged_back_amount", "reinstated_amount")
    if not is_news or reinstated == total:
        return []
    return [_charged_back(taken)]


def _charged_back(reported: object) -> Discrepancy:
    # None was expected, whatever is known by now: so the same total, heard again, is the same discrepancy.
    return Discrepancy.between(AttentionReason.CHARGED_BACK, expected=ZERO, reported=reported)


def _grow(payment: Payment, what: str, total: Decimal, journal: Journal) -> None:
    """Set the total of what was charged back or reinstated, and note by how much it grew."""
    growth = total - getattr(payment, f"{what}_amount")
    if growth > ZERO:
        setattr(payment, f"{what}_amount", total)
        journal.note(f"payment.{what}", payment, amount=growth)
