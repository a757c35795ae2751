"""Recording the captures and refunds that a provider reports, each once, and what a payer's bank took back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Final

from django.utils import timezone

from payments.models import Capture, Payment, PaymentOperation, Refund
from payments.money import ZERO
from payments.providers import Failure, MovementFact, SessionFact
from payments.services.ledger.books import Books, Movement, StaleBooksError
from payments.services.ledger.discrepancies import Discrepancy
from payments.services.ledger.locks import RETRIES
from payments.services.ledger.operations import link_movement
from payments.states import AttentionReason, MovementKind, MovementStatus, OperationStatus

FAILED: Final = Failure(code="failed")

MAX_GUESSED: Final = 10
"""Among how many pending rows those are looked for that a total explains."""

_EVENTS: Final = {MovementKind.CAPTURE: "payment.captured", MovementKind.REFUND: "payment.refunded"}
_MODELS: Final[Mapping[MovementKind, type[Movement]]] = {
    MovementKind.CAPTURE: Capture,
    MovementKind.REFUND: Refund,
}
_FAILURES: Final = {MovementKind.CAPTURE: "capture.failed", MovementKind.REFUND: "refund.failed"}


def fail_movement(books: Books, row: Movement, failure: Failure) -> None:
    """Record that a capture or refund moved nothing, so that its amount is free again."""
    before = str(row.status)
    row.fail(code=failure.code[:64], message=failure.message)
    books.note(
        _FAILURES[_kind_of(row)], row, from_status=before, amount=row.amount, data={"code": failure.code}
    )


def record_charge_back(books: Books, payment: Payment, fact: SessionFact) -> list[Discrepancy]:
    """Record what a bank has taken back of a payment, and what of that came back, as far as it is news.

    Both totals only grow, so a late report changes nothing. Return what a person has to look at: a withdrawal, unless
    all of it came back already. One whose amount nobody knows in the payment's currency is none of the books' sums.
    """
    unclear = [_charged_back(words) for words in fact.unclear_charge_backs]
    return [*_record_charged_back_totals(books, payment, fact), *unclear]


@dataclass(kw_only=True)
class MovementRecorder:
    """The rules that bring a payment's captures and refunds in line with a fact.

    `operation` is the one whose answer the fact is, if it is one's. `has_refused_refund` says that the books couldn't
    hold a refund, so that a total which it is a part of explains nothing else.
    """

    books: Books
    payment: Payment
    discrepancies: list[Discrepancy]
    operation: PaymentOperation | None = None
    has_refused_refund: bool = False

    def record(self, fact: SessionFact) -> None:
        """Record each movement that is listed, then what the total says beyond them: what was taken comes first."""
        totals = {MovementKind.CAPTURE: fact.captured_amount, MovementKind.REFUND: fact.refunded_amount}
        for kind, total in totals.items():
            for movement in fact.movements:
                if movement.kind == kind:
                    self._record_movement(movement, total)
            self._record_total(kind, total)

    def _record_movement(self, movement: MovementFact, total: Decimal | None) -> None:
        operation = self._operation_of(movement)
        row = self._row_of(movement, operation)
        if operation is not None and row is not None:
            row = self._own_row(row, movement, operation, total)
        if operation is None and row is not None:  # The provider names its own reference only.
            operation = next(iter(self.books.open_operations(target_id=row.pk)), None)
        if movement.currency_code != self.payment.currency_code:
            self._differ(
                AttentionReason.CURRENCY_MISMATCH,
                self.payment.currency_code,
                movement.currency_code,
                operation,
            )
        elif row is None:
            self._record_foreign(movement, total)
        elif movement.amount != row.amount:
            self._differ(
                AttentionReason(f"{movement.kind}_amount_mismatch"), row.amount, _named(movement), operation
            )
        elif self._takes_reference(row, movement.provider_reference, operation):
            self._advance(row, movement, operation)

    def _takes_reference(
        self, row: Movement, reference: str | None, operation: PaymentOperation | None
    ) -> bool:
        """Give a row the provider's reference, which counts for more than a person's.

        Return False where another row has it, and nobody knows why.
        """
        if not reference or not _may_be_named(row):
            return True
        if self._row_under(_kind_of(row), reference) not in (None, row):
            self._differ(AttentionReason.REFERENCE_REUSED, row.pk, reference, operation)
            return False
        row.provider_reference, row.is_named_by_person = reference, False
        return True

    def _own_row(
        self, row: Movement, movement: MovementFact, operation: PaymentOperation, total: Decimal | None
    ) -> Movement:
        """Return what an operation did by its provider's word, which counts for more than a person's."""
        if movement.provider_reference and row.provider_reference == movement.provider_reference:
            link_movement(operation, row)
        elif self._is_of_another(row, movement, operation, total):
            return self._part(operation, movement)
        return row

    def _is_of_another(
        self, row: Movement, movement: MovementFact, operation: PaymentOperation, total: Decimal | None
    ) -> bool:
        """Return whether a person took for an operation's own what its provider knows under two names.

        A total without room for both says that they are one.
        """
        reference = movement.provider_reference
        is_over = row.status == MovementStatus.SUCCEEDED and movement.status != MovementStatus.PENDING
        if not (operation.resolution_reason and is_over and reference) or _may_be_named(row):
            return False
        known = self._row_under(movement.kind, reference)
        if known is not None:
            return self._operation_on(known) is None
        return total is None or self._sum(movement.kind) + movement.amount <= total

    def _part(self, operation: PaymentOperation, movement: MovementFact) -> Movement:
        """Have an operation have done what its provider says, and not what a person took for it; both stay booked."""
        row = self._row_under(movement.kind, movement.provider_reference)
        if row is None and operation.own_movement_id is not None:
            row = self.books.movement(operation.own_movement_id)
        if row is None:
            row = _MODELS[movement.kind](payment=self.payment, amount=movement.amount)
            self.books.add(row)
        link_movement(operation, row)
        if movement.status == MovementStatus.FAILED and operation.status == OperationStatus.SUCCEEDED:
            operation.correct(code=(movement.failure or FAILED).code[:64])
        return row

    def _advance(self, row: Movement, movement: MovementFact, operation: PaymentOperation | None) -> None:
        if movement.status == MovementStatus.SUCCEEDED:
            row.is_by_person = row.is_by_person and self._is_word_of_person(row)
            is_news = row.status != MovementStatus.SUCCEEDED and not _failed_after_all(row)
            if is_news and self._has_room(row, operation):
                self._succeed(row, operation or self._operation_on(row))
        elif movement.status == MovementStatus.PENDING:
            self._await(operation)
        else:
            self._fail(row, movement.failure or FAILED, operation)

    def _succeed(self, row: Movement, operation: PaymentOperation | None, *, is_new: bool = False) -> None:
        before = "" if is_new else str(row.status)
        row.succeed()
        row.succeeded_at = timezone.now()
        self.books.note(
            _EVENTS[_kind_of(row)],
            row,
            from_status=before,
            to_status=str(row.status),
            amount=row.amount,
            operation=operation,
            data=_receipt_of(row),
        )
        if operation is not None and operation.status != OperationStatus.SUCCEEDED:
            operation.succeed()

    def _await(self, operation: PaymentOperation | None) -> None:
        if operation is None or operation.status not in (OperationStatus.PROCESSING, OperationStatus.UNKNOWN):
            return
        # Whoever has asked may never record the answer, so that the reconciler has to know of it from here on.
        operation.next_attempt_at = operation.next_attempt_at or timezone.now() + RETRIES[0]
        operation.await_provider()

    def _fail(self, row: Movement, failure: Failure, operation: PaymentOperation | None) -> None:
        if row.status == MovementStatus.FAILED:
            return
        if isinstance(row, Capture) and row.status == MovementStatus.SUCCEEDED:
            self._differ(
                AttentionReason.CAPTURE_FAILED_LATE,
                MovementStatus.SUCCEEDED,
                f"{row.pk} {MovementStatus.FAILED}",
                operation,
            )
            return
        fail_movement(self.books, row, failure)
        if operation is not None and operation.is_open:
            operation.decline(code=failure.code[:64], message=failure.message)

    def _record_foreign(self, movement: MovementFact, total: Decimal | None) -> None:
        """Record what was done at the provider itself, unless it is a part of what a total has told of already."""
        if movement.status == MovementStatus.FAILED or movement.amount <= ZERO:
            return
        if not movement.provider_reference:
            if total is None:
                self._differ(
                    AttentionReason(f"{movement.kind}_without_reference"),
                    "a reference",
                    movement.amount,
                    None,
                )
        elif (row := self._nameless(movement)) is not None:
            row.provider_reference = movement.provider_reference
        elif total is None and (alike := self._alike(movement)):
            names = ", ".join(f"{row.pk} {row.provider_reference or ''}".rstrip() for row in alike)
            self._differ(AttentionReason.POSSIBLY_BOOKED, names, _named(movement), None)
        elif self._may_be_known(movement, total):
            self._name_as_reported(movement)
        else:
            self._insert(movement.kind, movement.amount, movement.status, movement.provider_reference)

    def _may_be_known(self, movement: MovementFact, total: Decimal | None) -> bool:
        """Return whether a movement may be a part of what a total, or an answer without a reference, has told of.

        Where every row that has moved money has the provider's reference, one with another reference is another one. A
        reference that a person has given is no such one, for they may have mistaken it.
        """
        rows = (
            row
            for row in self._rows(movement.kind)
            if row.provider_reference is None or (row.is_named_by_person and row.amount == movement.amount)
        )
        if total is None or all(row.succeeded_at is None for row in rows):
            return False
        return self._sum(movement.kind) + movement.amount > total

    def _name_as_reported(self, movement: MovementFact) -> None:
        """Give its own reference to the one row that lacks the provider's, and that a total leaves no room beside."""
        alike = self._alike(movement)
        if len(alike) == 1:
            self._takes_reference(alike[0], movement.provider_reference, None)

    def _alike(self, movement: MovementFact) -> list[Movement]:
        """Return the rows that a movement may be, for all that their references say."""
        rows = (row for row in self._rows(movement.kind) if _may_be_named(row))
        return [
            row for row in rows if row.amount == movement.amount and row.status == MovementStatus.SUCCEEDED
        ]

    def _nameless(self, movement: MovementFact) -> Movement | None:
        """Find the row that a total alone has told of, and that this movement explains."""
        rows = (row for row in self._rows(movement.kind) if row.provider_reference is None)
        like = (
            row for row in rows if row.amount == movement.amount and row.status == MovementStatus.SUCCEEDED
        )
        return next((row for row in like if self._operation_on(row) is None), None)

    def _record_total(self, kind: MovementKind, total: Decimal | None) -> None:
        """Explain a cumulative amount that is higher than the rows add up to.

        Where it could be explained in more than one way, nobody knows which: all stays open, and a person is told.
        """
        missing = None if total is None else total - self._sum(kind)
        if missing is not None and missing >= ZERO:
            self._confirm(kind)
        is_silent = kind == MovementKind.REFUND and self.has_refused_refund
        if missing is None or missing <= ZERO or is_silent:
            return
        pending = [row for row in self._rows(kind) if row.status == MovementStatus.PENDING]
        explanations = _adding_up_to(missing, pending)
        if explanations is None or len(explanations) > 1:
            self._differ(
                AttentionReason(f"{kind}_without_reference"), "which of those under way it is", total, None
            )
            return
        for row in explanations[0] if explanations else ():
            operation = self._operation_on(row)
            if self._has_room(row, operation):
                self._succeed(row, operation)
        if not explanations:
            self._insert(kind, missing, MovementStatus.SUCCEEDED, None)

    def _is_word_of_person(self, row: Movement) -> bool:
        """Return whether what is recorded is only that a person has received money outside of any provider."""
        return self.operation is not None and isinstance(row, Capture) and row.received_at is not None

    def _confirm(self, kind: MovementKind) -> None:
        """Have what people have booked be the provider's own word: its total has room for all of it."""
        for row in self._rows(kind):
            if row.status == MovementStatus.SUCCEEDED:
                row.is_by_person = False

    def _operation_on(self, row: Movement) -> PaymentOperation | None:
        return next((each for each in self.books.operations if each.target_id == row.pk), None)

    def _insert(
        self, kind: MovementKind, amount: Decimal, status: MovementStatus, reference: str | None
    ) -> None:
        row = _MODELS[kind](payment=self.payment, amount=amount, provider_reference=reference)
        if status == MovementStatus.SUCCEEDED and not self._has_room(row, None):
            return
        self.books.add(row)
        if status == MovementStatus.SUCCEEDED:
            self._succeed(row, None, is_new=True)

    def _has_room(self, row: Movement, operation: PaymentOperation | None) -> bool:
        """Return whether the books can hold a movement; make room for a capture, whatever it takes."""
        captured = self._succeeded_sum(MovementKind.CAPTURE)
        if isinstance(row, Capture):
            self._make_room(captured + row.amount)
            return True
        left = captured - self._succeeded_sum(MovementKind.REFUND)
        if row.amount > left:
            code = AttentionReason.REFUNDED_MORE_THAN_CAPTURED
            self._differ(code, left, _named(row), operation)
            self.has_refused_refund = True
        elif row.amount > (kept := left - self.payment.net_charged_back_amount):
            code = AttentionReason.REFUNDED_WHAT_WAS_CHARGED_BACK
            self._differ(code, kept, _named(row), None)
        return row.amount <= left

    def _make_room(self, captured: Decimal) -> None:
        """Have the payment be large enough for what the provider took: it has taken it."""
        payment = self.payment
        if captured + payment.canceled_amount <= payment.amount:
            return
        code = (
            AttentionReason.CAPTURED_MORE_THAN_AUTHORIZED
            if captured > payment.amount
            else AttentionReason.CAPTURED_AFTER_RELEASE
        )
        self._differ(code, payment.amount - payment.canceled_amount, captured, None)
        payment.amount = max(payment.amount, captured)
        payment.canceled_amount = min(payment.canceled_amount, payment.amount - captured)

    def _operation_of(self, movement: MovementFact) -> PaymentOperation | None:
        if movement.operation_id is None:
            return None
        if self.operation is not None and movement.operation_id == self.operation.pk:
            return self.operation
        rows = (row for row in self.books.operations if row.payment_id == self.payment.pk)
        return next(
            (row for row in rows if row.pk == movement.operation_id and row.kind == movement.kind), None
        )

    def _row_of(self, movement: MovementFact, operation: PaymentOperation | None) -> Movement | None:
        if operation is not None:
            rows = self._rows(movement.kind)
            found = next((row for row in rows if row.pk == operation.target_id), None)
            if found is None:  # It has ended, and the books were opened without what has.
                raise StaleBooksError(operation.target_id)
            return found
        return self._row_under(movement.kind, movement.provider_reference)

    def _row_under(self, kind: MovementKind, reference: str | None) -> Movement | None:
        return next(
            (row for row in self._rows(kind) if reference and row.provider_reference == reference), None
        )

    def _rows(self, kind: MovementKind) -> list[Movement]:
        return self.books.movements(self.payment, kind)

    def _sum(self, kind: MovementKind) -> Decimal:
        """Return what a provider's cumulative amount has told of so far: also what failed after it had succeeded."""
        failed = sum((row.amount for row in self._rows(kind) if _failed_after_all(row)), ZERO)
        return self._succeeded_sum(kind) + failed

    def _succeeded_sum(self, kind: MovementKind) -> Decimal:
        return self.books.succeeded(self.payment, kind)

    def _differ(
        self, code: AttentionReason, expected: object, reported: object, operation: PaymentOperation | None
    ) -> None:
        self.discrepancies.append(
            Discrepancy.between(code, expected=expected, reported=reported, operation=operation)
        )


def _may_be_named(row: Movement) -> bool:
    """Return whether a provider hasn't said yet what it calls a movement; a person may have mistaken its reference."""
    return row.provider_reference is None or row.is_named_by_person


def _named(row: Movement | MovementFact) -> str:
    """Return a movement's amount, and the name by which the provider knows it."""
    return f"{row.amount.normalize():f} {row.provider_reference or ''}".rstrip()


def _receipt_of(row: Movement) -> dict[str, str]:
    """Return what a person has said of money that was received outside of any provider."""
    if not isinstance(row, Capture) or row.received_at is None:
        return {}
    told = {"received_at": row.received_at.isoformat(), "reference": row.reference, "note": row.note}
    return {name: value for name, value in told.items() if value}


def _failed_after_all(row: Movement) -> bool:
    """Return whether a movement failed after it had succeeded; an older report of its success is no news."""
    return row.status == MovementStatus.FAILED and row.succeeded_at is not None


def _adding_up_to(amount: Decimal, rows: list[Movement]) -> list[tuple[Movement, ...]] | None:
    """Return in which ways rows add up to an amount exactly; None where there are too many to try them all."""
    if sum((row.amount for row in rows), ZERO) <= amount:
        return [tuple(rows)] if rows and sum((row.amount for row in rows), ZERO) == amount else []
    if len(rows) > MAX_GUESSED:
        return None
    choices = (choice for size in range(1, len(rows) + 1) for choice in combinations(rows, size))
    return [choice for choice in choices if sum((row.amount for row in choice), ZERO) == amount]


def _record_charged_back_totals(books: Books, payment: Payment, fact: SessionFact) -> list[Discrepancy]:
    taken, returned = fact.charged_back_amount or ZERO, fact.reinstated_amount or ZERO
    is_news = taken > payment.charged_back_amount
    if not is_news and returned <= payment.reinstated_amount:
        return []
    total = max(taken, payment.charged_back_amount)
    reinstated = min(max(returned, payment.reinstated_amount), total)
    captured = books.succeeded(payment, MovementKind.CAPTURE)
    _grow(books, payment, "charged_back", min(total, captured + reinstated))
    _grow(books, payment, "reinstated", reinstated)
    return [] if not is_news or reinstated == total else [_charged_back(taken)]


def _charged_back(reported: object) -> Discrepancy:
    # None was expected, whatever is known by now: so the same total, heard again, is the same discrepancy.
    return Discrepancy.between(AttentionReason.CHARGED_BACK, expected=ZERO, reported=reported)


def _grow(books: Books, payment: Payment, what: str, total: Decimal) -> None:
    """Set the total of what was charged back or reinstated, and note by how much it grew."""
    growth = total - getattr(payment, f"{what}_amount")
    if growth > ZERO:
        setattr(payment, f"{what}_amount", total)
        books.note(f"payment.{what}", payment, amount=growth)


def _kind_of(row: Movement) -> MovementKind:
    return MovementKind.CAPTURE if isinstance(row, Capture) else MovementKind.REFUND
