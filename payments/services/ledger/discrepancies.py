"""Reports of a provider that our books can't hold: recorded, and brought to a person's attention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from payments.ids import new_operation_id
from payments.models import PaymentOperation, PaymentSession
from payments.services.ledger.books import Books, UnreadReportsError
from payments.services.ledger.history import DISCREPANCY
from payments.services.ledger.operations import note_attention
from payments.states import AttentionReason, OperationKind, OperationStatus

_WORDS_OF_PERSONS: Final = frozenset(
    {
        AttentionReason.AUTHORIZATION_NOT_CONFIRMED,
        AttentionReason.CAPTURE_NOT_CONFIRMED,
        AttentionReason.REFUND_NOT_CONFIRMED,
    }
)


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """A difference between a report and what was requested or is possible, and the operation concerned."""

    code: AttentionReason
    expected: str
    reported: str
    operation: PaymentOperation | None = field(default=None, repr=False)

    @classmethod
    def between(
        cls,
        code: AttentionReason,
        *,
        expected: object,
        reported: object,
        operation: PaymentOperation | None = None,
    ) -> Discrepancy:
        """Build a discrepancy between two values; equal amounts give equal texts."""
        return cls(code=code, expected=_written(expected), reported=_written(reported), operation=operation)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Discrepancy | None:
        """Build a discrepancy from a stored entry; return None if the entry isn't one of a discrepancy."""
        if entry.get("code") not in AttentionReason.values or not {"expected", "reported"} <= set(entry):
            return None
        return cls(
            code=AttentionReason(entry["code"]),
            expected=str(entry["expected"]),
            reported=str(entry["reported"]),
        )

    @property
    def key(self) -> tuple[str, str]:
        """What identifies a discrepancy within its session: not `expected`, which may have changed meanwhile.

        Where a person's word isn't confirmed, the word makes it another one.
        """
        is_word = self.code in _WORDS_OF_PERSONS
        return self.code, f"{self.expected} {self.reported}" if is_word else self.reported

    @property
    def entry(self) -> dict[str, str]:
        """The form in which an operation and the history store the discrepancy."""
        return {"code": str(self.code), "expected": self.expected, "reported": self.reported}

    def __str__(self) -> str:
        return f"{self.code}: expected {self.expected}, reported {self.reported}"


def _written(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    return str(value)


def reasons_in(detail: str, discrepancies: Iterable[Mapping[str, str]]) -> list[Discrepancy | str]:
    """Return the lines of an operation's `detail`, or instead of a line the discrepancy that it describes."""
    by_line = {str(found): found for found in map(Discrepancy.of, discrepancies) if found is not None}
    return [by_line.get(line, line) for line in detail.splitlines()]


def report_discrepancies(
    books: Books,
    session: PaymentSession,
    discrepancies: list[Discrepancy],
    *,
    operation: PaymentOperation | None = None,
) -> None:
    """Have an operation need attention: the operation concerned, or one that stands for the report.

    A discrepancy that is reported repeatedly is recorded once.
    """
    if books.reports is None:
        raise UnreadReportsError(session.pk)
    known = books.reports.setdefault(session.pk, set())
    for discrepancy in discrepancies:
        subject = _subject_of(books, discrepancy, operation)
        is_known = (subject.pk if subject else None, *discrepancy.key) in known
        if is_known and operation is None:
            continue
        subject = subject or _report_of(books, session)
        _bring_up(books, subject, discrepancy)
        if not is_known:
            _note(books, session, discrepancy, subject)
            known |= {(subject.pk, *discrepancy.key), (None, *discrepancy.key)}


def _bring_up(books: Books, subject: PaymentOperation, discrepancy: Discrepancy) -> None:
    if subject.status != OperationStatus.ATTENTION:
        note_attention(books, subject, str(discrepancy), discrepancies=[discrepancy.entry])
    elif str(discrepancy) not in subject.detail.splitlines():
        subject.detail = "\n".join(filter(None, [subject.detail, str(discrepancy)]))
        subject.discrepancies = [*subject.discrepancies, discrepancy.entry]


def _note(books: Books, session: PaymentSession, discrepancy: Discrepancy, subject: PaymentOperation) -> None:
    books.note(
        DISCREPANCY,
        session,
        operation=subject,
        data=discrepancy.entry,
    )


def _subject_of(
    books: Books, discrepancy: Discrepancy, asked: PaymentOperation | None
) -> PaymentOperation | None:
    """Return the operation that a report is about: the one that it answers, or else one that didn't succeed."""
    operation = asked or discrepancy.operation
    if operation is None or not _can_stand_for(books, operation):
        return None
    has_ended_well = operation.status == OperationStatus.SUCCEEDED
    return None if asked is None and has_ended_well else operation


def _can_stand_for(books: Books, operation: PaymentOperation) -> bool:
    """Return whether an operation can need attention; an ended one can't while another is in flight in its place."""
    if operation.is_open:
        return True
    key = operation.key_in_flight(target_id=operation.target_id, kind=operation.kind)
    return all(row.in_flight_key != key for row in books.operations)


def _report_of(books: Books, session: PaymentSession) -> PaymentOperation:
    """Return the open operation that stands for a session's unrequested reports, or a new one."""
    for row in books.open_operations(OperationKind.SYNC):
        if row.session_id == session.pk:
            return row
    return _new_report(books, session)


def _new_report(books: Books, session: PaymentSession) -> PaymentOperation:
    operation_id = new_operation_id()
    operation = PaymentOperation(
        id=operation_id,
        kind=OperationKind.SYNC,
        target_id=session.pk,
        in_flight_key=PaymentOperation.key_in_flight(target_id=session.pk, kind=OperationKind.SYNC),
        collection=books.collection,
        session=session,
        payment=session.payment,
        provider_id=session.provider_id,
        amount=session.amount,
        source=books.origin.source,
    )
    books.add(operation)
    return operation
