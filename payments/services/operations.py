"""Settling an open operation: by asking the provider now, or by a person's decision with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.exceptions import InputError, OutcomeUnknownError
from payments.models import PaymentCollection, PaymentEvent, PaymentOperation
from payments.providers.calls import check_no_transaction
from payments.services.background.reconciler import reconcile_now
from payments.services.collections import fit_outgrown, fit_sessions
from payments.services.ledger import resolutions
from payments.services.ledger.books import Books, keep, read_books
from payments.services.ledger.discrepancies import Discrepancy, reasons_in
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import database_alias, reconnecting
from payments.services.ledger.operations import is_unclear, raise_for_outcome
from payments.services.ledger.records import Resolution
from payments.services.ledger.resolutions import (
    KINDS_WITH_AMOUNT,
    MONEY_KINDS,
    Outlook,
    Statement,
    check_decidable,
    correct,
    look_ahead,
    reported_of,
    resolve,
)
from payments.services.ledger.statements import database_time
from payments.services.sync import events_since, last_event_of, synchronize
from payments.states import EventSource, OperationKind, OperationStatus

__all__ = [
    "KINDS_WITH_AMOUNT",
    "MONEY_KINDS",
    "Discrepancy",
    "Finding",
    "Outlook",
    "check_correctable",
    "check_operation",
    "check_resolvable",
    "correct_operation",
    "foresee",
    "is_unclear",
    "look_into",
    "raise_for_outcome",
    "reasons_in",
    "reported_of",
    "resolve_operation",
]

Amount = Decimal | int | str | None

_RESOLUTIONS: Final = ("operation.resolved", "operation.corrected")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An operation after a check, and the events of its session since then."""

    operation: PaymentOperation
    news: Sequence[PaymentEvent] = ()


def check_operation(
    operation: PaymentOperation,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentOperation:
    """Do the reconciler's next step for an open operation at once, and return the updated operation.

    The provider is asked for the outcome. If it doesn't know the operation, the request is sent again under the same
    idempotency key, as long as the provider honors the key. An operation that needs attention is never sent again, and
    a finished one is returned unchanged.

    Raises OperationInProgressError while a worker or request is working on the operation, and for one that needs
    attention as `sync_payment_session` does.
    """
    return look_into(
        operation, origin=Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    ).operation


def look_into(operation: PaymentOperation, *, origin: Origin) -> Finding:
    """Check an operation as `check_operation` does, and return it with the new events; raise as it does."""
    check_no_transaction()
    operation.refresh_from_db()
    last = last_event_of(operation.session)
    if operation.status == OperationStatus.ATTENTION:
        synchronize(operation.session, origin=origin)
    elif operation.is_open:
        reconcile_now(operation, origin=origin.finding())
    reconnecting(operation.refresh_from_db)
    return Finding(operation=operation, news=events_since(operation.session, last))


def resolve_operation(
    operation: PaymentOperation,
    *,
    has_happened: bool,
    reason: str,
    amount: Amount = None,
    evidence: str = "",
    provider_reference: str | None = None,
    accept_excess: bool = False,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentOperation:
    """Record a person's finding that an operation did or did not happen, and with which `amount` (major units).

    The operation needs attention, or its outcome has been unknown for ten minutes. The effect is the same as that of
    the provider's own answer; an operation that only reports a discrepancy is acknowledged. Without `amount`, the
    requested amount has happened. `reason` states how the person knows, `evidence` may name a document.

    `provider_reference` is the provider's id for what has happened. Without it, a session whose initiation was lost
    may be unusable. If a capture or refund in the books already has this reference or id, it is the same money, and
    nothing is booked again.

    Raises InputError without a reason, and for an amount or a reference where none is expected; AmountError for an
    impossible amount. Unless `accept_excess` is set, raises AmountError for more than the provider can have moved
    (`exceeds_possible`) and TransitionError for what may be in the books already (`possibly_booked`). Raises
    TransitionError for an operation that can't be resolved (`not_in_attention`) or not yet (`too_early`), and where a
    fact from the provider contradicts it (`already_recorded`).
    """
    statement = Statement(
        has_happened=has_happened,
        amount=amount,
        reference=provider_reference,
        accepts_excess=accept_excess,
    )
    origin = Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    resolution = _resolution(origin, reason, evidence)
    now = _database_time(operation)

    def rule(books: Books) -> PaymentOperation:
        current = books.operation(operation.pk)
        check_decidable(current, now)
        resolve(books, current, statement, resolution)
        return current

    _books, resolved = keep(operation.collection_id, rule, origin=origin)
    fit_outgrown(resolved.collection_id, origin=origin)
    return resolved


def correct_operation(
    operation: PaymentOperation,
    *,
    has_happened: bool,
    reason: str,
    amount: Amount = None,
    evidence: str = "",
    provider_reference: str | None = None,
    accept_excess: bool = False,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentOperation:
    """Record that a person was mistaken when they resolved an authorization, a capture or a refund.

    The arguments describe what has happened instead, as those of `resolve_operation` do. The mistaken entry stays in
    the history, but no longer counts in the sums. Afterwards, open sessions are fitted to what is left to pay; one that
    was canceled for a receipt stays canceled.

    Refuses to run inside the caller's transaction. Raises what `resolve_operation` raises, and TransitionError if the
    provider has reported the outcome since (`already_recorded`), if a later operation used the money (`depended_on`),
    if no person has resolved the operation (`not_correctable`), or if the books already agree (`nothing_to_correct`).
    """
    statement = Statement(
        has_happened=has_happened,
        amount=amount,
        reference=provider_reference,
        accepts_excess=accept_excess,
    )
    check_no_transaction()
    origin = Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    resolution = _resolution(origin, reason, evidence)

    def rule(books: Books) -> PaymentOperation:
        current = books.operation(operation.pk)
        correct(books, current, statement, resolution, room=_room_of(current))
        return current

    _books, corrected = keep(operation.collection_id, rule, origin=origin)
    with suppress(OutcomeUnknownError):  # The session shows that its change is unclear.
        fit_sessions(corrected.collection_id, origin=origin)
    return corrected


def check_correctable(operation: PaymentOperation) -> None:
    """Raise what `correct_operation` would raise for any arguments: the operation can't be corrected."""
    resolutions.check_correctable(_look_into(operation)[1])


def _room_of(operation: PaymentOperation) -> resolutions.Room:
    """Return by how much a person's last resolution of an operation had to enlarge its payment."""
    told = PaymentEvent.objects.of(operation).filter(type__in=_RESOLUTIONS).order_by("-id").first()
    room = {} if told is None else told.data.get("room", {})
    return resolutions.Room(
        amount=Decimal(room.get("amount", 0)),
        canceled=Decimal(room.get("canceled", 0)),
        held=_held_last(operation),
    )


def _held_last(operation: PaymentOperation) -> Decimal | None:
    """Return the last authorized amount in the history of an operation's session, from the provider or a person."""
    of_hold = Q(type="payment.authorized") | Q(type__in=_RESOLUTIONS, operation__kind=OperationKind.AUTHORIZE)
    told = PaymentEvent.objects.of(operation.session).filter(of_hold).order_by("-id")
    amounts = (event.amount or event.data.get("amount") for event in told)
    return next((Decimal(amount) for amount in amounts if amount), None)


def foresee(
    operation: PaymentOperation,
    *,
    has_happened: bool,
    amount: Amount = None,
    provider_reference: str | None = None,
    accept_excess: bool = False,
) -> Outlook:
    """Return what `resolve_operation` would do with the same arguments; raise what it would raise."""
    statement = Statement(
        has_happened=has_happened, amount=amount, reference=provider_reference, accepts_excess=accept_excess
    )
    books, current = _look_into(operation)
    return look_ahead(books, current, statement)


def check_resolvable(operation: PaymentOperation) -> None:
    """Raise what `resolve_operation` would raise for any arguments: the operation can't be resolved, or not yet."""
    check_decidable(_look_into(operation)[1], _database_time(operation))


def _look_into(operation: PaymentOperation) -> tuple[Books, PaymentOperation]:
    books = read_books(operation.collection_id)
    return books, books.operation(operation.pk)


def _database_time(operation: PaymentOperation) -> datetime:
    rows = PaymentCollection.objects.filter(pk=operation.collection_id)
    return database_time(database_alias(), rows)


def _resolution(origin: Origin, reason: str, evidence: str) -> Resolution:
    if not reason.strip():
        raise InputError(_("Give a reason."), code="reason_required", field="reason")
    return Resolution(actor=origin.actor, reason=reason, evidence=evidence)
