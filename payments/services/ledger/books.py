"""The books: one collection with all rows below it, read once, changed in memory, written once.

A rule is a function of the books: it changes rows and notes events, but issues no SQL, so that it can be tested without
a database. `keep` applies a rule to new books, `amend` to books that were closed before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from operator import itemgetter
from typing import Any, Final, TypeVar

from django.contrib.auth import get_user_model
from django.db import Error, IntegrityError
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotFoundError
from payments.models import (
    AccountHolder,
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)
from payments.money import ZERO, AmountField
from payments.services.ledger import outbox
from payments.services.ledger.history import DISCREPANCY, Origin, Row, event_of, forget_summaries
from payments.services.ledger.locks import (
    committed,
    database_alias,
    is_conflict,
    lock_collection,
    reconnecting,
    repeated,
    the_collection,
)
from payments.services.ledger.statements import DatabaseNow, Select, insert, update, update_many
from payments.states import (
    OPEN_OPERATION_STATUSES,
    MovementKind,
    MovementStatus,
    OperationKind,
    SessionStatus,
)

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=Model)

Movement = Capture | Refund
Reference = tuple[type[Model], str, str]
"""A provider's reference: the model that has it, the provider's alias, and the reference itself."""

_STORED: Final = Decimal(1).scaleb(-AmountField.decimal_places)

_OPEN: Final = sorted(OPEN_OPERATION_STATUSES)
_KINDS: Final = {MovementKind.CAPTURE: "captures", MovementKind.REFUND: "refunds"}

Report = tuple[str | None, str, str]
"""A recorded discrepancy: the operation that stands for it, or None for any; its code; what was reported."""


class StaleBooksError(Exception):
    """Books of a collection that another transaction has written since they were read."""


class UnreadReportsError(Exception):
    """A discrepancy in books that were opened without the earlier reports."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is read when books are opened, besides the collection, its sessions, payments and open operations.

    For the payment `payment_id`, or the payment of the session `session_id`, the open captures and refunds are read;
    the closed ones are known as sums. `is_whole` reads every row. `operation_id` also reads that operation, even if it
    has ended. `account_at` reads the customer's account at that provider, and `has_customer` the customer. `tries`
    reads the times that a limit counts.
    """

    payment_id: str | None = None
    session_id: str | None = None
    is_whole: bool = False
    operation_id: str = ""
    account_at: str | None = None
    has_customer: bool = False
    tries: Callable[[str], Sequence[Sequence[datetime]]] | None = None

    def includes(self, payment: Payment) -> bool:
        """Return whether the open captures and refunds of a payment are read."""
        return payment.pk == self.payment_id or bool(payment.session_id == self.session_id)


WHOLE: Final = Scope(is_whole=True)


@dataclass(kw_only=True, eq=False)
class Books:
    """A collection's rows as they were read, and what a rule has changed, added and noted since.

    `events` wait to be written. `reports` are the recorded discrepancies by session, or None if they weren't read: most
    books never need them. `taken` maps references of a provider to the sessions of other collections that have them.
    `was_told` means that signals were sent about what was written, so that receivers may have changed the rows.
    """

    collection: PaymentCollection
    origin: Origin
    sessions: list[PaymentSession] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    operations: list[PaymentOperation] = field(default_factory=list)
    scope: Scope = WHOLE
    account_reference: str | None = None
    tries: Sequence[Sequence[datetime]] = ()
    reports: dict[str, set[Report]] | None = None
    taken: Mapping[Reference, str] = field(default_factory=dict)
    events: list[PaymentEvent] = field(default_factory=list)
    was_told: bool = False

    def __post_init__(self) -> None:
        self._by_id: dict[str, Any] = {}
        for row in self._rows():
            self._link_row(row)
        self._added: list[Model] = []
        self._made: set[str] = set()
        self._before: dict[int, tuple[Any, ...]] = {}
        self._keep_copies((self.collection, *self._rows()))
        self._closed = (
            {}
            if self.scope.is_whole
            else {
                (payment.pk, kind): stored - self._sum(payment, kind, MovementStatus.SUCCEEDED)
                for payment in self.payments
                for kind, stored in (
                    (MovementKind.CAPTURE, payment.captured_amount),
                    (MovementKind.REFUND, payment.refunded_amount),
                )
            }
        )

    # What is in the books

    def session(self, session_id: str) -> PaymentSession:
        """Return a session; raise NotFoundError if the collection has none with this id."""
        found: PaymentSession = self._row(session_id)
        return found

    def payment(self, payment_id: str) -> Payment:
        """Return a payment; raise NotFoundError if the collection has none with this id."""
        found: Payment = self._row(payment_id)
        return found

    def operation(self, operation_id: str) -> PaymentOperation:
        """Return an operation; raise NotFoundError if it isn't in the books."""
        found: PaymentOperation = self._row(operation_id)
        return found

    def movement(self, movement_id: str) -> Movement:
        """Return a capture or refund; raise NotFoundError if it isn't in the books."""
        found: Movement = self._row(movement_id)
        return found

    def open_operations(self, *kinds: OperationKind, target_id: str | None = None) -> list[PaymentOperation]:
        """Return the open operations of these kinds (default: any) on the row `target_id` (default: any)."""
        return [
            row
            for row in self.operations
            if row.is_open and (not kinds or row.kind in kinds) and target_id in (None, row.target_id)
        ]

    def progress_of(self, session: PaymentSession) -> str | None:
        """Return the kind of the newest open operation that keeps a session from being final, or None.

        An unauthorized session waits for anything that was asked about it, a person's decision included: nobody can go
        on before. Once an amount is held, the only question left is whether it is being released. What else is open
        then, such as a chargeback that an operator has to look at, isn't the session's.
        """
        is_waiting, is_held = session.is_unauthorized, session.status == SessionStatus.AUTHORIZED
        kinds = [
            str(row.kind)
            for row in self.open_operations()
            if (is_waiting and row.target_id == session.pk)
            or (is_held and row.session_id == session.pk and row.kind == OperationKind.CANCEL)
        ]
        return kinds[-1] if kinds else None

    def unauthorized_sessions(self) -> list[PaymentSession]:
        """Return the sessions that may still become payments."""
        return [row for row in self.sessions if row.is_unauthorized]

    def movements(self, payment: Payment, kind: MovementKind) -> list[Any]:
        """Return the captures or refunds of a payment that are in the books, oldest first."""
        self._check_read(payment)
        return [row for row in getattr(self, _KINDS[kind]) if row.payment_id == payment.pk]

    def has_reserved(self, operation: PaymentOperation) -> bool:
        """Return whether an operation's capture or refund is still open; True also if it has none."""
        movement_id = operation.capture_id or operation.refund_id
        row = self._by_id.get(movement_id)
        return movement_id is None or (row is not None and row.status == MovementStatus.PENDING)

    def succeeded(self, payment: Payment, kind: MovementKind) -> Decimal:
        """Return how much of a payment was captured or refunded, in major units."""
        loaded = self._sum(payment, kind, MovementStatus.SUCCEEDED)
        return self._closed.get((payment.pk, kind), ZERO) + loaded

    def pending(self, payment: Payment, kind: MovementKind) -> Decimal:
        """Return how much pending captures or refunds of a payment reserve, in major units."""
        self._check_read(payment)
        return self._sum(payment, kind, MovementStatus.PENDING)

    def knows(self, payment: Payment) -> bool:
        """Return whether the books include all open captures and refunds of a payment."""
        return self.scope.is_whole or self.scope.includes(payment) or payment.pk in self._made

    def is_current(self) -> bool:
        """Query the database whether the books are unchanged there since they were read or closed."""
        rows = PaymentCollection.objects.filter(pk=self.collection.pk, version=self.collection.version)
        return rows.exists()

    # What a rule does to them

    def add(self, row: Row) -> None:
        """Add a new row."""
        rows: list[Any] = getattr(self, _LISTS[type(row)])
        rows.append(row)
        self._added.append(row)
        self._made.add(row.pk)
        self._link_row(row)

    def note(self, event_type: str, row: Row, **values: Any) -> None:
        """Note an event of a row; the arguments are those of `event_of`."""
        self.events.append(event_of(self.collection, event_type, row, self.origin, **values))

    def spoil(self) -> None:
        """Mark the books as stale, since a rule has changed them and the changes weren't written."""
        self.collection.version = -1

    # How they are written

    def close(self) -> bool:
        """Write the changes within the open transaction; return whether there were any.

        Raises StaleBooksError, with nothing written, if another transaction has written since the books were read: the
        first statement sets the collection's next version on the condition that it still has the version that was read.
        """
        changed = self._changed()
        if not (changed or self._added or self.events):
            return False
        alias, now = database_alias(), timezone.now()
        self._write_collection(alias, now)
        added = {row.pk for row in self._added}
        below = [(row, names) for row, names in changed if row is not self.collection]
        for rows in _grouped(pair for pair in below if not _refers(pair[0], added)):
            _write_changes(alias, rows, now)
        for model in _ORDER:
            if rows_added := [row for row in self._added if type(row) is model]:
                insert(alias, rows_added, stamped=("sent_at",) if model is PaymentOperation else ())
        # MariaDB checks at once that what a row refers to is there.
        for rows in _grouped(pair for pair in below if _refers(pair[0], added)):
            _write_changes(alias, rows, now)
        if self.events:
            self.was_told = outbox.enqueue(self.collection.pk, self.events) or self.was_told
        forget_summaries(alias, below, self._old)
        written = [*self._added, *(row for row, _names in changed)]
        for row in written:
            _show_as_stored(row)
        self.events, self._added = [], []
        self._keep_copies([self.collection, *written])
        return True

    def _write_collection(self, alias: str, now: datetime) -> None:
        before = self.collection.version
        self.collection.version, self.collection.updated_at = before + 1, now
        if not update(alias, self.collection, self._changes(self.collection), version=before):
            raise StaleBooksError(self.collection.pk)

    def _changed(self) -> list[tuple[Any, list[str]]]:
        """Return the rows that were changed since they were read, each with the changed columns."""
        stored = (row for row in (self.collection, *self._rows()) if id(row) in self._before)
        return [(row, names) for row in stored if (names := self._changes(row))]

    def _changes(self, row: Model) -> list[str]:
        before, now = self._before[id(row)], _values(row)
        if now == before:
            return []
        pairs = zip(_names_of(type(row)), before, now, strict=True)
        return [name for name, old, new in pairs if new is not old and new != old]

    def _old(self, row: Model, name: str) -> Any:
        return self._before[id(row)][_names_of(type(row)).index(name)]

    def _keep_copies(self, rows: Iterable[Model]) -> None:
        self._before.update((id(row), _values(row)) for row in rows)

    # How the rows refer to one another

    def _rows(self) -> list[Any]:
        """Return all rows below the collection, parents before their children."""
        return [*self.sessions, *self.payments, *self.captures, *self.refunds, *self.operations]

    def _row(self, row_id: str) -> Any:
        if row_id not in self._by_id:
            raise NotFoundError(_("There is no “%(id)s” in this payment collection."), params={"id": row_id})
        return self._by_id[row_id]

    def _link_row(self, row: Any) -> None:
        """Set a row's foreign keys to the objects in the books, so that no row is read twice."""
        self._by_id[row.pk] = row
        cache = row._state.fields_cache
        if isinstance(row, PaymentSession):
            cache["collection"] = self.collection
            cache.setdefault("authorized_payment", None)
        elif isinstance(row, Payment):
            cache["collection"], cache["session"] = self.collection, self.session(row.session_id)
            cache["session"]._state.fields_cache["authorized_payment"] = row
        elif isinstance(row, Capture | Refund):
            cache["payment"] = self.payment(row.payment_id)
        else:
            self._link_operation(row, cache)

    def _link_operation(self, row: PaymentOperation, cache: dict[str, Any]) -> None:
        cache["collection"], cache["session"] = self.collection, self.session(row.session_id)
        if row.payment_id is not None:
            cache["payment"] = self.payment(row.payment_id)
        for name in ("capture", "refund"):
            found = self._by_id.get(getattr(row, f"{name}_id"))
            if found is not None:
                cache[name] = found

    def _sum(self, payment: Payment, kind: MovementKind, status: MovementStatus) -> Decimal:
        rows = (row for row in getattr(self, _KINDS[kind]) if row.payment_id == payment.pk)
        return sum((row.amount for row in rows if row.status == status), ZERO)

    def _check_read(self, payment: Payment) -> None:
        if not self.knows(payment):
            raise LookupError(f"The books were opened without the captures and refunds of {payment.pk}.")


_LISTS: Final[Mapping[type[Model], str]] = {
    PaymentSession: "sessions",
    Payment: "payments",
    Capture: "captures",
    Refund: "refunds",
    PaymentOperation: "operations",
}
_ORDER: Final = (PaymentSession, Payment, Capture, Refund, PaymentOperation)

_UNLOCKED: Final = Select(
    PaymentCollection, lambda rows, collection: rows.filter(pk=collection), "collection"
)
_SESSIONS: Final = Select(
    PaymentSession, lambda rows, collection: rows.filter(collection=collection), "collection"
)
_PAYMENTS: Final = Select(Payment, lambda rows, collection: rows.filter(collection=collection), "collection")
_OPERATIONS: Final = Select(
    PaymentOperation,
    lambda rows, collection, operation: rows.filter(
        Q(status__in=_OPEN) | Q(pk=operation), collection=collection
    ),
    "collection",
    "operation",
)
_ALL_OPERATIONS: Final = Select(
    PaymentOperation, lambda rows, collection: rows.filter(collection=collection), "collection"
)
_OPEN_MOVEMENTS: Final = {
    model: Select(
        model,
        lambda rows, payment: rows.filter(payment=payment, status=MovementStatus.PENDING),
        "payment",
    )
    for model in (Capture, Refund)
}
_ALL_MOVEMENTS: Final = {
    model: Select(model, lambda rows, collection: rows.filter(payment__collection=collection), "collection")
    for model in (Capture, Refund)
}


def open_books(
    collection_id: str,
    *,
    origin: Origin,
    scope: Scope = WHOLE,
    taken: Mapping[Reference, str] | None = None,
    has_reports: bool = False,
) -> Books:
    """Read a collection's books under its lock; raise NotFoundError."""
    collection = lock_collection(collection_id)
    return books_of(collection, origin=origin, scope=scope, taken=taken, has_reports=has_reports)


def read_books(collection_id: str, *, scope: Scope = WHOLE) -> Books:
    """Read a collection's books without its lock, so that they can be looked at only; raise NotFoundError."""
    return books_of(the_collection(find_collections(collection_id), collection_id), scope=scope)


def find_collections(collection_id: str) -> list[PaymentCollection]:
    """Return the collection with this id, or nothing."""
    return _UNLOCKED(database_alias(), collection=collection_id)


def books_of(
    collection: PaymentCollection,
    *,
    origin: Origin | None = None,
    scope: Scope = WHOLE,
    taken: Mapping[Reference, str] | None = None,
    has_reports: bool = False,
) -> Books:
    """Read the books of a collection that is read already."""
    alias, collection_id = database_alias(), collection.pk
    payments = _PAYMENTS(alias, collection=collection_id)
    captures, refunds = _movements(alias, collection_id, payments, scope)
    return Books(
        collection=collection,
        origin=origin or Origin(),
        sessions=in_order(_SESSIONS(alias, collection=collection_id)),
        payments=in_order(payments),
        captures=in_order(captures),
        refunds=in_order(refunds),
        operations=in_order(
            _ALL_OPERATIONS(alias, collection=collection_id)
            if scope.is_whole
            else _OPERATIONS(alias, collection=collection_id, operation=scope.operation_id)
        ),
        scope=scope,
        account_reference=_read_customer(alias, collection, scope),
        tries=() if scope.tries is None else scope.tries(collection_id),
        reports=_reports(alias, collection_id) if has_reports else None,
        taken=taken or {},
    )


def keep(
    collection_id: str,
    rule: Callable[[Books], T],
    *,
    origin: Origin,
    scope: Scope = WHOLE,
    ending: Callable[[T], None] | None = None,
) -> tuple[Books, T]:
    """Open books, apply a rule and close them in a transaction of its own; return the books and the rule's result.

    `ending` is called with the result when everything is written, before the commit. The rule is applied again, to new
    books, if the database has rolled the transaction back because of another one, if a reference that the rule gave to
    a row belongs to another collection, and if it found a discrepancy and the earlier reports weren't read.
    """
    taken: dict[Reference, str] = {}
    has_reports = False
    books: list[Books] = []

    def step() -> tuple[Books, T]:
        opened = open_books(collection_id, origin=origin, scope=scope, taken=taken, has_reports=has_reports)
        books[:] = [opened]
        return opened, _applied(opened, rule, ending)

    while True:
        try:
            return repeated(step)
        except UnreadReportsError:
            has_reports = True
        except IntegrityError:
            found = _references_of_others(books[0]) if books else {}
            if not found.keys() - taken.keys():
                raise
            taken |= found


def amend(
    books: Books,
    rule: Callable[[Books], T],
    *,
    scope: Scope,
    ending: Callable[[T], None] | None = None,
) -> tuple[Books, T]:
    """Apply a rule to books that were closed before, or as `keep` does to new ones if these are stale."""
    try:
        with committed():
            return books, _applied(books, rule, ending)
    except BaseException as error:
        books.spoil()
        is_stale = isinstance(error, StaleBooksError | UnreadReportsError | IntegrityError)
        if not is_stale and not (isinstance(error, Error) and is_conflict(error)):
            raise
    return keep(books.collection.pk, rule, origin=books.origin, scope=scope, ending=ending)


def _applied(books: Books, rule: Callable[[Books], T], ending: Callable[[T], None] | None) -> T:
    result = rule(books)
    books.close()
    if ending is not None:
        ending(result)
    return result


def _movements(
    alias: str, collection_id: str, payments: Sequence[Payment], scope: Scope
) -> tuple[list[Capture], list[Refund]]:
    if scope.is_whole:
        if not payments:
            return [], []
        return tuple(_ALL_MOVEMENTS[model](alias, collection=collection_id) for model in (Capture, Refund))  # type: ignore[return-value]
    payment = next(filter(scope.includes, payments), None)
    if payment is None:
        return [], []
    captures = _OPEN_MOVEMENTS[Capture](alias, payment=payment.pk)
    # There are no refunds before a capture.
    refunds = _OPEN_MOVEMENTS[Refund](alias, payment=payment.pk) if payment.captured_amount else []
    return captures, refunds  # type: ignore[return-value]


def _read_customer(alias: str, collection: PaymentCollection, scope: Scope) -> str | None:
    """Read the collection's customer and return their account's reference, as far as the scope asks for them."""
    if collection.customer_id is None or not (scope.has_customer or scope.account_at):
        return None
    account = AccountHolder.objects.filter(provider=scope.account_at or "", customer=OuterRef("pk"))
    found = (
        QuerySet(get_user_model(), using=alias)
        .annotate(account_reference=Subquery(account.values("provider_reference")[:1]))
        .get(pk=collection.customer_id)
    )
    collection.customer = found
    reference: str | None = found.account_reference
    return reference


def _reports(alias: str, collection_id: str) -> dict[str, set[Report]]:
    """Return the recorded discrepancies by session, each with its operation and once more without."""
    found: defaultdict[str, set[Report]] = defaultdict(set)
    told: QuerySet[PaymentEvent] = QuerySet(PaymentEvent, using=alias).filter(
        collection=collection_id, type=DISCREPANCY
    )
    for event in told.only("session_id", "operation_id", "data"):
        key = (event.data["code"], event.data["reported"])
        found[str(event.session_id)] |= {(event.operation_id, *key), (None, *key)}
    return found


def _references_of_others(books: Books) -> dict[Reference, str]:
    """Return the references in the books that other collections' rows have, each with the session that has it."""
    found: dict[Reference, str] = {}
    rows: list[Any] = [*books.sessions, *books.payments]
    for row in rows:
        if row.provider_reference:
            others: QuerySet[Any] = QuerySet(type(row), using=database_alias()).exclude(pk=row.pk)
            same = others.filter(provider=row.provider_id, provider_reference=row.provider_reference)
            for other in same.values_list(
                "pk" if isinstance(row, PaymentSession) else "session_id", flat=True
            ):
                found[type(row), row.provider_id, row.provider_reference] = other
    return found


def in_order(rows: list[Any]) -> list[Any]:
    return rows if len(rows) < 2 else sorted(rows, key=lambda row: (row.created_at, row.pk))  # noqa: PLR2004


def _values(row: Model) -> tuple[Any, ...]:
    """Return the values of a row's columns, in the order of `_names_of`."""
    values: tuple[Any, ...] = _reader_of(type(row))(vars(row))
    return values


def _show_as_stored(row: Model) -> None:
    """Give a row's amounts as many decimals as the database stores, as if they had been read."""
    for name in _amount_names(type(row)):
        value = getattr(row, name)
        if isinstance(value, Decimal):
            setattr(row, name, value.quantize(_STORED))


@cache
def _amount_names(model: type[Model]) -> tuple[str, ...]:
    return tuple(each.attname for each in model._meta.concrete_fields if isinstance(each, AmountField))


@cache
def _names_of(model: type[Model]) -> tuple[str, ...]:
    return tuple(each.attname for each in model._meta.concrete_fields)


@cache
def _reader_of(model: type[Model]) -> itemgetter[Any]:
    return itemgetter(*_names_of(model))


def _refers(row: Model, added: set[Any]) -> bool:
    """Return whether a row refers to a capture or refund among those that are added."""
    return isinstance(row, PaymentOperation) and not added.isdisjoint({row.capture_id, row.refund_id})


def _grouped(changes: Iterable[tuple[Model, list[str]]]) -> Iterable[list[tuple[Any, list[str]]]]:
    groups: dict[type[Model], list[tuple[Any, list[str]]]] = {}
    for row, names in changes:
        groups.setdefault(type(row), []).append((row, names))
    return groups.values()


def _write_changes(alias: str, rows: list[tuple[Any, list[str]]], now: datetime) -> None:
    """Write the changed columns of rows of one model, in one statement."""
    for row, _names in rows:
        row.updated_at = now
    if len(rows) == 1:
        row, names = rows[0]
        update(alias, row, [*names, "updated_at"])
        _forget_stamps(row, names)
        return
    changed = {name for _row, names in rows for name in names}
    update_many(alias, [row for row, _names in rows], {*changed, "updated_at"})
    for row, names in rows:
        _forget_stamps(row, names)


def _forget_stamps(row: Model, names: list[str]) -> None:
    """Defer the columns that got the database's own time, since it isn't read back."""
    for name in names:
        if isinstance(getattr(row, name), DatabaseNow):
            setattr(row, name, None)


def hand_over(books: Books, row: ModelT, stored: ModelT) -> ModelT:
    """Copy a row's values from the books to the caller's row, and return that; a session's `in_progress` with them.

    If signals were sent, receivers may have changed the row, so it is read again, without `in_progress`.
    """
    vars(row).pop("in_progress", None)
    if books.was_told:
        reconnecting(row.refresh_from_db)
        return row
    vars(row).update(zip(_names_of(type(stored)), _values(stored), strict=True))
    row._state.fields_cache = dict(stored._state.fields_cache)
    vars(row).pop("_prefetched_objects_cache", None)
    if isinstance(row, PaymentSession):
        vars(row)["in_progress"] = books.progress_of(row)
    return row
