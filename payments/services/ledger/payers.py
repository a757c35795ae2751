"""What is different where a payer asks: what they may do, how often they may try it, and whose account pays.

A verb is told with `by_payer` that it acts for a payer, as the storefront API always does. What a payer may do with a
session is the table `PAYERS_MAY`; all that no row of it names, such as to capture or to refund, is the shop's alone.
The limits are against those who test stolen cards on a shop. Both are looked at under the collection's lock, so that
they hold however many requests come at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import Rate, payers_may_release, provider_aliases, provider_config, throttle_rate
from payments.exceptions import InputError, LimitError, TransitionError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import BaseProvider, PaymentContext, get_provider
from payments.providers.registry import is_refused
from payments.services.ledger.books import Books
from payments.services.ledger.history import Actor, Origin
from payments.states import OperationKind, SessionStatus


class Verb(StrEnum):
    """What a payer may ask of a session that is there."""

    AUTHORIZE = "authorize"
    UPDATE = "update"
    CANCEL = "cancel"
    RELEASE = "release"


@dataclass(frozen=True, kw_only=True)
class Right:
    """On which sessions a payer may use a verb, beyond those that payers have made at an offered provider.

    `of_shop` are those that an operator or the shop's own code has made, and `of_plan` installments.
    """

    of_shop: bool = False
    of_plan: bool = False


PAYERS_MAY: Final[Mapping[Verb, Right]] = {
    Verb.AUTHORIZE: Right(of_shop=True, of_plan=True),
    Verb.UPDATE: Right(),
    Verb.CANCEL: Right(),
    Verb.RELEASE: Right(),  # only where the setting PAYERS_MAY_RELEASE says so
}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How often a payer may try something on one collection: as the setting `name` says.

    Operations of the kind `kind` count, whatever was answered, and events of the type `event_type`, each by themselves.
    """

    name: str
    code: str
    kind: OperationKind | None = None
    event_type: str | None = None

    def tries_for(self, origin: Origin) -> Callable[[str], Sequence[Sequence[datetime]]] | None:
        """Return what reads a collection's latest tries; None where nobody counts."""
        rate = throttle_rate(self.name)
        if not origin.by_payer or rate is None:
            return None
        return lambda collection_id: [_latest(rows, collection_id, rate) for rows in self._counted()]

    def check(self, books: Books) -> None:
        """Raise LimitError where it is used up, with the seconds until the oldest try that counts doesn't any more."""
        rate = throttle_rate(self.name)
        for tries in books.tries:
            if rate is None or len(tries) < rate.count:
                continue
            wait = (tries[-1] + rate.period - timezone.now()).total_seconds()
            raise LimitError(
                _("This was tried too often. Wait a while, or ask the shop."),
                code=self.code,
                retry_after=max(1, math.ceil(wait)),
            )

    def _counted(self) -> list[QuerySet[Any]]:
        rows: list[QuerySet[Any]] = []
        if self.kind is not None:
            rows.append(PaymentOperation.objects.filter(kind=self.kind))
        if self.event_type is not None:
            rows.append(PaymentEvent.objects.filter(type=self.event_type))
        return rows


SESSIONS: Final = Limit(
    name="SESSIONS_PER_COLLECTION", code="too_many_sessions", event_type="session.created"
)
AUTHORIZATIONS: Final = Limit(
    name="AUTHORIZATIONS_PER_COLLECTION", code="too_many_authorizations", kind=OperationKind.AUTHORIZE
)
UPDATES: Final = Limit(
    name="UPDATES_PER_COLLECTION",
    code="too_many_updates",
    kind=OperationKind.UPDATE,
    event_type="session.updated",  # what was changed without asking a provider
)


def check_money(provider: BaseProvider[Any]) -> None:
    """Raise InputError (`pretend_money`) where nobody would really pay, and nothing says that this is meant."""
    if is_refused(provider):
        raise InputError(
            _("The payment provider “%(alias)s” moves no real money, so it can't be used here."),
            code="pretend_money",
            field="provider_id",
            params={"alias": provider.alias},
        )


def is_for_payers(provider: BaseProvider[Any]) -> bool:
    """Return whether payers may choose a provider: its setting says so, or else the provider itself."""
    if is_refused(provider):
        return False
    chosen = provider_config(provider.alias).storefront
    return provider.is_for_payers if chosen is None else chosen


def check_offered(provider: BaseProvider[Any], origin: Origin) -> None:
    """Raise InputError (`provider_not_offered`) where a payer asks for a provider that isn't for them."""
    if origin.by_payer and not is_for_payers(provider):
        raise _not_offered(provider.alias)


def check_right(books: Books, session: PaymentSession, verb: Verb) -> None:
    """Raise where a payer asks for what the table gives them no right to with this session.

    Raises InputError (`provider_not_offered`), or TransitionError: `already_authorized` where only the shop may let go
    of what is held, `made_by_shop`, and `planned` for an installment.
    """
    if not books.origin.by_payer:
        return
    right = PAYERS_MAY[verb]
    if session.provider_id not in provider_aliases() or not is_for_payers(get_provider(session.provider_id)):
        raise _not_offered(session.provider_id)
    if verb == Verb.RELEASE and not payers_may_release():
        raise TransitionError(
            _("This is paid already; only the shop can let go of it."), code="already_authorized"
        )
    if session.installment is not None and not right.of_plan:
        raise TransitionError(_("Only the shop can change or cancel an installment."), code="planned")
    if (
        session.is_automatic
        and session.status == SessionStatus.PENDING
        and is_asked_by_another(books, session)
    ):
        raise TransitionError(_("This is charged by itself. Log in to pay it yourself."), code="planned")
    if not (session.is_by_payer or right.of_shop or session.installment is not None):
        raise TransitionError(
            _("The shop has made this; only the shop can change or cancel it."), code="made_by_shop"
        )


def check_agreement(books: Books, session: PaymentSession, *, seen: PaymentSession, status: str) -> None:
    """Raise TransitionError (`not_agreed`) where a customer isn't away, or not who agreed to be charged while away.

    `seen` is the session as it was when what they have saved was looked up, and `status` how it stood last.
    """
    is_theirs = books.collection.customer_id == seen.collection.customer_id
    has_ended = seen.is_automatic and not session.is_automatic
    is_answering = session.status == SessionStatus.REQUIRES_MORE != status
    if has_ended or is_answering or not is_theirs:
        raise TransitionError(
            _("The customer is paying this, or has not agreed any more that it is charged."),
            code="not_agreed",
        )


def origin_of_shop(*, actor: Actor, source: str, by_payer: bool) -> Origin:
    """Return the origin of a verb that payers don't have; raise InputError (`not_for_payers`) where one asks."""
    if by_payer:
        raise InputError(_("This can't be done for a payer."), code="not_for_payers")
    return Origin.of(actor=actor, source=source)


def is_from_anothers_account(session: PaymentSession, actor: Any) -> bool:
    """Return whether a session is paid from a customer's account, and `actor` isn't that customer.

    It goes on to be theirs where what is paid for has become somebody else's: a provider may save a card there.
    """
    return bool(session.context.get("account_reference")) and not _is_customer_of(session, actor)


def is_asked_by_another(books: Books, session: PaymentSession) -> bool:
    """Return whether a payer asks who isn't the customer: nothing saved is theirs, and nothing of theirs is saved."""
    has_customer = books.collection.customer_id is not None or session.context.get("account_reference")
    return bool(books.origin.by_payer and has_customer and not _is_customer_of(session, books.origin.actor))


def context_of_payer(books: Books, context: PaymentContext) -> PaymentContext:
    """Return what a provider is told of who pays: the customer's account, or nothing of a customer who isn't asking."""
    origin, customer_id = books.origin, books.collection.customer_id
    if customer_id is None:
        return context
    if origin.by_payer and (origin.actor is None or origin.actor.pk != customer_id):
        is_customers = context.customer_id is not None
        known = {"customer_id": None, "email": None} if is_customers else {}
        return replace(context, account_reference=None, **known)
    account = context.account_reference or books.account_reference
    # With an account goes whose it is: what is paid for may become somebody else's.
    owner = context.customer_id or (None if account is None else str(customer_id))
    return replace(context, account_reference=account, customer_id=owner)


def _latest(rows: QuerySet[Any], collection_id: str, rate: Rate) -> list[datetime]:
    """Return the times of the newest rows that count, as many as the rate allows."""
    recent = Q(is_by_payer=True, created_at__gt=timezone.now() - rate.period)
    found = rows.filter(recent, collection=collection_id).order_by("-created_at")
    return list(found.values_list("created_at", flat=True)[: rate.count])


def _is_customer_of(session: PaymentSession, actor: Any) -> bool:
    is_from_account = session.context.get("account_reference") is not None
    customer = session.context.get("customer_id") if is_from_account else session.collection.customer_id
    return actor is not None and str(actor.pk) == str(customer)


def _not_offered(alias: str) -> InputError:
    return InputError(
        _("The payment provider “%(alias)s” can't be chosen here."),
        code="provider_not_offered",
        field="provider_id",
        params={"alias": alias},
    )
