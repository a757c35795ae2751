"""The verbs of a payment collection: create, update, cancel.

Only the shop may update or cancel: for a payer, both raise InputError (`not_for_payers`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    AmountError,
    DeclinedError,
    InputError,
    OperationInProgressError,
    OutcomeUnknownError,
    ProviderUnavailableError,
    TransitionError,
)
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.models.payables import key_text
from payments.money import display_amount, normalize_currency, parse_amount
from payments.services.ledger import claims
from payments.services.ledger.books import WHOLE, Books, Scope, hand_over, read_books
from payments.services.ledger.history import Actor, Origin, by_itself
from payments.services.ledger.locks import database_alias, joined
from payments.services.ledger.outbox import enqueue
from payments.services.ledger.protocol import perform
from payments.services.ledger.statements import insert
from payments.services.ledger.totals import held_amount, refresh_totals
from payments.states import EventSource, OperationStatus
from payments.users import key_of, user_of

logger = logging.getLogger("payments.collections")

_SYSTEM: Final = Origin(source=EventSource.SYSTEM)


def create_payment_collection(
    *,
    amount: Decimal | int | str,
    currency_code: str,
    payable: models.Model | None = None,
    customer: Actor = None,
    description: str = "",
    metadata: Mapping[str, Any] | None = None,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentCollection:
    """Create a collection for `amount` (major units) of `currency_code` (ISO 4217, any case).

    `payable` is the shop's row that is to be paid, and `customer` the user who pays. Providers show the `description`
    to the customer; `metadata` belongs to the shop, and only staff see it.

    No provider is called, and the caller's transaction is joined, so that an order and its collection are saved
    together. Raises AmountError, CurrencyError, and InputError if `payable` isn't saved or its key can't be stored, or
    if `customer` isn't a user.
    """
    currency = normalize_currency(currency_code)
    exact = parse_amount(amount, currency)
    user = user_of(customer, field="customer")
    with joined():
        collection = PaymentCollection(
            amount=exact,
            currency_code=currency,
            customer=user,
            customer_key=key_of(user),
            description=description,
            metadata=dict(metadata or {}),
            **_link_to(payable),
        )
        books = Books(collection=collection, origin=Origin.of(actor=actor, source=source, by_payer=by_payer))
        books.note("collection.created", collection, to_status=str(collection.status), amount=exact)
        insert(database_alias(), [collection])
        enqueue(collection.pk, books.events)
    return collection


def update_payment_collection(
    collection: PaymentCollection,
    *,
    amount: Decimal | int | str,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentCollection:
    """Change a collection's amount (major units), and with it the sessions that cover what is left.

    Splits that no longer fit are made smaller or canceled, the newest first and the parts of a plan last.

    Refuses to run inside the caller's transaction. Raises AmountError for an amount below what is authorized,
    TransitionError for a canceled collection, OperationInProgressError, NotSupportedError, and for the providers'
    answers DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """

    def claim(books: Books) -> Sequence[PaymentOperation]:
        _change_amount(books, parse_amount(amount, books.collection.currency_code))
        return claims.claim_resizes(books)

    origin = Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    performance = perform(collection.pk, claim, origin=origin, scope=WHOLE)
    books = performance.raise_first(has_begun=True)
    return hand_over(books, collection, books.collection)


def ask_no_more(collection_id: str, *, origin: Origin) -> Decimal:
    """Have a collection ask for no more than it holds, or end one that holds nothing; return what it holds."""

    def claim(books: Books) -> Sequence[PaymentOperation]:
        held = held_amount(books)
        if not held:
            return claims.claim_everything(books)
        if books.collection.is_canceled or books.collection.amount <= held:
            return []
        _change_amount(books, held)
        return claims.claim_resizes(books, may_cancel=True)

    performance = perform(collection_id, claim, origin=origin, scope=WHOLE)
    return held_amount(performance.raise_first(has_begun=True))


def fit_outgrown(collection_id: str, *, books: Books | None = None, origin: Origin = _SYSTEM) -> None:
    """Fit the sessions that are for more than is left, if there are any; else call no provider.

    `books` are the collection's if they were just written; otherwise they are read, if there may be such a session. If
    the change of a session is unclear, it shows that.
    """
    if books is None:
        if not PaymentSession.objects.filter(collection=collection_id).unauthorized().exists():
            return
        books = read_books(collection_id, scope=Scope())
    if claims.needs_fitting(books):
        # An answer to a request isn't changed by what becomes of the other sessions.
        with suppress(OutcomeUnknownError), by_itself():
            fit_sessions(collection_id, origin=origin)


def fit_sessions(collection_id: str, *, origin: Origin) -> None:
    """Fit a collection's sessions to what is left to pay, since money was booked; raise OutcomeUnknownError.

    Splits that no longer fit are made smaller, and the session that covers what is left covers the new rest; what its
    provider can't change is canceled. The money is recorded already, so that a refusal is no error: nobody may be told
    to try again.
    """
    claim = partial(claims.claim_resizes, may_cancel=True)
    try:
        performance = perform(collection_id, claim, origin=origin, scope=Scope())
        declined = [
            step.operation for step in performance.steps if step.operation.status == OperationStatus.DECLINED
        ]
        if declined:
            claim = partial(claims.claim_outgrown, session_ids={row.session_id for row in declined})
            perform(collection_id, claim, origin=origin, scope=Scope()).raise_first()
        performance.raise_first()
    except (DeclinedError, ProviderUnavailableError, OperationInProgressError, TransitionError) as error:
        logger.warning("A session of %s isn't for what is left: %s", collection_id, error.code)


def cancel_payment_collection(
    collection: PaymentCollection,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentCollection:
    """Abandon a collection: cancel its unauthorized sessions and release what its payments hold.

    No new session can be created from the moment of the claim. If a provider can't be reached, call this again to
    continue. Refuses to run inside the caller's transaction. Raises TransitionError if captured money was not
    refunded, OperationInProgressError, and for the providers' answers DeclinedError, ProviderUnavailableError or
    OutcomeUnknownError.
    """
    origin = Origin.of_shop(actor=actor, source=source, by_payer=by_payer)
    books = perform(collection.pk, claims.claim_everything, origin=origin, scope=WHOLE).raise_first(
        has_begun=True
    )
    return hand_over(books, collection, books.collection)


def _link_to(payable: models.Model | None) -> dict[str, Any]:
    if payable is None:
        return {}
    key = payable_key(payable)
    content_type = ContentType.objects.db_manager(database_alias()).get_for_model(payable)
    return {"payable_type": content_type, "payable_id": key}


def payable_key(payable: models.Model) -> str:
    """Return a payable's primary key as text. Raises InputError if the payable isn't saved or its key has no text."""
    if getattr(payable, "pk", None) is None:
        raise InputError(
            _("What is to be paid for isn't saved yet."), code="payable_not_saved", field="payable"
        )
    key = key_text(payable._meta.model, payable.pk)
    if key is None:
        raise InputError(
            _(
                "A collection can't refer to a %(model)s: its primary key must be a single value that can be "
                "stored as text."
            ),
            code="payable_key_unsupported",
            field="payable",
            params={"model": payable._meta.label},
        )
    return key


def _change_amount(books: Books, amount: Decimal) -> None:
    claims.check_open(books)
    collection = books.collection
    held = held_amount(books)
    if amount < held:
        raise AmountError(
            _("%(held)s are authorized already; cancel some of that first."),
            code="below_authorized",
            params={"held": display_amount(held, collection.currency_code)},
        )
    old, collection.amount = collection.amount, amount
    books.note("collection.updated", collection, amount=amount, data={"old_amount": str(old)})
    refresh_totals(books, due_before=old)


def check_collection_cancelation(collection: PaymentCollection) -> None:
    """Raise what `cancel_payment_collection` would raise now, before any call to a provider."""
    claims.check_collection_cancelation(read_books(collection.pk))
