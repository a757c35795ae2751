"""Erasing a customer: personal data goes, here and at the providers; amounts, ids and history stay."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from payments.exceptions import PaymentError
from payments.models import (
    AccountHolder,
    Capture,
    IdempotencyRecord,
    Payment,
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    Refund,
    WebhookEvent,
)
from payments.providers.calls import check_no_transaction
from payments.services.account_holders import delete_account, forget_person
from payments.services.ledger.books import Books, open_books
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import database_alias, repeated
from payments.services.ledger.statements import update
from payments.states import EventSource, OperationKind, WebhookEventStatus
from payments.users import email_of, key_of

logger = logging.getLogger("payments.erasure")

ERASED: Final = "[erased]"
"""What replaces a customer's name or address in a text."""

_BLANKED: Final = ("description", "metadata", "context", "input", "saved_method", "sent", "provider_log")
"""Fields that may hold any personal data, and that are no longer needed once no operation is under way."""

_WAITING: Final = Q(status__in=[WebhookEventStatus.RECEIVED, WebhookEventStatus.DEFERRED]) | Q(
    status=WebhookEventStatus.FAILED, fact__isnull=False
)
"""The events that may still have to be applied: what they tell of money is in no book yet."""

_OF_PAYERS: Final = (OperationKind.INITIATE, OperationKind.UPDATE, OperationKind.AUTHORIZE)
"""The operations with which the customer of that time is to pay; the others are about a payment, whose ever it is."""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What was erased of a customer, and the ids of what has to wait.

    `operations` are still under way and `webhook_events` not applied yet: erase again when they are finished.
    `accounts` are account holders that the provider still has: the provider wasn't reached, can't delete accounts, or
    an operation under way needs the account.
    """

    collections: int = 0
    operations: tuple[str, ...] = ()
    webhook_events: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to erase."""
        return not (self.operations or self.webhook_events or self.accounts)


def erase_customer(user: AbstractBaseUser, *, actor: Actor = None, source: str = EventSource.SHOP) -> Erasure:
    """Erase a customer's personal data, here and in their accounts at providers; return what is left.

    Call it before the user's own row is deleted, and again as long as something is left: an operation under way keeps
    what it would send again, since the same idempotency key must send the same request. Where a collection has gone to
    another customer, what that customer has begun stays. A call that finds nothing changes nothing. Each collection's
    history records the erasure.
    Raises OpenTransactionError inside a transaction, since providers are called.
    """
    check_no_transaction()
    origin = Origin.of(actor=None if actor is not None and actor.pk == user.pk else actor, source=source)
    erasure = erase_rows(user, origin=origin)
    holders = AccountHolder.objects.filter(customer=user.pk).exclude(provider_reference=None)
    busy = PaymentOperation.objects.filter(pk__in=erasure.operations).values_list("provider_id", flat=True)
    return Erasure(
        collections=erasure.collections,
        operations=erasure.operations,
        webhook_events=erasure.webhook_events,
        accounts=tuple(row.pk for row in holders if row.provider_id in busy or not _deletes_account(row)),
    )


def erase_abandoned_accounts() -> Erasure:
    """Have providers delete the accounts of customers whose users were deleted; return the accounts that are left."""
    check_no_transaction()
    holders = AccountHolder.objects.filter(customer=None).exclude(provider_reference=None)
    return Erasure(accounts=tuple(row.pk for row in holders if not _deletes_account(row)))


def erase_deleted_user(instance: AbstractBaseUser, **_arguments: Any) -> None:
    """Erase the personal data in our own rows of a user who is being deleted; their accounts at providers stay."""
    erase_rows(instance, origin=Origin(source=EventSource.SYSTEM))


def erase_rows(user: AbstractBaseUser, *, origin: Origin) -> Erasure:
    """Erase a customer's personal data in our own rows, as part of the caller's transaction if there is one."""
    found = _collections_of(user)
    person = _Person.of(user, found)
    operations: list[str] = []
    webhook_events: list[str] = []
    for collection_id in found:
        left = repeated(lambda: person.erase_collection(collection_id, origin), joins=True)  # noqa: B023
        operations += left.operations
        webhook_events += left.webhook_events
    forget_person(user)
    person.erase_mentions()
    return Erasure(collections=len(found), operations=tuple(operations), webhook_events=tuple(webhook_events))


def _collections_of(user: AbstractBaseUser) -> list[str]:
    """Return the ids of the collections that are or were a customer's, and of those in which they have paid."""
    own = PaymentCollection.objects.filter(customer=user.pk).values_list("pk", flat=True)
    events = PaymentEvent.objects.order_by().values_list("collection", flat=True)
    given_away = events.filter(type="collection.changed_hands", data__former=key_of(user))
    paid = events.filter(actor=user.pk, is_by_payer=True)
    # Where the provider's answer came later, or not at all, nothing else tells who has asked.
    asked = PaymentOperation.objects.filter(actor=user.pk, is_by_payer=True)
    return sorted({*own, *given_away, *paid, *asked.values_list("collection", flat=True)})


def _deletes_account(holder: AccountHolder) -> bool:
    """Have a provider delete an account; return whether the provider did."""
    try:
        delete_account(holder)
    except PaymentError as error:
        logger.warning("The account of %s isn't deleted: %s", holder.pk, error.code)
        return False
    return True


class _Share(Enum):
    """How much of a session is a customer's: all of it, perhaps a part or a mention, or nothing."""

    WHOLE = auto()
    PART = auto()
    NONE = auto()


@dataclass(frozen=True, kw_only=True)
class _Person:
    """A customer, and the texts that identify them."""

    key: str
    texts: tuple[str, ...]

    @classmethod
    def of(cls, user: AbstractBaseUser, collections: Iterable[str]) -> _Person:
        """Collect a customer's addresses and full name; a single name is left out, since it may be any word."""
        addresses = [email_of(user) or "", user.get_username(), *_addresses(user, collections)]
        name = getattr(user, "get_full_name", str)()
        texts = {text.strip() for text in addresses if "@" in (text or "")}
        texts |= {name} if " " in name else set()
        return cls(key=key_of(user), texts=tuple(sorted(texts)))

    def erase_collection(self, collection_id: str, origin: Origin) -> Erasure:
        """Erase what is the customer's in a collection, with an event; return what has to wait."""
        books = open_books(collection_id, origin=origin)
        rows = list(self._rows(books))
        under_way = [row for row, _is_theirs in rows if isinstance(row, PaymentOperation) and row.is_open]
        busy = {row.pk for row in under_way} | {row.session_id for row in under_way}
        changed = [self._erase(row, is_theirs) for row, is_theirs in rows if row.pk not in busy]
        if self._is(books.collection.customer_id):
            changed.append(_end_agreements(books))
        sessions = {row.pk: is_theirs for row, is_theirs in rows if isinstance(row, PaymentSession)}
        if any([*changed, self._erase_events(collection_id, sessions)]):
            books.note("customer.erased", books.collection)
        books.close()
        return Erasure(
            operations=tuple(row.pk for row in under_way), webhook_events=self._clear_webhook_events(sessions)
        )

    def erase_mentions(self) -> None:
        """Remove the texts from stored answers, and from events that belong to no session."""
        alias = database_alias()
        self._erase_matching(QuerySet(IdempotencyRecord, using=alias), "response_body")
        self._erase_matching(QuerySet(WebhookEvent, using=alias).filter(session=None), "payload")

    def _rows(self, books: Books) -> Iterator[tuple[Any, bool]]:
        """Yield the rows in which the customer may be found, each with whether it is theirs as a whole."""
        is_own = self._is(books.collection.customer_id)
        yield books.collection, is_own
        below: list[Any] = [*books.payments, *books.captures, *books.refunds]
        for session in books.sessions:
            operations = [row for row in books.operations if row.session_id == session.pk]
            share = self._share_in(session, operations, is_own=is_own)
            if share != _Share.NONE:
                is_theirs = share == _Share.WHOLE
                yield session, is_theirs
                yield from ((row, is_theirs) for row in below if _session_id(row) == session.pk)
                yield from ((row, is_theirs or self._has_asked(row)) for row in operations)

    def _share_in(
        self, session: PaymentSession, operations: Sequence[PaymentOperation], *, is_own: bool
    ) -> _Share:
        """Return how much of a session is the customer's; `is_own` if its collection is theirs at present.

        A collection that has changed hands has sessions of several customers.
        """
        customers, has_part = _customers_of(operations), any(map(self._has_asked, operations))
        payers = _payers_of(session, operations, customers)
        if self.key in payers or (is_own and customers <= {self.key}):
            return _Share.WHOLE
        return _Share.PART if is_own or has_part or not payers else _Share.NONE

    def _is(self, user_id: object) -> bool:
        return str(user_id) == self.key

    def _has_asked(self, operation: PaymentOperation) -> bool:
        """Return whether the customer asked for an operation, or was to pay with it."""
        is_for_them = operation.kind in _OF_PAYERS and _customer_of(operation) == self.key
        return is_for_them or (operation.is_by_payer and self._is(operation.actor_id))

    def _erase(self, row: Any, is_theirs: bool) -> bool:
        """Remove the person from a row, and blank what may hold any personal data if it is theirs.

        Return whether a field changed.
        """
        blank: dict[str, Any] = {
            name: row._meta.get_field(name).get_default()
            for name in _BLANKED
            if is_theirs and getattr(row, name, None)
        }
        if "context" in blank:
            # Without a customer beside it, the reference makes the account another's for every user who asks.
            account = row.context.get("account_reference")
            blank |= {} if account is None else {"context": {"account_reference": account}}
        if isinstance(row, Capture):
            room = row._meta.get_field("reference").max_length
            blank["reference"] = self._cleaned(row.reference)[:room]
        wanted = self._without_texts(row) | blank
        changes = {name: value for name, value in wanted.items() if value != getattr(row, name)}
        for name, value in changes.items():
            setattr(row, name, value)
        return bool(changes)

    def _without_texts(self, row: Model) -> dict[str, Any]:
        """Return the changed values of a row's texts and documents, without the person."""
        names = [each.name for each in row._meta.concrete_fields if each.get_internal_type() in _WRITTEN]
        values = {name: getattr(row, name) for name in names}
        cleaned = {name: self._cleaned(value) for name, value in values.items()}
        return {name: value for name, value in cleaned.items() if value != values[name]}

    def _erase_events(self, collection_id: str, sessions: Container[str]) -> bool:
        """Remove the person from a collection's history, which still records what has happened.

        What happened to other sessions than these doesn't mention them.
        """
        is_news = False
        for event in PaymentEvent.objects.filter(collection=collection_id):
            is_about_others = event.session_id is not None and event.session_id not in sessions
            changes = {"data": event.data if is_about_others else self._cleaned(event.data)}
            if self._is(event.actor_id):
                changes["actor_label"] = ""
            is_new = any(getattr(event, name) != value for name, value in changes.items())
            if is_new:
                vars(event).update(changes)
                update(database_alias(), event, list(changes))
            is_news = is_news or is_new
        return is_news

    def _clear_webhook_events(self, sessions: Mapping[str, bool]) -> tuple[str, ...]:
        """Clear the contents of finished webhook events of sessions, or only remove the person if they aren't theirs.

        Return the ids of the customer's own events that may still have to be applied.
        """
        events = WebhookEvent.objects.all()
        own = events.filter(session__in=[each for each, is_theirs in sessions.items() if is_theirs])
        own.with_contents().clear()
        # What has failed is applied by its fact, if an operator replays it, and read by its payload alone.
        own.filter(status=WebhookEventStatus.FAILED).update(payload={}, updated_at=timezone.now())
        self._erase_matching(
            events.filter(session__in=[each for each, is_theirs in sessions.items() if not is_theirs]),
            "payload",
        )
        return tuple(own.filter(_WAITING).values_list("pk", flat=True))

    def _erase_matching(self, rows: QuerySet[Any], name: str) -> None:
        """Remove the texts from the documents in a field.

        A document is found by a text as it is, or as JSON escapes it: then a database can't tell “ü” from “Ü”.
        """
        wanted = Q()
        for text in self.texts:
            for form in {text, text.lower(), text.upper(), text.title()}:
                wanted |= Q(written__icontains=form) | Q(written__icontains=json.dumps(form)[1:-1])
        if not wanted:
            return
        for row in rows.annotate(written=Cast(name, TextField())).filter(wanted):
            setattr(row, name, self._cleaned(getattr(row, name)))
            update(database_alias(), row, [name])

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            return _replaced(value, self.texts)
        if isinstance(value, Mapping):
            return {self._cleaned(name): self._cleaned(inner) for name, inner in value.items()}
        return [self._cleaned(inner) for inner in value] if isinstance(value, list) else value


_WRITTEN: Final = frozenset({"JSONField", "TextField"})


def _replaced(text: str, parts: Iterable[str]) -> str:
    for part in parts:
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", ERASED, text, flags=re.IGNORECASE)
    return text


def _addresses(user: AbstractBaseUser, collections: Iterable[str]) -> Iterator[str]:
    """Yield the e-mail addresses in a customer's rows, which may be older than the user's own address.

    Another customer of the same collection is named in their own sessions.
    """
    yield from AccountHolder.objects.filter(customer=user.pk).values_list("email", flat=True)
    columns = ("context", "collection__customer", "collection__secret_generation")
    for collection_id in collections:
        sessions = PaymentSession.objects.filter(collection=collection_id)
        for context, customer_id, generation in sessions.values_list(*columns):
            named = context.get("customer_id")
            is_own = customer_id == user.pk and (named is None or generation == 0)
            if is_own or named == key_of(user):
                yield context.get("email") or ""


def _end_agreements(books: Books) -> bool:
    """End the automatic charges and the client secret of an erased customer; return whether anything changed."""
    agreed = [session for session in books.sessions if session.is_automatic]
    for session in agreed:
        session.is_automatic = False
    is_known = books.collection.customer_key != ERASED
    if is_known:
        # The old client secret must not open the collection for another person who pays it from now on.
        books.collection.customer_key = ERASED
        books.collection.secret_generation += 1
    return bool(agreed) or is_known


def _payers_of(
    session: PaymentSession, operations: Iterable[PaymentOperation], customers: set[str]
) -> set[str | None]:
    """Return the keys of the users whose a session is: whom its context names, and its customers or else its payers.

    A session that no provider knows is the present customer's, unless its initiation is still under way.
    """
    named = session.context.get("customer_id")
    if session.initiated_at is None and session.is_unauthorized:
        return {named}  # None if the present customer is a guest
    begun = [row for row in operations if row.kind == OperationKind.INITIATE and row.is_by_payer]
    payers = {str(row.actor_id) for row in begun if row.actor_id is not None}
    return {named, *(customers or payers)} - {None}


def _customers_of(operations: Iterable[PaymentOperation]) -> set[str]:
    """Return the keys of the customers for whom a session was initiated last, or else of those who were to pay it."""
    asked = [row for row in operations if row.kind in _OF_PAYERS]
    initiation = [row for row in asked if row.kind == OperationKind.INITIATE][-1:]
    return ({*map(_customer_of, initiation)} - {""}) or ({*map(_customer_of, asked)} - {""})


def _customer_of(operation: PaymentOperation) -> str:
    """Return the key of the collection's customer as an operation was claimed, or "" for a guest and an erased one."""
    customer = (operation.sent or {}).get("customer", "")
    return "" if customer == ERASED else str(customer)


def _session_id(row: Payment | Capture | Refund) -> str:
    payment: Payment = row if isinstance(row, Payment) else row.payment
    return str(payment.session_id)
