"""Erasing a customer: personal data goes, here and at the providers; amounts, ids and history stay."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
    PaymentCollection,
    PaymentEvent,
    PaymentOperation,
    PaymentSession,
    WebhookEvent,
)
from payments.providers.calls import check_no_transaction
from payments.services.account_holders import delete_account, forget_person
from payments.services.ledger.books import open_books
from payments.services.ledger.history import Actor, Origin
from payments.services.ledger.locks import database_alias, repeated
from payments.services.ledger.statements import update
from payments.states import EventSource, WebhookEventStatus

logger = logging.getLogger("payments.erasure")

ERASED: Final = "[erased]"
"""What replaces a customer's name or address in a text."""

_BLANKED: Final = ("description", "metadata", "context", "input", "saved_method", "sent", "provider_log")
"""Fields that may hold any personal data, and that are no longer needed once no operation is under way."""

_WAITING: Final = (WebhookEventStatus.RECEIVED, WebhookEventStatus.DEFERRED)


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
    what it would send again, since the same idempotency key must send the same request. A call that finds nothing
    changes nothing. Each collection's history records the erasure.
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
    person = _Person.of(user)
    found = PaymentCollection.objects.filter(customer=user.pk).order_by("pk").values_list("pk", flat=True)
    operations: list[str] = []
    for collection_id in list(found):
        operations += repeated(lambda: person.erase_collection(collection_id, origin), joins=True)  # noqa: B023
    forget_person(user)
    waiting = _clear_webhook_events(user)
    person.erase_mentions()
    return Erasure(collections=len(found), operations=tuple(operations), webhook_events=waiting)


def _deletes_account(holder: AccountHolder) -> bool:
    """Have a provider delete an account; return whether the provider did."""
    try:
        delete_account(holder)
    except PaymentError as error:
        logger.warning("The account of %s isn't deleted: %s", holder.pk, error.code)
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class _Person:
    """A customer, and the texts that identify them."""

    pk: Any
    texts: tuple[str, ...]

    @classmethod
    def of(cls, user: AbstractBaseUser) -> _Person:
        """Collect a customer's addresses and full name; a single name is left out, since it may be any word."""
        addresses = [getattr(user, "email", ""), user.get_username(), *_addresses(user)]
        name = getattr(user, "get_full_name", str)()
        texts = {text.strip() for text in addresses if "@" in (text or "")}
        return cls(pk=user.pk, texts=tuple(sorted({*texts, *([name] if " " in name else [])})))

    def erase_collection(self, collection_id: str, origin: Origin) -> list[str]:
        """Erase a collection and everything below it, with an event; return the ids of the operations under way."""
        books = open_books(collection_id, origin=origin)
        under_way = [row for row in books.operations if row.is_open]
        busy = {row.pk for row in under_way} | {row.session_id for row in under_way}
        rows = (books.collection, *books.sessions, *books.payments, *books.captures, *books.refunds)
        changed = [self._erase(row) for row in (*rows, *books.operations) if row.pk not in busy]
        for session in books.sessions:
            changed.append(session.is_automatic)
            session.is_automatic = False
        if books.collection.customer_key != ERASED:
            # The old client secret must not open the collection for another person who pays it from now on.
            books.collection.customer_key = ERASED
            books.collection.secret_generation += 1
            changed.append(True)
        if any([*changed, self._erase_events(collection_id)]):
            books.note("customer.erased", books.collection)
        books.close()
        return [str(row.pk) for row in under_way]

    def erase_mentions(self) -> None:
        """Remove the texts from stored answers, and from events that belong to no session."""
        alias = database_alias()
        self._erase_matching(QuerySet(IdempotencyRecord, using=alias), "response_body")
        self._erase_matching(QuerySet(WebhookEvent, using=alias).filter(session=None), "payload")

    def _erase(self, row: Any) -> bool:
        """Blank the fields that may hold any personal data, and clean the others; return whether a field changed."""
        blank: dict[str, Any] = {
            name: row._meta.get_field(name).get_default() for name in _BLANKED if getattr(row, name, None)
        }
        if isinstance(row, PaymentSession):
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

    def _erase_events(self, collection_id: str) -> bool:
        """Remove the person from a collection's history, which still records what has happened."""
        is_news = False
        for event in PaymentEvent.objects.filter(collection=collection_id):
            changes = {"data": self._cleaned(event.data)}
            if event.actor_id == self.pk:
                changes["actor_label"] = ""
            is_new = any(getattr(event, name) != value for name, value in changes.items())
            if is_new:
                vars(event).update(changes)
                update(database_alias(), event, list(changes))
            is_news = is_news or is_new
        return is_news

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
        for row in rows.annotate(written=Cast(name, TextField())).filter(wanted).iterator():
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


def _addresses(user: AbstractBaseUser) -> Iterator[str]:
    """Yield the e-mail addresses in a customer's rows, which may be older than the user's own address."""
    yield from AccountHolder.objects.filter(customer=user.pk).values_list("email", flat=True)
    contexts = PaymentSession.objects.filter(collection__customer=user.pk).values_list("context", flat=True)
    for context in contexts:
        yield context.get("email") or ""


def _clear_webhook_events(user: AbstractBaseUser) -> tuple[str, ...]:
    """Clear the contents of finished webhook events; return the ids of those that may still have to be applied."""
    events = WebhookEvent.objects.filter(session__collection__customer=user.pk)
    done = events.exclude(status__in=_WAITING).exclude(payload={}, fact__isnull=True)
    done.update(payload={}, fact=None, updated_at=timezone.now())
    return tuple(events.filter(status__in=_WAITING).values_list("pk", flat=True))
