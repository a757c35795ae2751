"""Opening the payment collection of a row of the shop: one row, one open collection.

The shop says what is to be paid (`ResolvedPayable`); a payer only names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connections, models, router, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import (
    AmountError,
    NotFoundError,
    NotSupportedError,
    OperationInProgressError,
    ProviderError,
    TransitionError,
)
from payments.models import PaymentCollection, PaymentOperation, PaymentSession
from payments.models.payables import concrete, topmost_model
from payments.money import ZERO, normalize_currency, parse_amount
from payments.providers import PaymentContext
from payments.providers.calls import check_no_transaction
from payments.services.collections import (
    claim_everything,
    create_payment_collection,
    payable_key,
    update_payment_collection,
)
from payments.services.ledger.books import WHOLE, Books, hand_over
from payments.services.ledger.claims import claim_abandonment
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import database_alias, repeated
from payments.services.ledger.protocol import perform
from payments.services.ledger.totals import refresh_totals
from payments.services.sessions import cancel_payment_session, context_of
from payments.states import CollectionStatus, EventSource
from payments.users import key_of, user_of

logger = logging.getLogger("payments.payables")


@dataclass(frozen=True, kw_only=True)
class ResolvedPayable:
    """What is to be paid for a row of the shop, as the `PAYABLE_RESOLVER` decides it for one request.

    `amount` is all that is to be paid for `payable`, in major units of `currency_code` (ISO 4217, any case), also where
    a part of it was paid already. `customer` is the user who may pay, None or an AnonymousUser for a guest.
    `description` is what a provider may show to the payer.
    """

    payable: models.Model
    amount: Decimal | int | str
    currency_code: str
    customer: Actor = None
    description: str | None = None


def open_payment_collection(
    resolved: ResolvedPayable,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
    ask_again: Callable[[], ResolvedPayable] | None = None,
) -> tuple[PaymentCollection, bool]:
    """Return the collection of a payable, and whether it was created for it now.

    Requests for one payable queue up at its row, so that they all get one collection. An existing one is brought up to
    date with the amount; one in another currency is canceled first. A completed collection is returned as well: what
    was paid isn't asked for again, and nor is it given back where the payable costs less now.

    The collection follows its payable into other hands: once `resolved` names another customer, or none any more, the
    former one sees it no longer, the client secret that was given out ends, and so do sessions that nobody has paid
    with. All of this is what the shop says of the payable, so a payer causes it (`by_payer`) and has no right to less.

    What `resolved` says may be older than the last change of hands: `ask_again` asks the shop once more before there is
    another, and what it says then counts.

    Raises AmountError, CurrencyError, InputError for a row or a customer that a collection can't refer to,
    NotFoundError where the row is gone, and TransitionError where money in another currency (`currency_changed`), or
    more than the new amount (`amount_changed`), is held or promised. Raises OperationInProgressError where a session
    that would have to change is being worked on, or where others have just taken over, and ProviderError where a
    provider doesn't let go of a session.
    """
    check_no_transaction()
    asker: Any = {"actor": actor, "source": source}
    collection, is_new = _find_or_create(resolved, by_payer=by_payer, **asker)
    generation = collection.secret_generation
    if ask_again is not None and collection.customer_key != key_of(_customer_of(resolved)):
        resolved = ask_again()
        collection, is_new = _find_or_create(resolved, by_payer=by_payer, **asker)
    if is_new:
        return collection, True
    if collection.customer_key != key_of(_customer_of(resolved)):
        _follow_customer(collection, resolved, Origin.of(**asker), generation=generation)
    amount = parse_amount(resolved.amount, collection.currency_code)
    if collection.amount != amount:
        _bring_up_to_date(collection, amount, **asker)
    return collection, False


def _find_or_create(
    resolved: ResolvedPayable, *, actor: Actor, source: str, by_payer: bool
) -> tuple[PaymentCollection, bool]:
    """Return a payable's collection as it is, and whether it was created now."""
    currency = normalize_currency(resolved.currency_code)
    parse_amount(resolved.amount, currency)
    resolved = replace(resolved, customer=_customer_of(resolved))
    payable_key(resolved.payable)
    _abandon_other_currencies(resolved.payable, currency, Origin.of(actor=actor, source=source))

    def find_or_create() -> tuple[PaymentCollection, bool]:
        with _locked(resolved.payable):
            found = _current_collection(resolved.payable)
            if found is not None:
                return found, False
            return _create(resolved, actor=actor, source=source, by_payer=by_payer), True

    return repeated(find_or_create)


def _customer_of(resolved: ResolvedPayable) -> Any:
    return user_of(resolved.customer, field="customer")


def _description_of(resolved: ResolvedPayable) -> str:
    return str(resolved.description or "")


def is_collection_of(collection_id: str, resolved: ResolvedPayable) -> bool:
    """Return whether a collection is that of a payable and its customer, as the shop sees both now."""
    rows = PaymentCollection.objects.for_payable(resolved.payable)
    return rows.filter(pk=collection_id, customer_key=key_of(resolved.customer)).exists()


def is_held_for(
    payable: models.Model, *, amount: Decimal | int | str | None = None, currency_code: str | None = None
) -> bool:
    """Return whether all that a payable costs is held or was taken and kept, as things stand now.

    Give `amount` (major units) and `currency_code` (ISO 4217) as the shop knows them now: a collection has the amount
    with which it was opened last. Without the two that one counts. A signal tells of something that was so when it
    happened, and may come late, twice, or in another order than a second one; this tells what is so now, so that no
    such signal confirms an order which isn't paid. What was given back isn't held any more, nor is what the bank took
    back: after a refund give what the payable costs without that.
    """
    if (amount is None) != (currency_code is None):
        raise TypeError("Give the amount and its currency, or neither.")
    rows = PaymentCollection.objects.for_payable(payable)
    if amount is not None and currency_code is not None:
        currency = normalize_currency(currency_code)
        kept = sum((row.kept_amount for row in rows.filter(currency_code=currency)), ZERO)
        return ZERO < Decimal(amount) <= kept
    open_rows = rows.exclude(status=CollectionStatus.CANCELED)
    return bool(open_rows) and all(row.kept_amount >= row.amount for row in open_rows)


def payment_context(collection: PaymentCollection, *, return_url: str | None = None) -> PaymentContext:
    """Return what a provider is told of a collection's payer; `return_url` is where the browser goes afterwards."""
    return replace(context_of(collection), return_url=return_url)


def _create(resolved: ResolvedPayable, *, actor: Actor, source: str, by_payer: bool) -> PaymentCollection:
    return create_payment_collection(
        amount=resolved.amount,
        currency_code=resolved.currency_code,
        payable=resolved.payable,
        customer=resolved.customer,
        description=_description_of(resolved),
        actor=actor,
        source=source,
        by_payer=by_payer,
    )


@contextmanager
def _locked(payable: models.Model) -> Iterator[None]:
    """Lock the payable's row in its own table; that is committed when the block ends, or with our own transaction.

    What inherits from the same row locks the same. No manager has a say: what it joins can't always be locked.
    """
    model, top = concrete(payable._meta.model), topmost_model(payable._meta.model)
    alias = router.db_for_write(top, instance=payable)
    with transaction.atomic(using=alias):
        features = connections[alias].features
        if not connections[database_alias()].features.has_select_for_update:
            # SQLite has one write lock, which any write takes, also one that finds no row.
            PaymentCollection.objects.filter(pk="").update(updated_at=timezone.now())
        # Other rows of the shop may go on referring to the locked one, where the database can tell the difference.
        rows: QuerySet[models.Model] = QuerySet(top, using=alias).filter(
            pk=getattr(payable, top._meta.pk.attname)
        )
        locked = rows.select_for_update(no_key=features.has_select_for_no_key_update).values_list("pk")
        is_there = bool(list(locked))
        if is_there and model is not top:
            is_there = QuerySet(model, using=alias).filter(pk=payable.pk).exists()
        if not is_there:
            raise NotFoundError(_("What is to be paid isn't there any more."), code="unknown_payable")
        yield


def _current_collection(payable: models.Model) -> PaymentCollection | None:
    """Return the newest collection for which something may be paid, or else the newest that was paid."""
    rows = PaymentCollection.objects.for_payable(payable)
    kept = list(rows.exclude(status=CollectionStatus.CANCELED).order_by("-created_at", "-id"))
    unpaid = [row for row in kept if row.status != CollectionStatus.COMPLETED]
    return next(iter(unpaid or kept), None)


def _follow_customer(
    collection: PaymentCollection, resolved: ResolvedPayable, origin: Origin, *, generation: int
) -> None:
    """Give a guest's collection to the customer whom the shop has recognized meanwhile, or a customer's to another.

    Its description becomes the new one: the old one may name the former customer. `generation` tells in whose hands it
    was before the shop was asked: after another change that is no news.
    """
    customer = _customer_of(resolved)

    def claim(books: Books) -> list[PaymentOperation]:
        former = books.collection.customer_key
        if former == key_of(customer):
            return []
        if books.collection.secret_generation != generation:
            raise OperationInProgressError(_("This has just come into other hands. Try again."))
        books.collection.customer, books.collection.customer_key = customer, key_of(customer)
        books.collection.description = _description_of(resolved)
        return _claim_change_of_hands(books, ends_sessions=former != "")

    books = perform(collection.pk, claim, origin=origin, scope=WHOLE).raise_first()
    hand_over(books, collection, books.collection)


def _claim_change_of_hands(books: Books, *, ends_sessions: bool) -> list[PaymentOperation]:
    """Claim that a collection is somebody else's now: nobody pays it any more with the secret that was given out.

    What a former customer has begun to pay with ends, unless it isn't known how that stands; what a guest has begun
    goes on, for it may be the same person. So does a part of a plan that no provider knows of yet, but the new customer
    has not agreed that it is charged by itself.
    """
    books.collection.secret_generation += 1
    theirs = payment_context(books.collection)
    operations: list[PaymentOperation] = []
    agreed: list[str] = []
    for session in books.unauthorized_sessions():
        if session.is_automatic:
            session.is_automatic = False
            agreed.append(session.pk)
        is_busy = bool(books.open_operations(target_id=session.pk))
        if session.initiated_at is None and session.installment is not None and not is_busy:
            session.context = {**vars(theirs), "return_url": session.context.get("return_url")}
        elif ends_sessions and not is_busy:
            operations += claim_abandonment(books, session)
    books.note("collection.changed_hands", books.collection, data={"not_automatic": agreed} if agreed else {})
    refresh_totals(books)
    return operations


def _abandon_other_currencies(payable: models.Model, currency_code: str, origin: Origin) -> None:
    rows = PaymentCollection.objects.for_payable(payable)
    for collection in rows.exclude(status=CollectionStatus.CANCELED).exclude(currency_code=currency_code):
        perform(collection.pk, _claim_abandonment, origin=origin, scope=WHOLE).raise_first()


def _claim_abandonment(books: Books) -> list[PaymentOperation]:
    """Claim that a collection is abandoned of which nothing is paid; raise TransitionError where something is."""
    if books.collection.authorized_amount:
        raise TransitionError(
            _("Money is held or was taken in %(currency)s already."),
            code="currency_changed",
            params={"currency": books.collection.currency_code.upper()},
        )
    return claim_everything(books)


def _bring_up_to_date(collection: PaymentCollection, amount: Decimal, *, actor: Actor, source: str) -> None:
    """Change a collection's amount; where only a session couldn't be changed with it, the log says so.

    Never leave it for a payer at an amount that the payable hasn't any more.
    """
    try:
        _change_amount(collection, amount, actor=actor, source=source)
    except AmountError as error:
        collection.refresh_from_db()
        if collection.status != CollectionStatus.COMPLETED:
            raise TransitionError(
                _("This costs less now than is authorized already; some of that has to be canceled first."),
                code="amount_changed",
            ) from error
    except ProviderError as error:
        collection.refresh_from_db()
        if collection.amount != amount:
            raise
        logger.warning("A session of %s doesn't have its new amount: %s", collection.pk, error.code)


def _change_amount(collection: PaymentCollection, amount: Decimal, *, actor: Actor, source: str) -> None:
    try:
        update_payment_collection(collection, amount=amount, actor=actor, source=source)
    except NotSupportedError:
        _cancel_sessions_for_the_rest(collection, actor=actor, source=source)
        update_payment_collection(collection, amount=amount, actor=actor, source=source)


def _cancel_sessions_for_the_rest(collection: PaymentCollection, *, actor: Actor, source: str) -> None:
    """Cancel the sessions that cover what is left with a provider that can't change them."""
    sessions = PaymentSession.objects.filter(collection=collection.pk, is_split=False)
    for session in sessions.unauthorized():
        try:
            cancel_payment_session(session, actor=actor, source=source)
        except TransitionError as error:
            if error.code != "already_authorized":  # What its payer has paid meanwhile stays.
                raise
