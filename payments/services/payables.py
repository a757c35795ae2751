"""Opening the payment collection of one of the shop's rows: one row, one open collection.

The shop decides what is to be paid (`ResolvedPayable`); a payer only names the row.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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
from payments.money import ZERO, exact_decimal, normalize_currency, parse_amount
from payments.providers import PaymentContext
from payments.providers.calls import check_no_transaction
from payments.services.collections import (
    ask_no_more,
    create_payment_collection,
    fit_outgrown,
    payable_key,
    update_payment_collection,
)
from payments.services.ledger.books import WHOLE, Books, hand_over
from payments.services.ledger.claims import claim_abandonment, claim_everything
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import database_alias, repeated
from payments.services.ledger.payers import context_of, renew_context
from payments.services.ledger.protocol import perform
from payments.services.ledger.totals import refresh_totals
from payments.services.sessions import cancel_payment_session
from payments.states import CollectionStatus, EventSource
from payments.users import key_of, user_of

logger = logging.getLogger("payments.payables")


@dataclass(frozen=True, kw_only=True)
class ResolvedPayable:
    """What is to be paid for one of the shop's rows, as the `PAYABLE_RESOLVER` decides it for one request.

    `amount` is the whole price of `payable`, in major units of `currency_code` (ISO 4217, any case), including what
    was paid already. `customer` is the user who may pay, None or an AnonymousUser for a guest. A provider may show
    `description` to the payer.
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
    """Return the collection of a payable, and whether it was created by this call.

    Requests for one payable queue up at its row, so that they all get one collection. An existing collection takes
    over the new amount; a collection in another currency is canceled first. A completed collection is returned as it
    is: nothing is asked for again, and nothing is refunded if the payable costs less now. If the payable has several
    collections, they are together for its price: the newest keeps what it is still to take, the older ones give way,
    and one that has nothing left to ask for is canceled.

    If `resolved` names another customer, or a guest, the collection changes hands: the former customer no longer sees
    it, its client secret ends, and its unpaid sessions are canceled. These changes follow from what the shop decides,
    so a request of a payer (`by_payer`) makes them too.

    `resolved` may be older than the last change of hands, or of the currency. Before another change, `ask_again` asks
    the shop once more, and its new answer counts.

    Raises AmountError, CurrencyError, InputError for a row or a customer that a collection can't refer to,
    NotFoundError if the row is gone, and TransitionError if money in another currency (`currency_changed`), or more
    than the new amount (`amount_changed`), is held or promised. Raises OperationInProgressError if a session that has
    to change is busy, or if the collection has just changed hands or currency, and ProviderError if a provider doesn't
    cancel a session.
    """
    check_no_transaction()
    asker: Any = {"actor": actor, "source": source}
    resolved = _in_one_currency(resolved, Origin.of(**asker), ask_again=ask_again)
    opened = _find_or_create(resolved, by_payer=by_payer, **asker)
    generations = {row.pk: row.secret_generation for row in opened.rows}
    if ask_again is not None and opened.of_others(resolved):
        resolved = _in_one_currency(ask_again(), Origin.of(**asker))
        opened = _find_or_create(resolved, by_payer=by_payer, **asker)
    if any(row.currency_code != normalize_currency(resolved.currency_code) for row in opened.rows):
        # A concurrent request has opened it in another currency, in which this amount means something else.
        raise OperationInProgressError(_("The currency has just changed. Try again."))
    for row in opened.of_others(resolved):
        generation = generations.get(row.pk, row.secret_generation)
        _follow_customer(row, resolved, Origin.of(**asker), generation=generation)
    collection = _share_out(opened, resolved, asker)
    if collection.customer_key != key_of(resolved.customer):
        # It has changed hands during a call to a provider: what it is now isn't for whom this was asked.
        raise _changed_hands()
    return collection, opened.is_new


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A payable's collections that weren't canceled or hold money all the same, newest first; `is_new` is of the first.

    What was paid late, while the collection was being canceled, counts, but the canceled collection takes no more.
    """

    rows: Sequence[PaymentCollection]
    is_new: bool = False

    @property
    def unfinished(self) -> Sequence[PaymentCollection]:
        """Those that aren't completed, or else the newest of all."""
        return [row for row in self.rows if row.status != CollectionStatus.COMPLETED] or self.rows[:1]

    @property
    def takers(self) -> Sequence[PaymentCollection]:
        """Those that can take money: all that are neither canceled nor completed, or else the newest completed one."""
        able = [row for row in self.rows if not row.is_canceled]
        return [row for row in able if row.status != CollectionStatus.COMPLETED] or able[:1]

    @property
    def collection(self) -> PaymentCollection:
        """The newest for which more is to be paid, or else the newest that can take money, or of all."""
        return next((row for row in self.takers if _rest_of(row) > ZERO), [*self.takers, *self.rows][0])

    @property
    def held_amount(self) -> Decimal:
        """What all have taken, including what was given back."""
        return sum((row.authorized_amount for row in self.rows), ZERO)

    def of_others(self, resolved: ResolvedPayable) -> list[PaymentCollection]:
        """Return those that can be opened and have another customer than the one whom the shop names."""
        opened = {row.pk: row for row in (*self.unfinished, *self.takers)}.values()
        return [row for row in opened if row.customer_key != key_of(resolved.customer)]

    def shares(self, price: Decimal) -> list[tuple[PaymentCollection, Decimal]]:
        """Return for how much of a price (major units) each that can take money is to be now, the oldest first.

        All have what they have taken already, including what was given back. Of what is left, the newest keeps what it
        is still to take, and the older ones give way; what is new is for the one that is opened.
        """
        left = price - self.held_amount
        shares: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self.takers:
            rest = max(min(_rest_of(row), left), ZERO)
            shares[row.pk] = row.authorized_amount + rest
            left -= rest
        shares[self.collection.pk] += left
        return [(row, shares[row.pk]) for row in reversed(self.takers)]


def _rest_of(collection: PaymentCollection) -> Decimal:
    return collection.amount - collection.authorized_amount


def _share_out(opened: _Opened, resolved: ResolvedPayable, asker: Any) -> PaymentCollection:
    """Have a payable's collections together be for its price, end the needless ones, and return the one to pay.

    If more is held than the price, nothing more can be paid until the shop has decided about that: TransitionError.
    """
    rows, price = list(opened.rows), parse_amount(resolved.amount, opened.collection.currency_code)
    for row, share in opened.shares(price):
        amount = max(share, row.authorized_amount)
        if not amount:
            perform(row.pk, _claim_end, origin=Origin.of(**asker), scope=WHOLE).raise_first(has_begun=True)
            rows.remove(row)
        else:
            if row.amount != amount:
                _bring_up_to_date(row, amount, **asker)
            fit_outgrown(row.pk, origin=Origin.of(**asker))
    held = [
        row for row in opened.takers if row.authorized_amount and row.status != CollectionStatus.COMPLETED
    ]
    if held and price < opened.held_amount:
        raise _costs_less()
    return _Opened(rows=rows).collection


def _find_or_create(resolved: ResolvedPayable, *, actor: Actor, source: str, by_payer: bool) -> _Opened:
    """Return a payable's collections, unchanged; if none can take what is left to pay, with a new one for that."""

    def find_or_create() -> _Opened:
        with _locked(resolved.payable):
            rows = PaymentCollection.objects.for_payable(resolved.payable)
            found = list(rows.exclude(status=CollectionStatus.CANCELED).order_by("-created_at", "-id"))
            opened, currency = _Opened(rows=found), normalize_currency(resolved.currency_code)
            rest = parse_amount(resolved.amount, currency) - opened.held_amount
            if found and (opened.takers or rest <= ZERO or found[0].currency_code != currency):
                return opened
            created = _create(resolved, rest, actor=actor, source=source, by_payer=by_payer)
            return _Opened(rows=[created, *found], is_new=True)

    return repeated(find_or_create)


def _description_of(resolved: ResolvedPayable) -> str:
    return str(resolved.description or "")


def is_collection_of(collection_id: str, resolved: ResolvedPayable) -> bool:
    """Return whether a collection belongs to a payable and to its present customer."""
    rows = PaymentCollection.objects.for_payable(resolved.payable)
    return rows.filter(pk=collection_id, customer_key=key_of(resolved.customer)).exists()


def is_held_for(
    payable: models.Model, *, amount: Decimal | int | str | None = None, currency_code: str | None = None
) -> bool:
    """Return whether the whole price of a payable is held, or captured and not given back, right now.

    Call it when a signal arrives, and before an order is confirmed: signals may come late, twice or out of order.
    Give the present price as `amount` (major units) and `currency_code` (ISO 4217). Without them, the amount with
    which the collection was last opened counts. Refunds and chargebacks no longer count as held, so give the price
    less the refund after a refund.
    """
    if (amount is None) != (currency_code is None):
        raise TypeError("Give the amount and its currency, or neither.")
    rows = PaymentCollection.objects.for_payable(payable)
    if amount is not None and currency_code is not None:
        currency = normalize_currency(currency_code)
        kept = sum((row.kept_amount for row in rows.filter(currency_code=currency)), ZERO)
        return ZERO < Decimal(amount) <= kept
    opened = list(rows.exclude(status=CollectionStatus.CANCELED))
    asked = [row for row in opened if not row.is_canceled] or opened
    return bool(asked) and all(row.kept_amount >= row.amount for row in asked)


def payment_context(collection: PaymentCollection, *, return_url: str | None = None) -> PaymentContext:
    """Return what a provider receives about a collection's payer; the browser is sent back to `return_url`."""
    return replace(context_of(collection), return_url=return_url)


def _create(
    resolved: ResolvedPayable, amount: Decimal, *, actor: Actor, source: str, by_payer: bool
) -> PaymentCollection:
    return create_payment_collection(
        amount=amount,
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
    """Lock the payable's row in the topmost table of its model, until the block or an outer transaction ends.

    Models that inherit from one row lock the same row. Managers aren't used: what they join can't always be locked.
    """
    model, top = concrete(payable._meta.model), topmost_model(payable._meta.model)
    alias = router.db_for_write(top, instance=payable)
    with transaction.atomic(using=alias):
        features = connections[alias].features
        if not connections[database_alias()].features.has_select_for_update:
            # SQLite has one write lock, which any write takes, even one that matches no row.
            PaymentCollection.objects.filter(pk="").update(updated_at=timezone.now())
        # FOR NO KEY UPDATE, where the database has it: the shop can still insert rows that refer to the locked one.
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


def _follow_customer(
    collection: PaymentCollection, resolved: ResolvedPayable, origin: Origin, *, generation: int
) -> None:
    """Give a collection to the customer whom the shop now names: a guest's after a sign-in, or another customer's.

    Its description is replaced, since the old one may name the former customer. `generation` is the collection's
    `secret_generation` before the shop was asked. If the collection has changed hands since, the shop's answer is
    stale, and OperationInProgressError is raised.
    """
    customer: Any = resolved.customer

    def claim(books: Books) -> list[PaymentOperation]:
        former = books.collection.customer_key
        if former == key_of(customer):
            return []
        if books.collection.secret_generation != generation:
            raise _changed_hands()
        former_id = books.collection.customer_id  # its key is gone if they were erased
        books.collection.customer, books.collection.customer_key = customer, key_of(customer)
        books.collection.description = _description_of(resolved)
        return _claim_change_of_hands(books, former_id=former_id, ends_sessions=former != "")

    books = perform(collection.pk, claim, origin=origin, scope=WHOLE).raise_first(has_begun=True)
    hand_over(books, collection, books.collection)


def _changed_hands() -> OperationInProgressError:
    return OperationInProgressError(_("This has just been assigned to another customer. Try again."))


def _claim_change_of_hands(books: Books, *, former_id: Any, ends_sessions: bool) -> list[PaymentOperation]:
    """Claim what a change of hands requires, and end the client secret that was given out.

    A former customer's unauthorized sessions are canceled, except those with an open operation. A guest's sessions go
    on, since the guest may be the same person. A part of a plan that no provider knows of yet goes on as well, but is
    no longer charged automatically: the new customer hasn't agreed to that. The event names the former customer, so
    that what is theirs can be erased later.
    """
    books.collection.secret_generation += 1
    operations: list[PaymentOperation] = []
    agreed: list[str] = []
    for session in books.unauthorized_sessions():
        if session.is_automatic:
            session.is_automatic = False
            agreed.append(session.pk)
        goes_on = session.installment is not None or not ends_sessions
        if books.open_operations(target_id=session.pk):
            continue
        if session.initiated_at is None and goes_on:
            renew_context(books, session)
        elif ends_sessions:
            operations += claim_abandonment(books, session)
    told = {"former": "" if former_id is None else str(former_id), "not_automatic": agreed}
    data = {name: value for name, value in told.items() if value}
    books.note("collection.changed_hands", books.collection, data=data)
    refresh_totals(books)
    return operations


def _in_one_currency(
    resolved: ResolvedPayable, origin: Origin, *, ask_again: Callable[[], ResolvedPayable] | None = None
) -> ResolvedPayable:
    """End what is to be paid in other currencies, asking the shop again before; return its last answer.

    If nothing is to be paid any more, all is ended, and AmountError is raised.
    """
    currency = normalize_currency(resolved.currency_code)
    is_free = not exact_decimal(resolved.amount)
    if not is_free:
        parse_amount(resolved.amount, currency)
    resolved = replace(resolved, customer=user_of(resolved.customer, field="customer"))
    payable_key(resolved.payable)
    rows = PaymentCollection.objects.for_payable(resolved.payable)
    rows = rows.exclude(status=CollectionStatus.CANCELED)
    others = list(rows if is_free else rows.exclude(currency_code=currency))
    if others and ask_again is not None:
        return _in_one_currency(ask_again(), origin)
    for collection in others:
        held = ask_no_more(collection.pk, origin=origin)
        if held and not is_free:
            raise TransitionError(
                _("Money is held or was taken in %(currency)s already."),
                code="currency_changed",
                params={"currency": collection.currency_code.upper()},
            )
    if is_free:
        parse_amount(resolved.amount, currency)
    return resolved


def _claim_end(books: Books) -> list[PaymentOperation]:
    """Claim the cancelation of a collection that has nothing left to ask for.

    Raises OperationInProgressError if it has been paid meanwhile.
    """
    if books.collection.authorized_amount:
        raise OperationInProgressError(_("This has just been paid. Try again."))
    return claim_everything(books)


def _bring_up_to_date(collection: PaymentCollection, amount: Decimal, *, actor: Actor, source: str) -> None:
    """Change a collection's amount; log a warning if only a session couldn't follow.

    A payer never gets a collection with a stale amount: if the change fails, an error is raised.
    """
    try:
        _change_amount(collection, amount, actor=actor, source=source)
    except AmountError as error:
        collection.refresh_from_db()
        if collection.status != CollectionStatus.COMPLETED:
            raise _costs_less() from error
    except ProviderError as error:
        collection.refresh_from_db()
        if collection.amount != amount:
            raise
        logger.warning("A session of %s doesn't have its new amount: %s", collection.pk, error.code)


def _costs_less() -> TransitionError:
    return TransitionError(
        _("This costs less now than is authorized already; some of that has to be canceled first."),
        code="amount_changed",
    )


def _change_amount(collection: PaymentCollection, amount: Decimal, *, actor: Actor, source: str) -> None:
    try:
        update_payment_collection(collection, amount=amount, actor=actor, source=source)
    except NotSupportedError:
        _cancel_sessions_for_the_rest(collection, actor=actor, source=source)
        update_payment_collection(collection, amount=amount, actor=actor, source=source)


def _cancel_sessions_for_the_rest(collection: PaymentCollection, *, actor: Actor, source: str) -> None:
    """Cancel the unauthorized sessions that cover what is left, since their provider can't change them."""
    sessions = PaymentSession.objects.filter(collection=collection.pk, is_split=False)
    for session in sessions.unauthorized():
        try:
            cancel_payment_session(session, actor=actor, source=source)
        except TransitionError as error:
            if error.code != "already_authorized":  # A session that was paid meanwhile stays.
                raise
