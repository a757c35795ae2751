"""The verbs of a payment session: create, update, authorize, cancel.

Each verb refuses to run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from payments.conf import session_lifetime
from payments.exceptions import InputError
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.providers import PaymentContext
from payments.providers.registry import check_money
from payments.services.collections import fit_outgrown
from payments.services.ledger import claims
from payments.services.ledger.books import Books, Scope, hand_over, read_books
from payments.services.ledger.calls import provider_for
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.payers import (
    AUTHORIZATIONS,
    SESSIONS,
    UPDATES,
    Verb,
    check_agreement,
    check_offered,
    check_right,
    context_of,
)
from payments.services.ledger.protocol import Claim, Performance, perform
from payments.services.ledger.totals import refresh_totals
from payments.services.providers import check_input, usable_provider
from payments.states import EventSource, OperationKind, OperationStatus, SessionStatus


@sensitive_variables()
def create_payment_session(
    collection: PaymentCollection,
    *,
    provider_id: str,
    amount: claims.Amount = None,
    data: Mapping[str, Any] | None = None,
    context: PaymentContext | None = None,
    metadata: Mapping[str, Any] | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentSession:
    """Create a session with a provider and have the provider initiate it.

    Without `amount` (major units) the session covers what is left to pay; with it, the session is a split. Either way
    it replaces the unauthorized sessions that were created without an amount, and splits that payers made give way to
    a session of the shop. `data` is sent to the provider on behalf of the payer, `context` on behalf of the shop;
    `metadata` belongs to the shop: only staff see it, and the session's payment inherits it.

    Raises NotFoundError, InputError, AmountError, TransitionError, OperationInProgressError, and for the provider's
    answer DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    origin = Origin.of(actor=actor, source=source, by_payer=by_payer)
    provider = usable_provider(provider_id)
    check_offered(provider, origin)
    sent = check_input(provider, data)

    def make_room(books: Books) -> Sequence[claims.Reduction]:
        return claims.reductions_for_shop(books, provider, amount)

    def claim(books: Books) -> Sequence[PaymentOperation]:
        SESSIONS.check(books)
        replaced = claims.claim_replacement(books)
        session = claims.insert_session(
            books,
            provider,
            amount,
            context=context or context_of(books.collection),
            metadata=metadata,
            lifetime=session_lifetime(),
        )
        operation = claims.claim_initiation(books, session, sent)
        refresh_totals(books)
        return [*replaced, operation]

    scope = Scope(account_at=provider_id, has_customer=context is None, tries=SESSIONS.tries_for(origin))
    performance = _perform_in_room(collection.pk, claim, make_room, origin=origin, scope=scope)
    # The outcomes of the replaced sessions don't matter here: until they are certain, none of these can be authorized.
    performance.steps[-1].raise_for_outcome()
    books = performance.books
    session = books.session(performance.steps[-1].operation.session_id)
    return hand_over(books, session, session)


@sensitive_variables()
def update_payment_session(
    session: PaymentSession,
    *,
    amount: claims.Amount = None,
    data: Mapping[str, Any] | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentSession:
    """Change the amount of an unauthorized session, or its payer's data, at the provider and here.

    An amount (major units) makes the session a split, and payers' splits give way to a larger one of the shop. Raises
    as `create_payment_session` does, and NotSupportedError if the provider can't change a session.
    """
    origin = Origin.of(actor=actor, source=source, by_payer=by_payer)
    if amount is None and data is None:
        raise InputError(_("Give an amount or data to change."), code="nothing_to_change", field="amount")
    provider = provider_for(session)
    sent = check_input(provider, data)

    def checked(books: Books) -> PaymentSession:
        locked = books.session(session.pk)
        claims.check_unauthorized(locked, _("Only an unauthorized session can be changed."))
        return locked

    def make_room(books: Books) -> Sequence[claims.Reduction]:
        if amount is None or by_payer:
            return []
        locked = checked(books)
        claims.check_update(books, locked, sent)
        return claims.reductions_for_shop(books, provider, amount, session=locked)

    def claim(books: Books) -> Sequence[PaymentOperation]:
        locked = checked(books)
        check_right(books, locked, Verb.UPDATE)
        UPDATES.check(books)
        return claims.claim_update(
            books,
            locked,
            claims.new_amount(books, locked, amount, provider),
            sent=sent,
            makes_split=locked.is_split or amount is not None,
        )

    scope = Scope(tries=UPDATES.tries_for(origin))
    performance = _perform_in_room(session.collection_id, claim, make_room, origin=origin, scope=scope)
    return _handed_over(performance, session)


@sensitive_variables()
def authorize_payment_session(
    session: PaymentSession,
    *,
    data: Mapping[str, Any] | None = None,
    saved_method: str | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentSession:
    """Have a session's amount held by its provider; `session.payment` is set once it is.

    A declined authorization doesn't raise: the session is then in `error`. An authorized session is returned
    unchanged, so authorizing it twice gives one payment. Another session that covers what is left
    is fitted to that. `saved_method` is charged off-session; it is meant for `charge_saved_payment_method` only.

    Raises TransitionError for a canceled session, and for an off-session charge to which the customer hasn't agreed, or
    while they are paying themselves (`not_agreed`). Raises AmountError if more would be held than is due, LimitError if
    a payer has tried too often, OperationInProgressError, ProviderUnavailableError and OutcomeUnknownError.
    """
    origin = Origin.of(actor=actor, source=source, by_payer=by_payer)
    provider = provider_for(session)
    check_money(provider)
    check_offered(provider, origin)
    sent = check_input(provider, data)
    status = session.status

    def claim(books: Books) -> Sequence[PaymentOperation]:
        locked = books.session(session.pk)
        if saved_method is not None:
            check_agreement(books, locked, seen=session, status=status)
        return claims.claim_authorization(books, locked, sent, saved_method=saved_method)

    scope = Scope(
        account_at=session.provider_id if session.initiated_at is None else None,
        tries=AUTHORIZATIONS.tries_for(origin),
    )
    performance = perform(session.collection_id, claim, origin=origin, scope=scope)
    while any(step.operation.kind != OperationKind.AUTHORIZE for step in performance.steps):
        performance.raise_first()
        status = performance.books.session(session.pk).status
        performance = perform(session.collection_id, claim, origin=origin, scope=scope)
    for step in performance.steps:
        if step.error is not None or step.operation.status != OperationStatus.DECLINED:
            step.raise_for_outcome()
    books = performance.books
    fit_outgrown(session.collection_id, books=books)
    return hand_over(books, session, books.session(session.pk))


def cancel_payment_session(
    session: PaymentSession,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentSession:
    """Abandon an unauthorized session, or release the whole authorization of an authorized one.

    The status of the given row decides which of the two is meant: a session that was authorized after the row was read
    isn't released. A payer can abandon sessions that payers made, and release them only with the setting
    `PAYERS_MAY_RELEASE`.

    Raises TransitionError if money was captured; if the session was authorized meanwhile or only the shop may release
    it (`already_authorized`); and if a payer may not cancel it (`made_by_shop`, `planned`). Raises
    OperationInProgressError, and for the provider's answer DeclinedError, ProviderUnavailableError or
    OutcomeUnknownError.
    """
    is_release = not session.is_unauthorized

    def claim(books: Books) -> Sequence[PaymentOperation]:
        locked = books.session(session.pk)
        is_held = locked.status == SessionStatus.AUTHORIZED
        check_right(books, locked, Verb.RELEASE if is_held else Verb.CANCEL)
        if is_release and locked.payment is not None:
            return claims.claim_whole_release(books, locked.payment)
        operations = claims.claim_abandonment(books, locked)
        refresh_totals(books)
        return operations

    performance = perform(
        session.collection_id,
        claim,
        origin=Origin.of(actor=actor, source=source, by_payer=by_payer),
        scope=Scope(session_id=session.pk),
    )
    return _handed_over(performance, session)


def check_session_cancelation(session: PaymentSession) -> None:
    """Raise what `cancel_payment_session` would raise now, before any call to the provider."""
    scope = Scope(session_id=session.pk)
    books = read_books(session.collection_id, scope=scope)
    claims.check_session_cancelation(books, books.session(session.pk))


def _perform_in_room(
    collection_id: str,
    claim: Claim,
    make_room: Callable[[Books], Sequence[claims.Reduction]],
    *,
    origin: Origin,
    scope: Scope,
) -> Performance:
    """Perform a claim together with the reductions that make room for it, after those that need calls to providers."""
    has_called = False

    def claim_in_room(books: Books) -> Sequence[PaymentOperation]:
        claims.reduce_at_once(books, make_room(books))
        return claim(books)

    def first(books: Books) -> Sequence[PaymentOperation]:
        nonlocal has_called
        calls = claims.claim_calls(books, make_room(books))
        has_called = bool(calls)
        if not calls:
            return claim_in_room(books)
        refresh_totals(books)
        return calls

    performance = perform(collection_id, first, origin=origin, scope=scope)
    # If a payer paid a split meanwhile, or its outcome is unknown, less is left to pay.
    return perform(collection_id, claim_in_room, origin=origin, scope=scope) if has_called else performance


def _handed_over(performance: Performance, session: PaymentSession) -> PaymentSession:
    books = performance.raise_first()
    return hand_over(books, session, books.session(session.pk))
