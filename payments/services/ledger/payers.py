"""The rules for payers: what they may do, how often, and from which account they pay.

They apply to verbs called with `by_payer`, as the storefront API always does, and are checked under the collection's
lock, so that they hold for concurrent requests too.
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
from payments.models import PaymentCollection, PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import BaseProvider, PaymentContext, get_provider
from payments.providers.registry import is_refused
from payments.services.ledger.books import Books
from payments.services.ledger.history import Origin
from payments.services.ledger.operations import has_changed_hands
from payments.states import OperationKind, SessionStatus
from payments.users import email_of


class Verb(StrEnum):
    """What a payer may ask of an existing session."""

    AUTHORIZE = "authorize"
    UPDATE = "update"
    CANCEL = "cancel"
    RELEASE = "release"


@dataclass(frozen=True, kw_only=True)
class Right:
    """The sessions on which a payer may use a verb, besides those that payers made with an offered provider.

    `of_shop` are sessions that an operator or the shop's code made, `of_plan` are installments.
    """

    of_shop: bool = False
    of_plan: bool = False


PAYERS_MAY: Final[Mapping[Verb, Right]] = {
    Verb.AUTHORIZE: Right(of_shop=True, of_plan=True),
    Verb.UPDATE: Right(),
    Verb.CANCEL: Right(),
    Verb.RELEASE: Right(),  # only with the setting PAYERS_MAY_RELEASE
}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How often a payer may try something on one collection, according to the setting `name`.

    The limits stop card testing, that is trying out stolen cards. Operations of the kind `kind` count whatever their
    outcome; events of the type `event_type` count separately.
    """

    name: str
    code: str
    kind: OperationKind | None = None
    event_type: str | None = None

    def tries_for(self, origin: Origin) -> Callable[[str], Sequence[Sequence[datetime]]] | None:
        """Return a function that reads a collection's latest tries; None if the limit doesn't apply."""
        rate = throttle_rate(self.name)
        if not origin.by_payer or rate is None:
            return None
        return lambda collection_id: [_latest(rows, collection_id, rate) for rows in self._counted()]

    def check(self, books: Books) -> None:
        """Raise LimitError if the limit is used up, with the seconds until the oldest counted try expires."""
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
    event_type="session.updated",  # changes without a call to a provider
)


def is_for_payers(provider: BaseProvider[Any]) -> bool:
    """Return whether payers may choose a provider, according to its setting or else to its class."""
    if is_refused(provider):
        return False
    chosen = provider_config(provider.alias).storefront
    return provider.is_for_payers if chosen is None else chosen


def check_offered(provider: BaseProvider[Any], origin: Origin) -> None:
    """Raise InputError (`provider_not_offered`) if a payer asks for a provider that isn't offered to payers."""
    if origin.by_payer and not is_for_payers(provider):
        raise _not_offered(provider.alias)


def check_right(books: Books, session: PaymentSession, verb: Verb) -> None:
    """Raise if a payer asks for something that `PAYERS_MAY` doesn't allow them with this session.

    Raises InputError (`provider_not_offered`), or TransitionError: `already_authorized` if only the shop may release
    the hold, `made_by_shop`, and `planned` for an installment.
    """
    if not books.origin.by_payer:
        return
    right = PAYERS_MAY[verb]
    if session.provider_id not in provider_aliases() or not is_for_payers(get_provider(session.provider_id)):
        raise _not_offered(session.provider_id)
    if verb == Verb.RELEASE and not payers_may_release():
        raise TransitionError(
            _("This is paid already; only the shop can cancel it."), code="already_authorized"
        )
    if session.installment is not None and not right.of_plan:
        raise TransitionError(_("Only the shop can change or cancel an installment."), code="planned")
    if (
        session.is_automatic
        and session.status == SessionStatus.PENDING
        and is_asked_by_another(books, session)
    ):
        raise TransitionError(
            _("This installment is charged automatically. Log in to pay it yourself."), code="planned"
        )
    if not (session.is_by_payer or right.of_shop or session.installment is not None):
        raise TransitionError(
            _("The shop has made this; only the shop can change or cancel it."), code="made_by_shop"
        )


def check_agreement(books: Books, session: PaymentSession, *, seen: PaymentSession, status: str) -> None:
    """Raise TransitionError (`not_agreed`) if an off-session charge is no longer agreed, or its customer is paying.

    `seen` is the session as it was when the saved payment methods were listed, and `status` is its last known status.
    """
    is_theirs = books.collection.secret_generation == seen.collection.secret_generation
    has_ended = seen.is_automatic and not session.is_automatic
    is_answering = session.status == SessionStatus.REQUIRES_MORE != status
    if has_ended or is_answering or not is_theirs:
        raise _not_agreed()


def check_lasting_agreement(books: Books, operation: PaymentOperation) -> None:
    """Raise TransitionError (`not_agreed`) if a former customer would pay for what is another's by now."""
    # A guest may be the customer who has signed in since.
    former = (operation.sent or {}).get("customer")
    is_theirs = former in (None, str(books.collection.customer_id)) and operation.saved_method is None
    if not is_theirs and has_changed_hands(books, operation):
        raise _not_agreed()


def is_from_anothers_account(session: PaymentSession, actor: Any) -> bool:
    """Return whether a session is paid from a customer's account at the provider, and `actor` isn't that customer.

    The account stays that customer's even if the payable changes hands: the provider may save a card in it.
    """
    return bool(session.context.get("account_reference")) and not _is_customer_of(session, actor)


def is_of_former_customer(session: PaymentSession) -> bool:
    """Return whether a session was made for a customer whose collection it was then, and isn't any more."""
    owner = session.context.get("customer_id")
    return owner is not None and owner != str(session.collection.customer_id)


def is_asked_by_another(books: Books, session: PaymentSession) -> bool:
    """Return whether the payer who asks isn't the customer, so that no saved payment method is used or added."""
    has_customer = books.collection.customer_id is not None or session.context.get("account_reference")
    return bool(books.origin.by_payer and has_customer and not _is_customer_of(session, books.origin.actor))


def context_of(collection: PaymentCollection) -> PaymentContext:
    """Return what a provider receives about a collection's payer if the shop gives no context."""
    customer = collection.customer
    return PaymentContext(
        customer_id=None if customer is None else str(customer.pk),
        email=None if customer is None else email_of(customer),
        description=collection.description or None,
    )


def renew_context(books: Books, session: PaymentSession) -> None:
    """Describe the present customer in the context of a session that no provider knows yet."""
    session.context = {
        **vars(context_of(books.collection)),
        "return_url": session.context.get("return_url"),
    }


def context_of_payer(books: Books, context: PaymentContext) -> PaymentContext:
    """Return a context with the customer's account; without any customer data if another payer asks."""
    origin, customer_id = books.origin, books.collection.customer_id
    if customer_id is None:
        return context
    if origin.by_payer and (origin.actor is None or origin.actor.pk != customer_id):
        is_customers = context.customer_id is not None
        known = {"customer_id": None, "email": None} if is_customers else {}
        return replace(context, account_reference=None, **known)
    account = context.account_reference or books.account_reference
    # The account's owner is stored with it, since the payable may change hands.
    owner = context.customer_id or (None if account is None else str(customer_id))
    return replace(context, account_reference=account, customer_id=owner)


def _latest(rows: QuerySet[Any], collection_id: str, rate: Rate) -> list[datetime]:
    """Return the times of the newest counted rows, at most as many as the rate allows."""
    recent = Q(is_by_payer=True, created_at__gt=timezone.now() - rate.period)
    found = rows.filter(recent, collection=collection_id).order_by("-created_at")
    return list(found.values_list("created_at", flat=True)[: rate.count])


def _is_customer_of(session: PaymentSession, actor: Any) -> bool:
    is_from_account = session.context.get("account_reference") is not None
    customer = session.context.get("customer_id") if is_from_account else session.collection.customer_id
    return actor is not None and str(actor.pk) == str(customer)


def _not_agreed() -> TransitionError:
    return TransitionError(
        _("The customer is paying this, or has not agreed any more that it is charged."), code="not_agreed"
    )


def _not_offered(alias: str) -> InputError:
    return InputError(
        _("The payment provider “%(alias)s” can't be chosen here."),
        code="provider_not_offered",
        field="provider_id",
        params={"alias": alias},
    )
