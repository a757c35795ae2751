"""The transitions of a session, each with what is saved and what the history says of it.

Whoever calls one holds the collection's lock, and settles the collection afterwards.
"""

from __future__ import annotations

from decimal import Decimal

from django.utils import timezone

from payments.models import Payment, PaymentSession
from payments.providers import Failure
from payments.services.journals import Journal
from payments.states import SessionStatus


def fail_session(session: PaymentSession, failure: Failure, journal: Journal) -> None:
    """Record that a session was refused, for a reason that its payer may read."""
    before = str(session.status)
    session.fail(code=failure.code[:64], message=failure.message)
    session.save_fields("status", "next_action", "error_code", "error_message")
    journal.note(
        "session.failed", session, from_status=before, amount=session.amount, data={"code": failure.code}
    )


def cancel_session(session: PaymentSession, journal: Journal) -> None:
    """Record that a session is abandoned or its authorization released."""
    before = str(session.status)
    if session.is_unauthorized:
        note_expiry(session, journal)
    session.cancel()
    session.canceled_at = timezone.now()
    session.save_fields("status", "canceled_at", "next_action")
    journal.note("session.canceled", session, from_status=before, amount=session.amount)


def note_expiry(row: PaymentSession | Payment, journal: Journal) -> None:
    """Note of what is being given up that its time was over, whoever gives it up."""
    if row.expires_at is None or row.expires_at > timezone.now():
        return
    event_type = "session.expired" if isinstance(row, PaymentSession) else "payment.expired"
    journal.note(event_type, row, amount=row.amount, data={"expires_at": str(row.expires_at)})


def change_amount(
    session: PaymentSession, amount: Decimal, journal: Journal, *, makes_split: bool = False
) -> None:
    """Record that an unauthorized session is for another amount, and waits for authorization anew."""
    before = str(session.status)
    old = session.amount
    session.amount = amount
    session.is_split = session.is_split or makes_split
    if session.status != SessionStatus.PENDING:
        session.reopen()
    session.save_fields("status", "amount", "is_split", "next_action", "error_code", "error_message")
    journal.note("session.updated", session, from_status=before, amount=amount, data={"old_amount": str(old)})
