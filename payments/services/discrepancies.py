"""What a provider reports and our books can't hold: written down, and put before a person."""

from __future__ import annotations

from dataclasses import dataclass, field

from payments.ids import new_operation_id
from payments.models import PaymentOperation, PaymentSession
from payments.services.journals import Journal
from payments.services.operations import end_operation
from payments.states import OperationKind, OperationStatus


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """Say in which way a report differs from what was asked or is possible, and which operation it is about."""

    code: str
    expected: str
    reported: str
    operation: PaymentOperation | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.code}: expected {self.expected}, reported {self.reported}"


def report_discrepancies(
    session: PaymentSession,
    discrepancies: list[Discrepancy],
    *,
    journal: Journal,
    operation: PaymentOperation | None = None,
) -> None:
    """Have an operation need attention: the one that is concerned, or a new one that stands for the report."""
    for discrepancy in discrepancies:
        subject = _subject_of(discrepancy, operation) or _subject_for(session, str(discrepancy))
        if subject is not None:
            _report(session, discrepancy, subject, journal)


def _report(
    session: PaymentSession, discrepancy: Discrepancy, subject: PaymentOperation, journal: Journal
) -> None:
    subject.refresh_from_db()
    if subject.status != OperationStatus.ATTENTION:
        end_operation(subject, lambda: subject.require_attention(detail=str(discrepancy)), journal)
    journal.note(
        "fact.discrepancy",
        session,
        operation=subject,
        data={"code": discrepancy.code, "expected": discrepancy.expected, "reported": discrepancy.reported},
    )


def _subject_of(discrepancy: Discrepancy, operation: PaymentOperation | None) -> PaymentOperation | None:
    """Return the operation that is to blame, unless it has ended well: then the report is about something new."""
    if operation is not None:
        return operation
    concerned = discrepancy.operation
    return concerned if concerned is not None and concerned.status != OperationStatus.SUCCEEDED else None


def _subject_for(session: PaymentSession, detail: str) -> PaymentOperation | None:
    """Return the operation that stands for a report nobody asked for; None where this very report is known."""
    reports = PaymentOperation.objects.filter(session=session, kind=OperationKind.SYNC)
    if reports.filter(detail=detail).exists():
        return None
    return reports.open().first() or _new_report(session)


def _new_report(session: PaymentSession) -> PaymentOperation:
    operation_id = new_operation_id()
    operation = PaymentOperation(
        id=operation_id,
        kind=OperationKind.SYNC,
        target_id=session.pk,
        collection=session.collection,
        session=session,
        payment=session.payment,
        provider=session.provider,
        amount=session.amount,
        idempotency_key=operation_id,
    )
    operation.save(force_insert=True)
    return operation
