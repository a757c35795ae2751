"""Who asked for a change and through what, and the events that the history keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.translation import gettext_lazy as _

from payments.exceptions import NotFoundError
from payments.models import (
    Capture,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
)
from payments.states import EventSource
from payments.users import user_of

DISCREPANCY: Final = "fact.discrepancy"
"""The event that tells of a report which the books can't hold."""

Actor = AbstractBaseUser | AnonymousUser | None
Row = PaymentCollection | PaymentSession | Payment | Capture | Refund | PaymentOperation


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a change comes from, the user who made it, if one did, and whether it was made for a payer.

    `source` is a label for the history and decides nothing; every right and limit of payers hangs on `by_payer`.
    """

    source: EventSource = EventSource.SHOP
    actor: Any = None
    by_payer: bool = False

    @classmethod
    def of(cls, *, actor: Actor = None, source: str = EventSource.SHOP, by_payer: bool = False) -> Origin:
        """Build an origin from what a verb was given; an anonymous user is nobody. Raises InputError."""
        return cls(source=EventSource(source), actor=user_of(actor, field="actor"), by_payer=by_payer)

    @classmethod
    def of_operation(cls, operation: PaymentOperation) -> Origin:
        """Build the origin of what follows from an operation: whoever asked for it."""
        return cls(
            source=EventSource(operation.source), actor=operation.actor, by_payer=operation.is_by_payer
        )

    def finding(self) -> Origin:
        """Build the origin of what a provider reports because somebody asks: the actor is who asked, not who did it."""
        return replace(self, source=EventSource.PROVIDER)

    @property
    def actor_label(self) -> str:
        """The actor's name, kept for when the user is gone."""
        return "" if self.actor is None else str(self.actor.get_username())[:255]


@dataclass(frozen=True, kw_only=True)
class ServedRequest:
    """The HTTP request that is being answered under an `Idempotency-Key`.

    Operations remember its `key`: if the process dies before it answers, the request sent again finds them. `hold`
    raises OperationInProgressError where another try of the request has taken its place meanwhile.
    """

    key: str
    hold: Callable[[], None]


_served: ContextVar[ServedRequest | None] = ContextVar("payments_served_request", default=None)
_claims: ContextVar[list[str] | None] = ContextVar("payments_claims", default=None)
_let_in: ContextVar[dict[str, int] | None] = ContextVar("payments_let_in", default=None)


def served_request() -> ServedRequest | None:
    """Return the request that is being answered under a key, or None."""
    return _served.get()


@contextmanager
def serving(request: ServedRequest) -> Iterator[None]:
    """Have every operation that is claimed in the block remember a request."""
    token = _served.set(request)
    try:
        yield
    finally:
        _served.reset(token)


@contextmanager
def collecting_claims() -> Iterator[list[str]]:
    """Yield a list that gets the id of every operation that is claimed in the block, or waited for instead."""
    claims: list[str] = []
    token = _claims.set(claims)
    try:
        yield claims
    finally:
        _claims.reset(token)
        for operation_id in claims:
            note_claim(operation_id)


@contextmanager
def minding_access() -> Iterator[None]:
    """Have what is claimed in the block be refused where a collection changes hands after its payer was let in."""
    token = _let_in.set({})
    try:
        yield
    finally:
        _let_in.reset(token)


def note_access(collection: PaymentCollection) -> None:
    """Remember that a payer was let in to a collection, and in whose hands it was."""
    let_in = _let_in.get()
    if let_in is not None:
        let_in[collection.pk] = collection.secret_generation


def check_access(collection: PaymentCollection) -> None:
    """Raise NotFoundError where a collection isn't in the hands any more in which it was when a payer was let in."""
    generation = (_let_in.get() or {}).get(collection.pk, collection.secret_generation)
    if generation != collection.secret_generation:
        raise NotFoundError(_("There is nothing here under this address."))


@contextmanager
def by_itself() -> Iterator[None]:
    """Run a block that no request is answerable for: what a receiver of a signal does isn't what was asked for."""
    served, claims, let_in = _served.set(None), _claims.set(None), _let_in.set(None)
    try:
        yield
    finally:
        _let_in.reset(let_in)
        _claims.reset(claims)
        _served.reset(served)


def note_claim(operation_id: str) -> None:
    """Tell whoever collects claims of one more, or of another's whose end is waited for instead."""
    claims = _claims.get()
    if claims is not None:
        claims.append(operation_id)


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
    """Return the event that says what happened to a row, pointing at it and at the rows above it; unsaved."""
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
