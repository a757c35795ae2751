"""Recording the captures and refunds that a provider reports, each once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.utils import timezone

from payments.models import Capture, Payment, PaymentOperation, Refund
from payments.providers import Failure, MovementFact, SessionFact
from payments.services.discrepancies import Discrepancy
from payments.services.journals import Journal
from payments.services.operations import end_operation
from payments.states import MovementKind, MovementStatus, OperationStatus

ZERO: Final = Decimal(0)
FAILED: Final = Failure(code="failed")

Movement = Capture | Refund

_EVENTS: Final = {MovementKind.CAPTURE: "payment.captured", MovementKind.REFUND: "payment.refunded"}
_FAILURES: Final = {MovementKind.CAPTURE: "capture.failed", MovementKind.REFUND: "refund.failed"}


def captured_sum(payment: Payment) -> Decimal:
    """Return what was captured of a payment, from its rows."""
    return _sum(payment, MovementKind.CAPTURE, MovementStatus.SUCCEEDED)


def refunded_sum(payment: Payment) -> Decimal:
    """Return what was refunded of a payment, from its rows."""
    return _sum(payment, MovementKind.REFUND, MovementStatus.SUCCEEDED)


def pending_sum(payment: Payment, kind: MovementKind) -> Decimal:
    """Return what is reserved by captures or refunds whose outcome isn't known yet."""
    return _sum(payment, kind, MovementStatus.PENDING)


def fail_movement(row: Movement, failure: Failure, journal: Journal) -> None:
    """Record that a capture or refund moved nothing, so that its amount is free again."""
    before = str(row.status)
    row.fail(code=failure.code[:64], message=failure.message)
    row.save_fields("status", "error_code", "error_message")
    journal.note(
        _FAILURES[_kind_of(row)], row, from_status=before, amount=row.amount, data={"code": failure.code}
    )


@dataclass(kw_only=True)
class MovementRecorder:
    """Bring a payment's captures and refunds in line with a fact."""

    payment: Payment
    journal: Journal
    discrepancies: list[Discrepancy]

    def record(self, fact: SessionFact) -> None:
        """Record each movement that is listed, then what the totals say beyond them."""
        for movement in sorted(fact.movements, key=lambda movement: movement.kind):
            self._record_movement(movement)
        self._record_total(MovementKind.CAPTURE, fact.captured_amount)
        self._record_total(MovementKind.REFUND, fact.refunded_amount)

    def _record_movement(self, movement: MovementFact) -> None:
        operation = self._operation_of(movement)
        row = self._row_of(movement, operation)
        if movement.currency_code != self.payment.currency_code:
            self._differ("currency_mismatch", self.payment.currency_code, movement.currency_code, operation)
        elif row is None:
            self._record_foreign(movement)
        elif movement.amount != row.amount:
            self._differ(f"{movement.kind}_amount_mismatch", row.amount, movement.amount, operation)
        else:
            self._advance(row, movement, operation)

    def _advance(self, row: Movement, movement: MovementFact, operation: PaymentOperation | None) -> None:
        if movement.provider_reference and row.provider_reference is None:
            row.provider_reference = movement.provider_reference
            row.save_fields("provider_reference")
        if movement.status == MovementStatus.SUCCEEDED:
            if row.status != MovementStatus.SUCCEEDED and self._has_room(row, operation):
                self._succeed(row, operation)
        elif movement.status == MovementStatus.PENDING:
            self._await(operation)
        else:
            self._fail(row, movement.failure or FAILED, operation)

    def _succeed(self, row: Movement, operation: PaymentOperation | None) -> None:
        before = str(row.status)
        row.succeed()
        row.succeeded_at = timezone.now()
        row.save_fields("status", "succeeded_at", "error_code", "error_message")
        self.journal.note(
            _EVENTS[_kind_of(row)], row, from_status=before, amount=row.amount, operation=operation
        )
        if operation is not None and operation.status != OperationStatus.SUCCEEDED:
            end_operation(operation, operation.succeed, self.journal)

    def _await(self, operation: PaymentOperation | None) -> None:
        if operation is not None and operation.status in (
            OperationStatus.PROCESSING,
            OperationStatus.UNKNOWN,
        ):
            end_operation(operation, operation.await_provider, self.journal)

    def _fail(self, row: Movement, failure: Failure, operation: PaymentOperation | None) -> None:
        if row.status == MovementStatus.FAILED:
            return
        if isinstance(row, Capture) and row.status == MovementStatus.SUCCEEDED:
            self._differ("capture_failed_late", MovementStatus.SUCCEEDED, MovementStatus.FAILED, operation)
            return
        fail_movement(row, failure, self.journal)
        if operation is not None and operation.is_open:
            end_operation(
                operation,
                lambda: operation.decline(code=failure.code[:64], message=failure.message),
                self.journal,
            )

    def _record_foreign(self, movement: MovementFact) -> None:
        """Record what was done at the provider itself."""
        if movement.status == MovementStatus.FAILED or movement.amount <= ZERO:
            return
        model = Capture if movement.kind == MovementKind.CAPTURE else Refund
        row = model(
            payment=self.payment,
            amount=movement.amount,
            provider_reference=movement.provider_reference or None,
        )
        if movement.status == MovementStatus.SUCCEEDED and not self._has_room(row, None):
            return
        row.save(force_insert=True)
        if movement.status == MovementStatus.SUCCEEDED:
            self._succeed(row, None)

    def _record_total(self, kind: MovementKind, total: Decimal | None) -> None:
        """Explain a cumulative amount that is higher than the rows add up to."""
        missing = ZERO if total is None else total - _sum(self.payment, kind, MovementStatus.SUCCEEDED)
        if missing <= ZERO:
            return
        for row in _rows(self.payment, kind, MovementStatus.PENDING):
            if row.amount == missing:
                operation = row.operations.first()
                if self._has_room(row, operation):
                    self._succeed(row, operation)
                return
        self._record_foreign(
            MovementFact(
                kind=kind,
                status=MovementStatus.SUCCEEDED,
                amount=missing,
                currency_code=self.payment.currency_code,
            )
        )

    def _has_room(self, row: Movement, operation: PaymentOperation | None) -> bool:
        """Return whether the books can hold a movement; make room for a capture, whatever it takes."""
        if isinstance(row, Capture):
            self._make_room(captured_sum(self.payment) + row.amount)
            return True
        captured, refunded = captured_sum(self.payment), refunded_sum(self.payment) + row.amount
        if refunded > captured:
            self._differ("refunded_more_than_captured", captured, refunded, operation)
        return refunded <= captured

    def _make_room(self, captured: Decimal) -> None:
        """Have the payment be large enough for what the provider took: it has taken it."""
        payment = self.payment
        if captured + payment.canceled_amount <= payment.amount:
            return
        code = "captured_more_than_authorized" if captured > payment.amount else "captured_after_release"
        self._differ(code, payment.amount - payment.canceled_amount, captured, None)
        payment.amount = max(payment.amount, captured)
        payment.canceled_amount = min(payment.canceled_amount, payment.amount - captured)
        payment.save_fields("amount", "canceled_amount")

    def _operation_of(self, movement: MovementFact) -> PaymentOperation | None:
        if movement.operation_id is None:
            return None
        rows = PaymentOperation.objects.select_related("capture", "refund")
        return rows.filter(pk=movement.operation_id, payment=self.payment, kind=movement.kind).first()

    def _row_of(self, movement: MovementFact, operation: PaymentOperation | None) -> Movement | None:
        if operation is not None:
            row: Movement | None = operation.capture or operation.refund
        elif movement.provider_reference:
            rows = _rows(self.payment, movement.kind)
            row = next((row for row in rows if row.provider_reference == movement.provider_reference), None)
        else:
            row = None
        if row is not None:
            row.payment = self.payment
        return row

    def _differ(
        self, code: str, expected: object, reported: object, operation: PaymentOperation | None
    ) -> None:
        self.discrepancies.append(
            Discrepancy(code=code, expected=str(expected), reported=str(reported), operation=operation)
        )


def _kind_of(row: Movement) -> MovementKind:
    return MovementKind.CAPTURE if isinstance(row, Capture) else MovementKind.REFUND


def _rows(payment: Payment, kind: MovementKind, *statuses: MovementStatus) -> list[Movement]:
    rows = payment.captures.all() if kind == MovementKind.CAPTURE else payment.refunds.all()
    return list(rows.filter(status__in=statuses) if statuses else rows)


def _sum(payment: Payment, kind: MovementKind, status: MovementStatus) -> Decimal:
    return sum((row.amount for row in _rows(payment, kind, status)), ZERO)
