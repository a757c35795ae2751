"""The origin of a change, the events that the history keeps of it, and the sums of past days that it makes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connections
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import InputError, NotFoundError
from payments.models import (
    Capture,
    DaySummary,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)
from payments.states import EventSource
from payments.stored import day_of
from payments.users import user_of

DISCREPANCY: Final = "fact.discrepancy"
"""The type of the event for a report that the books can't hold."""

SUMMED_AFTER: Final = timedelta(hours=6)
"""How long after its end a day is added up, so that whoever was at work at midnight has committed, by any clock."""

_FRESH: Final = timedelta(hours=1)
"""How recent a moment is on whose day there can't be a summary yet; it leaves hours for clocks that differ."""

_MOVED: Final = ("succeeded_at", frozenset({"status", "amount", "succeeded_at"}))
_COUNTED: Final[Mapping[type[Model], tuple[str, frozenset[str]]]] = {
    Payment: ("created_at", frozenset({"amount"})),
    Capture: _MOVED,
    Refund: _MOVED,
    PaymentOperation: ("created_at", frozenset({"status", "error_code"})),
}
"""The moment that decides on which day a row counts, and the columns that its day's summary depends on."""

Actor = AbstractBaseUser | AnonymousUser | None
Row = PaymentCollection | PaymentSession | Payment | Capture | Refund | PaymentOperation
Claims = dict[str, PaymentOperation | None]
"""Operations that were claimed or waited for, by id and in order: each as last recorded here, or None if it wasn't."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a change comes from, the user who requested it (if any), and whether it was requested for a payer.

    `source` is only a label for the history; every right and limit of payers depends on `by_payer`.
    """

    source: EventSource = EventSource.SHOP
    actor: Any = None
    by_payer: bool = False

    @classmethod
    def of(cls, *, actor: Actor = None, source: str = EventSource.SHOP, by_payer: bool = False) -> Origin:
        """Build an origin from a verb's arguments; an AnonymousUser counts as None. Raises InputError."""
        return cls(source=EventSource(source), actor=user_of(actor, field="actor"), by_payer=by_payer)

    @classmethod
    def of_shop(cls, *, actor: Actor, source: str, by_payer: bool) -> Origin:
        """Build the origin of a verb for the shop only; raise InputError (`not_for_payers`) if a payer asks."""
        if by_payer:
            raise InputError(_("This can't be done for a payer."), code="not_for_payers")
        return cls.of(actor=actor, source=source)

    @classmethod
    def of_operation(cls, operation: PaymentOperation) -> Origin:
        """Build the origin of an operation's consequences: whatever requested the operation."""
        return cls(
            source=EventSource(operation.source), actor=operation.actor, by_payer=operation.is_by_payer
        )

    def finding(self) -> Origin:
        """Build the origin of facts found by asking the provider: the actor asked, but didn't cause them."""
        return replace(self, source=EventSource.PROVIDER)

    @property
    def actor_label(self) -> str:
        """The actor's name, which the history keeps even if the user is deleted."""
        return "" if self.actor is None else str(self.actor.get_username())[:255]


@dataclass(frozen=True, kw_only=True)
class ServedRequest:
    """The HTTP request that is being answered under an `Idempotency-Key`.

    Operations store its `key`: if the process dies before it answers, the repeated request finds them. `hold` raises
    OperationInProgressError if another try of the request has taken its key meanwhile.
    """

    key: str
    hold: Callable[[], None]


_served: ContextVar[ServedRequest | None] = ContextVar("payments_served_request", default=None)
_claims: ContextVar[Claims | None] = ContextVar("payments_claims", default=None)
_let_in: ContextVar[dict[str, int] | None] = ContextVar("payments_let_in", default=None)


def served_request() -> ServedRequest | None:
    """Return the request that is being answered under an `Idempotency-Key`, or None."""
    return _served.get()


@contextmanager
def serving(request: ServedRequest) -> Iterator[None]:
    """Store a request's key with every operation that is claimed in the block."""
    token = _served.set(request)
    try:
        yield
    finally:
        _served.reset(token)


@contextmanager
def collecting_claims() -> Iterator[Claims]:
    """Yield what receives every operation that the block claims, or waits for instead."""
    claims: Claims = {}
    token = _claims.set(claims)
    try:
        yield claims
    finally:
        _claims.reset(token)
        for operation_id, recorded in claims.items():
            note_claim(operation_id, recorded)


@contextmanager
def minding_access() -> Iterator[None]:
    """Refuse claims in the block on a collection that has changed hands since its payer's access was checked."""
    token = _let_in.set({})
    try:
        yield
    finally:
        _let_in.reset(token)


def note_access(collection: PaymentCollection) -> None:
    """Remember to whom a collection belonged when its payer's access was checked."""
    let_in = _let_in.get()
    if let_in is not None:
        let_in[collection.pk] = collection.secret_generation


def check_access(collection: PaymentCollection) -> None:
    """Raise NotFoundError if a collection has changed hands since its payer's access was checked."""
    generation = (_let_in.get() or {}).get(collection.pk, collection.secret_generation)
    if generation != collection.secret_generation:
        raise NotFoundError(_("There is nothing here under this address."))


@contextmanager
def by_itself() -> Iterator[None]:
    """Run a block outside the request's context: what a receiver of a signal does isn't part of the request."""
    served, claims, let_in = _served.set(None), _claims.set(None), _let_in.set(None)
    try:
        yield
    finally:
        _let_in.reset(let_in)
        _claims.reset(claims)
        _served.reset(served)


def note_claim(operation_id: str, recorded: PaymentOperation | None = None) -> None:
    """Tell the active `collecting_claims()` block, if there is one, of an operation, and what is recorded of it."""
    claims = _claims.get()
    if claims is not None:
        claims[operation_id] = recorded


def event_of(
    collection: PaymentCollection,
    event_type: str,
    row: Row,
    origin: Origin,
    *,
    from_status: str = "",
    to_status: str = "",
    amount: Decimal | None = None,
    operation: PaymentOperation | None = None,
    data: dict[str, Any] | None = None,
) -> PaymentEvent:
    """Return an unsaved event about a row, linked to the row and to its parents."""
    event = PaymentEvent(
        type=event_type,
        collection=collection,
        from_status=from_status,
        to_status=to_status or ("" if from_status == "" else str(row.status)),
        amount=amount,
        operation=operation,
        source=origin.source,
        is_by_payer=origin.by_payer,
        actor=origin.actor,
        actor_label=origin.actor_label,
        data=data or {},
    )
    if isinstance(row, Capture):
        event.capture, event.payment, event.session = row, row.payment, row.payment.session
    elif isinstance(row, Refund):
        event.refund, event.payment, event.session = row, row.payment, row.payment.session
    elif isinstance(row, Payment):
        event.payment, event.session = row, row.session
    elif isinstance(row, PaymentSession):
        event.session = row
    elif isinstance(row, PaymentOperation):
        event.operation, event.session, event.payment = row, row.session, row.payment
        event.capture, event.refund = row.capture, row.refund
    return event


def forget_summaries(
    alias: str, changes: Iterable[tuple[Any, list[str]]], before: Callable[[Any, str], Any]
) -> None:
    """Empty the summaries of past days that changes have made wrong.

    `changes` are rows with their changed columns, whose old values `before` returns. Call it after the changes, in
    their transaction. A day's row is written even where there is none, so that a worker that adds the day up either
    sees the changes, or waits until they are committed, or has its sums emptied.
    """
    limit, days = timezone.now() - _FRESH, set()
    for row, names in changes:
        moment, counted = _COUNTED.get(type(row), ("", frozenset()))
        if not counted.isdisjoint(names):
            moments = (getattr(row, moment), before(row, moment))
            days |= {day_of(each) for each in moments if each is not None and each < limit}
    if days:
        zone = timezone.get_default_timezone_name()
        rows: QuerySet[DaySummary] = QuerySet(DaySummary, using=alias)
        rows.bulk_create(
            [DaySummary(day=day, time_zone=zone) for day in sorted(days)],
            update_conflicts=True,
            update_fields=["sums"],
            unique_fields=["day"] if _takes_target(alias) else None,
        )


def _takes_target(alias: str) -> bool:
    """Return whether the database is told which conflict of an insert is meant; MariaDB means any."""
    return connections[alias].features.supports_update_conflicts_with_target
