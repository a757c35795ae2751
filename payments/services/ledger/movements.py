"""Recording the captures and refunds that a provider reports, each exactly once, and chargebacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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
"""The most pending rows of which every combination is tried to explain a total."""

_EVENTS: Final = {MovementKind.CAPTURE: "payment.captured", MovementKind.REFUND: "payment.refunded"}
_MODELS: Final[Mapping[MovementKind, type[Movement]]] = {
    MovementKind.CAPTURE: Capture,
    MovementKind.REFUND: Refund,
}
_FAILURES: Final = {MovementKind.CAPTURE: "capture.failed", MovementKind.REFUND: "refund.failed"}


def fail_movement(books: Books, row: Movement, failure: Failure) -> None:
    """Record that a capture or refund moved no money, and release the amount that it reserved."""
    before = str(row.status)
    row.fail(code=failure.code[:64], message=failure.message)
    books.note(_FAILURES[row.kind], row, from_status=before, amount=row.amount, data={"code": failure.code})


def record_charge_back(
    books: Books, payment: Payment, fact: SessionFact, *, asked_at: datetime | None = None
) -> list[Discrepancy]:
    """Record new chargebacks and reinstatements of a payment; return the discrepancies that need attention.

    A late report changes nothing: both totals only grow, unless the provider, asked at `asked_at` and so after the last
    change of the payment, reports that less was reinstated, because a dispute that was won is open again or lost. A
    chargeback needs attention unless all of it was reinstated already. One whose amount isn't known in the payment's
    currency only needs attention: no sum includes it.
    """
    is_present = False
    if asked_at is not None and payment.reinstated_amount:
        is_present = payment.updated_at < asked_at and not fact.unclear_charge_backs
    unclear = [_charged_back(words) for words in fact.unclear_charge_backs]
    return [*_record_charged_back_totals(books, payment, fact, is_present=is_present), *unclear]


@dataclass(kw_only=True)
class MovementRecorder:
    """The rules that bring a payment's captures and refunds in line with a fact.

    `operation` is the operation that the fact answers, if there is one; `asked_at` is when the provider was asked for
    the fact, if it was. `has_refused_refund` is set when the books
    couldn't hold a reported refund: the reported total includes it, so the total can't explain any other refund.
    """

    books: Books
    payment: Payment
    discrepancies: list[Discrepancy]
    operation: PaymentOperation | None = None
    asked_at: datetime | None = None
    has_refused_refund: bool = False

    def record(self, fact: SessionFact) -> None:
        """Record the listed movements, then what the total adds to them."""
        # Captures come first: a refund has room only in what was captured.
        totals = {MovementKind.CAPTURE: fact.captured_amount, MovementKind.REFUND: fact.refunded_amount}
        for kind, total in totals.items():
            for movement in fact.movements:
                if movement.kind == kind:
                    self._record_movement(movement, total)
            is_waiting = any(
                each.kind == kind and each.status == MovementStatus.PENDING for each in fact.movements
            )
            self._record_total(kind, total, is_waiting=is_waiting)

    def _record_movement(self, movement: MovementFact, total: Decimal | None) -> None:
        operation = self._operation_of(movement)
        row = self._row_of(movement, operation)
        if operation is not None and row is not None:
            row = self._own_row(row, movement, operation, total)
        if operation is None and row is not None:  # The provider reports only its own reference.
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
        """Give a row the provider's reference, which replaces one that a person gave.

        Return False, with a discrepancy, if another row has the reference.
        """
        if not reference or not _may_be_named(row):
            return True
        if self._row_under(row.kind, reference) not in (None, row):
            self._differ(AttentionReason.REFERENCE_REUSED, row.pk, reference, operation)
            return False
        row.provider_reference, row.is_named_by_person = reference, False
        return True

    def _own_row(
        self, row: Movement, movement: MovementFact, operation: PaymentOperation, total: Decimal | None
    ) -> Movement:
        """Return the row of an operation according to its provider, whose report overrides a person's statement."""
        if movement.provider_reference and row.provider_reference == movement.provider_reference:
            link_movement(operation, row)
        elif self._is_of_another(row, movement, operation, total):
            return self._part(operation, movement)
        return row

    def _is_of_another(
        self, row: Movement, movement: MovementFact, operation: PaymentOperation, total: Decimal | None
    ) -> bool:
        """Return whether a person ascribed another movement to an operation: the provider reports two.

        They are one and the same if the reported total has no room for both.
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
        """Link an operation to the movement that its provider reports; the one that a person linked stays booked."""
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
            _EVENTS[row.kind],
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
        # The process that called the provider may die before it records the answer: the reconciler must follow it up.
        operation.next_attempt_at = operation.next_attempt_at or timezone.now() + RETRIES[0]
        operation.await_provider()

    def _fail(self, row: Movement, failure: Failure, operation: PaymentOperation | None) -> None:
        if row.status == MovementStatus.FAILED:
            return
        if row.status == MovementStatus.SUCCEEDED:
            code = AttentionReason(f"{row.kind}_failed_late")
            self._differ(code, MovementStatus.SUCCEEDED, f"{row.pk} {MovementStatus.FAILED}", operation)
            # A refund may fail days after its success, and then the money is back. A capture may not: the shop may have
            # delivered and refunded since, so a person decides.
            if isinstance(row, Capture):
                return
        fail_movement(self.books, row, failure)
        if operation is not None and operation.is_open:
            operation.decline(code=failure.code[:64], message=failure.message)

    def _record_foreign(self, movement: MovementFact, total: Decimal | None) -> None:
        """Record a movement that we didn't request, unless an earlier total included it already.

        Without a reference it can't be told apart from others, so only a total can book it.
        """
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
        """Return whether a movement may be booked already, from a total or from an answer without a reference."""
        # If every row that moved money has a reference of the provider, a movement with another reference is new.
        # References that persons gave don't count here: they may be mistaken.
        rows = (
            row
            for row in self._rows(movement.kind)
            if row.provider_reference is None or (row.is_named_by_person and row.amount == movement.amount)
        )
        if total is None or all(row.succeeded_at is None for row in rows):
            return False
        return self._sum(movement.kind) + movement.amount > total

    def _name_as_reported(self, movement: MovementFact) -> None:
        """Give a movement's reference to the row that it must be, if exactly one row can be."""
        alike = self._alike(movement)
        if len(alike) == 1:
            self._takes_reference(alike[0], movement.provider_reference, None)

    def _alike(self, movement: MovementFact) -> list[Movement]:
        """Return the succeeded rows with a movement's amount that lack a reference of the provider."""
        rows = (row for row in self._rows(movement.kind) if _may_be_named(row))
        return [
            row for row in rows if row.amount == movement.amount and row.status == MovementStatus.SUCCEEDED
        ]

    def _nameless(self, movement: MovementFact) -> Movement | None:
        """Find a row with a movement's amount that was booked from a total, without a reference or an operation."""
        rows = (row for row in self._rows(movement.kind) if row.provider_reference is None)
        like = (
            row for row in rows if row.amount == movement.amount and row.status == MovementStatus.SUCCEEDED
        )
        return next((row for row in like if self._operation_on(row) is None), None)

    def _record_total(self, kind: MovementKind, total: Decimal | None, *, is_waiting: bool) -> None:
        """Explain a cumulative amount that is higher than the sum of the rows.

        With `is_waiting`, movements that the provider reports as pending may come to be in the total.

        The pending rows that add up to the difference have succeeded. If none do, the difference is a new movement.
        If several combinations do, all rows stay pending, since a guess isn't a fact, and a person has to decide.
        """
        missing = None if total is None else total - self._sum(kind)
        # A total below the sum may be stale: it can't confirm anything, and nothing is taken back for it. If a person's
        # word is in the sum, and the provider was asked since, a person looks at it.
        if missing is not None and missing >= ZERO:
            self._confirm(kind)
        elif missing is not None and not is_waiting and self._has_word(kind):
            self._differ(AttentionReason(f"{kind}_not_confirmed"), self._sum(kind), total, None)
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
        """Return whether the fact only answers a person's receipt of money from outside of any provider."""
        return self.operation is not None and isinstance(row, Capture) and row.received_at is not None

    def _has_word(self, kind: MovementKind) -> bool:
        """Return whether a person has booked a movement at the provider before it was asked for the fact."""
        asked_at = self.asked_at
        return asked_at is not None and any(
            row.is_by_person and row.succeeded_at is not None and row.succeeded_at < asked_at
            for row in self._rows(kind)
            if row.status == MovementStatus.SUCCEEDED and not _receipt_of(row)
        )

    def _confirm(self, kind: MovementKind) -> None:
        """Mark what persons have booked as confirmed, since the provider's total includes all of it."""
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
        """Return whether the books can hold a movement; enlarge the payment for a capture if necessary."""
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
        """Enlarge the payment to what the provider has captured, with a discrepancy: the money has moved anyway."""
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
            if found is None:  # The row is closed, and these books were opened without closed rows.
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
        """Return the sum to compare with a provider's total, which includes what failed after it had succeeded."""
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
    """Return whether a row lacks a reference of the provider; one that a person gave may be mistaken."""
    return row.provider_reference is None or row.is_named_by_person


def _named(row: Movement | MovementFact) -> str:
    """Return a movement's amount and its provider reference, as one text."""
    return f"{row.amount.normalize():f} {row.provider_reference or ''}".rstrip()


def _receipt_of(row: Movement) -> dict[str, str]:
    """Return a person's details of money that was received outside of any provider."""
    if not isinstance(row, Capture) or row.received_at is None:
        return {}
    told = {"received_at": row.received_at.isoformat(), "reference": row.reference, "note": row.note}
    return {name: value for name, value in told.items() if value}


def _failed_after_all(row: Movement) -> bool:
    """Return whether a movement failed after it had succeeded: a report of its success is then stale."""
    return row.status == MovementStatus.FAILED and row.succeeded_at is not None


def _adding_up_to(amount: Decimal, rows: list[Movement]) -> list[tuple[Movement, ...]] | None:
    """Return the combinations of rows that add up to an amount exactly, or None if there are too many to try."""
    if sum((row.amount for row in rows), ZERO) <= amount:
        return [tuple(rows)] if rows and sum((row.amount for row in rows), ZERO) == amount else []
    if len(rows) > MAX_GUESSED:
        return None
    choices = (choice for size in range(1, len(rows) + 1) for choice in combinations(rows, size))
    return [choice for choice in choices if sum((row.amount for row in choice), ZERO) == amount]


def _record_charged_back_totals(
    books: Books, payment: Payment, fact: SessionFact, *, is_present: bool
) -> list[Discrepancy]:
    taken, returned = fact.charged_back_amount or ZERO, fact.reinstated_amount or ZERO
    known, former = payment.charged_back_amount, payment.reinstated_amount
    is_news, is_reversed = taken > known, is_present and taken >= known and returned < former
    if not is_news and not is_reversed and returned <= former:
        return []
    total = max(taken, known)
    reinstated = min(returned if is_reversed else max(returned, former), total)
    captured = books.succeeded(payment, MovementKind.CAPTURE)
    if captured:  # Of what was never taken nothing is taken back, and none of that returns.
        reinstated = max(reinstated, known - captured)
        payment.charged_back_amount = min(total, captured + reinstated)
        payment.reinstated_amount = reinstated
        growth = payment.charged_back_amount - known
        _note_growth(books, payment, "charged_back", growth + max(former - reinstated, ZERO))
        _note_growth(books, payment, "reinstated", reinstated - former)
    if former < payment.reinstated_amount and known and _is_paid_again(books, payment):
        back = payment.reinstated_amount - former
        return [Discrepancy.between(AttentionReason.REINSTATED, expected=ZERO, reported=back)]
    if is_reversed:
        code = AttentionReason.CHARGED_BACK_AGAIN
        return [Discrepancy.between(code, expected=former, reported=f"{returned.normalize():f} {taken:f}")]
    return [] if not is_news or (captured and reinstated == total) else [_charged_back(taken)]


def _is_paid_again(books: Books, payment: Payment) -> bool:
    """Return whether a later payment of the collection holds money: it may have made good for a chargeback."""
    later = (row for row in books.payments if row.created_at > payment.created_at)
    return any(row.amount - row.canceled_amount > row.refunded_amount for row in later)


def _charged_back(reported: object) -> Discrepancy:
    # `expected` is always zero, so that the same total, reported again, is the same discrepancy.
    return Discrepancy.between(AttentionReason.CHARGED_BACK, expected=ZERO, reported=reported)


def _note_growth(books: Books, payment: Payment, what: str, growth: Decimal) -> None:
    if growth > ZERO:
        books.note(f"payment.{what}", payment, amount=growth)
