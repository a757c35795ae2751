"""What a provider reports and our books can't hold: written down, and put before a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from payments.ids import new_operation_id
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.services.journals import Journal
from payments.services.operations import end_operation
from payments.states import AttentionReason, OperationKind, OperationStatus

EVENT_TYPE: Final = "fact.discrepancy"


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """Say in which way a report differs from what was asked or is possible, and which operation it is about."""

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
        """Build a discrepancy between two values; amounts are written so that equal ones look the same."""
        return cls(code=code, expected=_written(expected), reported=_written(reported), operation=operation)

    @classmethod
    def read(cls, detail: str) -> Discrepancy | None:
        """Return what an operation's `detail` was written from, or None where it says something else."""
        name, _separator, rest = detail.partition(": expected ")
        expected, separator, reported = rest.partition(", reported ")
        if not separator or name not in AttentionReason.values:
            return None
        code = AttentionReason(name)
        return cls(code=code, expected=expected, reported=reported)

    @property
    def key(self) -> tuple[str, str]:
        """What tells a discrepancy from others of its session: what was expected may have moved on meanwhile."""
        return self.code, self.reported

    def __str__(self) -> str:
        return f"{self.code}: expected {self.expected}, reported {self.reported}"


def _written(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    return str(value)


def report_discrepancies(
    session: PaymentSession,
    discrepancies: list[Discrepancy],
    *,
    journal: Journal,
    operation: PaymentOperation | None = None,
) -> None:
    """Have an operation need attention: the one that is concerned, or one that stands for the report.

    Each discrepancy is told once, however often it is reported.
    """
    if not discrepancies:
        return
    known = _known_reports(session)
    for discrepancy in discrepancies:
        subject = _subject_of(discrepancy, operation)
        is_known = (subject.pk if subject else None, discrepancy.key) in known
        if is_known and operation is None:
            continue
        subject = subject or _report_of(session, journal)
        _require_attention(subject, discrepancy, journal)
        if not is_known:
            _note(session, discrepancy, subject, journal)
            known.update({(subject.pk, discrepancy.key), (None, discrepancy.key)})


def _known_reports(session: PaymentSession) -> set[tuple[str | None, tuple[str, str]]]:
    """Return what the history of a session tells of: each discrepancy with its operation, and by itself."""
    events = PaymentEvent.objects.filter(session=session, type=EVENT_TYPE)
    reports = [(pk, Discrepancy(**data).key) for pk, data in events.values_list("operation_id", "data")]
    return {*reports, *((None, key) for _pk, key in reports)}


def _require_attention(subject: PaymentOperation, discrepancy: Discrepancy, journal: Journal) -> None:
    if subject.status != OperationStatus.ATTENTION:
        end_operation(subject, lambda: subject.require_attention(detail=str(discrepancy)), journal)
    elif str(discrepancy) not in subject.detail.splitlines():
        subject.detail = "\n".join(filter(None, [subject.detail, str(discrepancy)]))
        subject.save_fields("detail")


def _note(
    session: PaymentSession, discrepancy: Discrepancy, subject: PaymentOperation, journal: Journal
) -> None:
    journal.note(
        EVENT_TYPE,
        session,
        operation=subject,
        data={"code": discrepancy.code, "expected": discrepancy.expected, "reported": discrepancy.reported},
    )


def _subject_of(discrepancy: Discrepancy, asked: PaymentOperation | None) -> PaymentOperation | None:
    """Return the operation that a report is about: the one that was asked, or else one that hasn't ended well."""
    operation = asked or discrepancy.operation
    if operation is None or not _can_stand_for(operation):
        return None
    has_ended_well = operation.status == OperationStatus.SUCCEEDED
    return None if asked is None and has_ended_well else operation


def _can_stand_for(operation: PaymentOperation) -> bool:
    """Return whether an operation can need attention: an ended one can't while another has taken its place."""
    if operation.is_open:
        return True
    key = operation.key_in_flight(target_id=operation.target_id, kind=operation.kind)
    return not PaymentOperation.objects.filter(in_flight_key=key).exists()


def _report_of(session: PaymentSession, journal: Journal) -> PaymentOperation:
    """Return the open operation that stands for reports nobody asked for, or a new one."""
    reports = PaymentOperation.objects.open().filter(session=session, kind=OperationKind.SYNC)
    return reports.first() or _new_report(session, journal)


def _new_report(session: PaymentSession, journal: Journal) -> PaymentOperation:
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
        source=journal.origin.source,
    )
    operation.save(force_insert=True)
    return operation
