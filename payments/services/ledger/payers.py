"""What is different where a payer asks: which providers they may choose, how often they may try, whose account pays.

The limits are against those who test stolen cards on a shop. They count rows under the collection's lock, so that they
hold however many requests come at once. Only what the storefront asks for counts: an operator, or the shop's own code,
may go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from payments.conf import Rate, provider_config, throttle_rate
from payments.exceptions import InputError, LimitError
from payments.models import PaymentEvent, PaymentOperation, PaymentSession
from payments.providers import BaseProvider
from payments.services.ledger.books import Books
from payments.services.ledger.history import Origin
from payments.states import EventSource, OperationKind


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
        if origin.source != EventSource.STOREFRONT or rate is None:
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


def is_for_payers(provider: BaseProvider[Any]) -> bool:
    """Return whether payers may choose a provider: its setting says so, or else the provider itself."""
    chosen = provider_config(provider.alias).storefront
    return provider.is_for_payers if chosen is None else chosen


def check_offered(provider: BaseProvider[Any], origin: Origin) -> None:
    """Raise InputError (`provider_not_offered`) where a payer asks for a provider that isn't for them."""
    if origin.source == EventSource.STOREFRONT and not is_for_payers(provider):
        raise InputError(
            _("The payment provider “%(alias)s” can't be chosen here."),
            code="provider_not_offered",
            field="provider_id",
            params={"alias": provider.alias},
        )


def is_asked_by_another(books: Books, session: PaymentSession) -> bool:
    """Return whether a session is paid from a customer's account, and a payer asks who isn't that customer."""
    origin = books.origin
    if origin.source != EventSource.STOREFRONT or not session.context.get("account_reference"):
        return False
    return origin.actor is None or origin.actor.pk != books.collection.customer_id


def _latest(rows: QuerySet[Any], collection_id: str, rate: Rate) -> list[datetime]:
    """Return the times of the newest rows that count, as many as the rate allows."""
    recent = Q(source=EventSource.STOREFRONT, created_at__gt=timezone.now() - rate.period)
    found = rows.filter(recent, collection=collection_id).order_by("-created_at")
    return list(found.values_list("created_at", flat=True)[: rate.count])
