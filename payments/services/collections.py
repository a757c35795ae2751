"""The verbs of a payment collection: create, update, cancel.

Creating one joins the caller's transaction, so that an order and its collection are born together; the others call
providers, and refuse to. These are the shop's alone, and raise InputError (`not_for_payers`) for a payer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.exceptions import AmountError, InputError, TransitionError
from payments.models import PaymentCollection, PaymentOperation
from payments.models.payables import key_text
from payments.money import ZERO, display_amount, normalize_currency, parse_amount
from payments.services.ledger import claims
from payments.services.ledger.books import WHOLE, Books, hand_over, open_books
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import database_alias, joined
from payments.services.ledger.operations import check_idle
from payments.services.ledger.outbox import enqueue
from payments.services.ledger.payers import origin_of_shop
from payments.services.ledger.protocol import perform
from payments.services.ledger.statements import insert
from payments.services.ledger.totals import held_amount, refresh_totals, remaining_amount
from payments.states import EventSource
from payments.users import key_of, user_of


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

    `payable` is the row of the shop that is to be paid, `customer` the user who pays, `description` what providers tell
    them that they pay; `metadata` is the shop's own, and only staff see it. It calls no provider and joins
    the caller's transaction. Raises AmountError, CurrencyError, and InputError where `payable` isn't saved or its key
    can't be kept, and for a `customer` who is no user.
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
    """Change what is to be paid (major units), and with it the sessions that cover what is left.

    Splits that don't fit any more are made smaller, or canceled, the newest first and those of a plan last.

    Raises AmountError below what is authorized, TransitionError for a canceled collection,
    OperationInProgressError, NotSupportedError, and for the providers' answers DeclinedError, ProviderUnavailableError
    or OutcomeUnknownError.
    """

    def claim(books: Books) -> Sequence[PaymentOperation]:
        _change_amount(books, parse_amount(amount, books.collection.currency_code))
        return claim_resizes(books)

    origin = origin_of_shop(actor=actor, source=source, by_payer=by_payer)
    performance = perform(collection.pk, claim, origin=origin, scope=WHOLE)
    books = performance.raise_first()
    return hand_over(books, collection, books.collection)


def cancel_payment_collection(
    collection: PaymentCollection,
    *,
    actor: Actor = None,
    source: str = EventSource.SHOP,
    by_payer: bool = False,
) -> PaymentCollection:
    """Abandon a collection: cancel its unauthorized sessions and release what its payments hold.

    From the first moment on no new session can be made. Where a provider can't be reached, calling this again goes on.
    Raises TransitionError where captured money was not refunded, OperationInProgressError, and for the providers'
    answers DeclinedError, ProviderUnavailableError or OutcomeUnknownError.
    """
    origin = origin_of_shop(actor=actor, source=source, by_payer=by_payer)
    books = perform(collection.pk, claim_everything, origin=origin, scope=WHOLE).raise_first()
    return hand_over(books, collection, books.collection)


def _link_to(payable: models.Model | None) -> dict[str, Any]:
    if payable is None:
        return {}
    key = payable_key(payable)
    content_type = ContentType.objects.db_manager(database_alias()).get_for_model(payable)
    return {"payable_type": content_type, "payable_id": key}


def payable_key(payable: models.Model) -> str:
    """Return the text that stands for the key of what is to be paid. Raises InputError where there can be none."""
    if getattr(payable, "pk", None) is None:
        raise InputError(
            _("What is to be paid for isn't saved yet."), code="payable_not_saved", field="payable"
        )
    key = key_text(payable._meta.model, payable.pk)
    if key is None:
        raise InputError(
            _("A collection can't refer to a %(model)s, whose key is no single value that can be a text."),
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


def claim_resizes(books: Books) -> list[PaymentOperation]:
    """Claim that splits fit into the new amount, and that the session which covers what is left covers the new rest."""
    left = max(remaining_amount(books), ZERO)
    operations = claims.claim_room(books, left)
    for session in books.unauthorized_sessions():
        if session.is_split or session.amount == left:
            continue
        if not left:
            operations += claims.claim_abandonment(books, session)
        else:
            operations += claims.claim_update(books, session, left)
    refresh_totals(books)
    return operations


def check_collection_cancelation(collection: PaymentCollection) -> None:
    """Raise what `cancel_payment_collection` raises before a provider is asked, where it can't be canceled now."""
    books = open_books(collection.pk, origin=Origin(), is_locked=False)
    _check_nothing_kept(books)
    for session in books.unauthorized_sessions():
        check_idle(books, session.pk)
    for payment in books.payments:
        if payment.capturable_amount:
            claims.check_release(books, payment)


def _check_nothing_kept(books: Books) -> None:
    if books.collection.captured_amount > books.collection.refunded_amount:
        raise TransitionError(_("Money was captured: refund it before canceling."), code="already_captured")


def claim_everything(books: Books) -> list[PaymentOperation]:
    """Claim that a collection is abandoned: its unauthorized sessions, and what its payments hold."""
    _check_nothing_kept(books)
    books.collection.canceled_at = books.collection.canceled_at or timezone.now()
    operations: list[PaymentOperation] = []
    for session in books.unauthorized_sessions():
        operations += claims.claim_abandonment(books, session)
    for payment in books.payments:
        if payment.capturable_amount:
            operations += claims.claim_release(books, payment)
    refresh_totals(books)
    return operations
