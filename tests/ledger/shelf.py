"""Books that are kept on a shelf in memory, so that the rules can be tried by the hundred thousand, and no database is.

What is on the shelf is what would be stored. Books are opened with rows of their own and closed with only the changed
columns of changed rows, as those are that a database keeps; what the database would refuse is refused here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import Model
from django.db.models.base import ModelState

from payments.models import Capture, Payment, PaymentCollection, PaymentOperation, PaymentSession, Refund
from payments.money import ZERO
from payments.services.ledger.books import WHOLE, Books, Reference, Report, Scope
from payments.services.ledger.claims import claim_authorization
from payments.services.ledger.discrepancies import Discrepancy
from payments.services.ledger.history import DISCREPANCY, Origin
from payments.services.ledger.totals import authorizable_amount, held_amount, promised_amount
from payments.states import (
    OPEN_OPERATION_STATUSES,
    MovementKind,
    MovementStatus,
    OperationKind,
    OperationStatus,
    SessionStatus,
)

TAKEN: Final = "taken"
"""A provider's reference that a session of another collection has."""

_OTHERS: Final[Mapping[Reference, str]] = {
    (PaymentSession, "card", TAKEN): "payses_other",
    (Payment, "card", TAKEN): "payses_other",
}
_KINDS: Final = {Capture: MovementKind.CAPTURE, Refund: MovementKind.REFUND}
_NEVER_AGAIN: Final = {OperationStatus.PROCESSING, OperationStatus.PENDING, OperationStatus.UNKNOWN}


@dataclass(kw_only=True, eq=False)
class Shelf:
    """The rows of one collection as they were closed last, by model and id, and what was told of them."""

    collection: dict[str, Any]
    rows: dict[type[Model], dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    reports: dict[str, set[Report]] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, collection: PaymentCollection) -> Shelf:
        """Return a shelf with a new collection, and nothing below it."""
        return cls(collection=_values(collection))

    def open(self, scope: Scope = WHOLE) -> ShelvedBooks:
        """Open books that have what they would have if a database was read."""
        payments = self._read(Payment)
        wanted = {row.pk for row in payments if scope.is_whole or scope.includes(row)}
        captures, refunds = (
            self._read(
                model,
                lambda row: (
                    row["payment_id"] in wanted
                    and (scope.is_whole or row["status"] == MovementStatus.PENDING)
                ),
            )
            for model in (Capture, Refund)
        )
        return ShelvedBooks(
            collection=_row(PaymentCollection, self.collection),
            origin=Origin(),
            sessions=self._read(PaymentSession),
            payments=payments,
            captures=captures,
            refunds=refunds,
            operations=self._read(
                PaymentOperation, lambda row: scope.is_whole or row["status"] in OPEN_OPERATION_STATUSES
            ),
            scope=scope,
            reports={session: set(told) for session, told in self.reports.items()},
            taken=_OTHERS,
            shelf=self,
        )

    def sums(self) -> Mapping[tuple[str, MovementKind], Decimal]:
        """Return what has succeeded of each payment, from all rows there are."""
        totals: defaultdict[tuple[str, MovementKind], Decimal] = defaultdict(Decimal)
        for model, kind in _KINDS.items():
            for row in self.rows[model].values():
                if row["status"] == MovementStatus.SUCCEEDED:
                    totals[row["payment_id"], kind] += row["amount"]
        return totals

    def check_references(self, rows: Sequence[Any]) -> None:
        """Raise IntegrityError, as a database would, where a provider's reference is another row's already."""
        for row in rows:
            reference = getattr(row, "provider_reference", None)
            if reference is None:
                continue
            for pk, other in self.rows[type(row)].items():
                is_near = not isinstance(row, Capture | Refund) or other["payment_id"] == row.payment_id
                if is_near and pk != row.pk and other["provider_reference"] == reference:
                    raise IntegrityError(reference)

    def insert(self, row: Any) -> None:
        """Store a new row."""
        assert row.pk not in self.rows[type(row)]
        self.rows[type(row)][row.pk] = _values(row)

    def update(self, row: Any, names: list[str]) -> None:
        """Store the changed columns of a row that went only where it may go."""
        stored = self.collection if isinstance(row, PaymentCollection) else self.rows[type(row)][row.pk]
        if "status" in names:
            _check_way(row, stored["status"])
        stored.update({name: getattr(row, name) for name in names})

    def tell(self, event: Any) -> None:
        """Keep what happened, and make sure that no money has moved twice."""
        self.events.append((event.type, event.to_status))
        if event.type in ("payment.captured", "payment.refunded"):
            moved = event.capture_id or event.refund_id
            assert moved not in self.moved, f"{moved} has moved its money twice"
            self.moved.add(moved)
        if event.type == DISCREPANCY:
            key = Discrepancy(**event.data).key
            self.reports.setdefault(event.session_id, set()).update(
                {(event.operation_id, *key), (None, *key)}
            )

    def _read(self, model: type[Model], is_wanted: Any = None) -> list[Any]:
        stored = self.rows[model].values()
        return [_row(model, values) for values in stored if is_wanted is None or is_wanted(values)]


@dataclass(kw_only=True, eq=False)
class ShelvedBooks(Books):
    """Books that are written on their shelf."""

    shelf: Shelf

    def has_target(self, operation: PaymentOperation) -> bool:
        """Return whether the capture or refund of an operation is in the books, if it has one."""
        if operation.kind not in (OperationKind.CAPTURE, OperationKind.REFUND):
            return True
        return any(row.pk == operation.target_id for row in (*self.captures, *self.refunds))

    def is_changed(self) -> bool:
        """Return whether anything in the books isn't on the shelf."""
        return bool(self._added or self.events or self._changed())

    def close(self) -> bool:
        """Put on the shelf what a database would be given."""
        changed = self._changed()
        if not (changed or self._added or self.events):
            return False
        written = [*self._added, *(row for row, _names in changed)]
        self.shelf.check_references(written)
        for row, names in changed:
            self.shelf.update(row, names)
        for row in self._added:
            self.shelf.insert(row)
        for event in self.events:
            self.shelf.tell(event)
        self.events, self._added = [], []
        self._keep_copies([self.collection, *written])
        return True


def assert_sound(books: ShelvedBooks) -> None:
    """Make sure of all that must hold of closed books, whatever anybody has answered or reported."""
    sums = books.shelf.sums()
    for payment in books.payments:
        _assert_payment(books, payment, sums)
    collection, payments = books.collection, books.payments
    assert collection.authorized_amount == sum((row.amount - row.canceled_amount for row in payments), ZERO)
    assert collection.captured_amount == sum((row.captured_amount for row in payments), ZERO)
    assert collection.refunded_amount == sum((row.refunded_amount for row in payments), ZERO)
    has_open_sessions = any(row.is_unauthorized for row in books.sessions)
    assert collection.status == collection.derive_status(has_open_sessions=has_open_sessions)
    for session in books.sessions:
        assert session.amount > ZERO
        is_held = session.status == SessionStatus.AUTHORIZED
        assert not is_held or session.payment is not None
        assert session.payment is None or not session.is_unauthorized
    _assert_operations(books)


def assert_reserved(books: ShelvedBooks) -> None:
    """Make sure that what is under way has its place, which holds while nobody takes or gives money on their own."""
    for payment in books.payments:
        if books.knows(payment):
            pending = books.pending(payment, MovementKind.CAPTURE)
            assert payment.captured_amount + pending <= payment.amount - payment.canceled_amount
            pending = books.pending(payment, MovementKind.REFUND)
            assert (
                payment.refunded_amount + pending <= payment.captured_amount - payment.net_charged_back_amount
            )


def assert_payable(books: ShelvedBooks) -> None:
    """Make sure that every open installment can be paid while anything is left, as long as everybody is honest."""
    for row in books.unauthorized_sessions():
        is_free = not books.open_operations(target_id=row.pk) and authorizable_amount(books, row) > ZERO
        has_ended = books.collection.is_canceled or row.expires_at is not None
        if row.installment is not None and is_free and not has_ended:
            opened = books.shelf.open()
            claim_authorization(opened, opened.session(row.pk), {})


def excess_of(books: Books) -> Decimal:
    """Return by how much more is held and promised than is due, where no session covers what is left."""
    excess = held_amount(books) + promised_amount(books) - books.collection.amount
    return max(excess, ZERO) if all(row.is_split for row in books.sessions) else ZERO


def _assert_payment(books: Books, payment: Payment, sums: Mapping[tuple[str, MovementKind], Decimal]) -> None:
    captured, refunded = payment.captured_amount, payment.refunded_amount
    assert captured == sums[payment.pk, MovementKind.CAPTURE]
    assert refunded == sums[payment.pk, MovementKind.REFUND]
    if books.knows(payment):
        assert books.succeeded(payment, MovementKind.CAPTURE) == captured
        assert books.succeeded(payment, MovementKind.REFUND) == refunded
    assert payment.amount > ZERO
    assert ZERO <= payment.canceled_amount <= payment.amount - captured
    assert refunded <= captured <= payment.amount
    assert ZERO <= payment.reinstated_amount <= payment.charged_back_amount
    assert payment.charged_back_amount <= captured + payment.reinstated_amount
    assert payment.status == payment.derive_status()


def _assert_operations(books: ShelvedBooks) -> None:
    keys = [row.in_flight_key for row in books.operations if row.is_open]
    assert None not in keys
    assert len(set(keys)) == len(keys), "two operations of one kind are open on one row"
    stored = books.shelf.rows
    for operation in books.operations:
        assert operation.is_open or operation.in_flight_key is None
        if operation.status in (OperationStatus.PENDING, OperationStatus.UNKNOWN):
            assert operation.next_attempt_at is not None
        model = Capture if operation.capture_id else Refund
        if operation.target_id not in stored[model]:
            continue
        movement = stored[model][operation.target_id]
        has_moved = movement["succeeded_at"] is not None
        assert has_moved == (operation.target_id in books.shelf.moved)
        # A refund may fail at the payer's bank after it had succeeded; nothing else that has moved comes back.
        assert has_moved or movement["status"] != MovementStatus.SUCCEEDED
        assert model is Refund or has_moved == (movement["status"] == MovementStatus.SUCCEEDED)
        if operation.status == OperationStatus.SUCCEEDED:
            assert has_moved, f"{operation.pk} has succeeded, and moved nothing"
        elif not operation.is_open:
            assert movement["status"] == MovementStatus.FAILED, (
                f"{operation.pk} has ended, its movement hasn't"
            )


def _check_way(row: Any, before: str) -> None:
    """Make sure that nothing that has ended begins anew; the graphs say the rest."""
    if isinstance(row, PaymentOperation) and before not in OPEN_OPERATION_STATUSES:
        assert row.status not in _NEVER_AGAIN, f"{row.pk} was {before} and is {row.status}"
    if isinstance(row, Capture):
        assert before != MovementStatus.SUCCEEDED, f"{row.pk} had succeeded and is {row.status}"
    if isinstance(row, PaymentSession) and before == SessionStatus.AUTHORIZED:
        assert row.status == SessionStatus.CANCELED, f"{row.pk} was authorized and is {row.status}"


def _values(row: Model) -> dict[str, Any]:
    values = vars(row)
    return {name: values[name] for name in _names(type(row))}


def _row(model: type[Model], values: Mapping[str, Any]) -> Any:
    """Return what `from_db` would, without its signals and its look at each field."""
    row = model.__new__(model)
    row._state = ModelState()
    row._state.adding, row._state.db = False, "default"
    vars(row).update(values)
    return row


@cache
def _names(model: type[Model]) -> tuple[str, ...]:
    return tuple(each.attname for each in model._meta.concrete_fields)
